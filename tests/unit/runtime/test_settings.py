"""Addresses, names and key files: what is accepted, and how errors name the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from proto.signing import AuthenticationError, KeyFileError, parse_keys
from services.runtime.keys import HOLDERS, KeysError, make_keys
from services.runtime.settings import (
    HostPort,
    SettingsError,
    namespaced_name,
    read_object_authenticator,
    read_sealer,
    read_signer,
    read_verifier,
)


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080, "127.0.0.1:8080"),
        ("[::1]:80", "::1", 80, "[::1]:80"),
        ("[0:0::1]:80", "::1", 80, "[::1]:80"),
        (":8443", "", 8443, ":8443"),
        ("localhost:0", "localhost", 0, "localhost:0"),
        (" 10.244.0.1:443 ", "10.244.0.1", 443, "10.244.0.1:443"),
    ],
)
def test_host_port(text: str, host: str, port: int, shown: str) -> None:
    parsed = HostPort.parse(text)
    assert (parsed.host, parsed.port, str(parsed)) == (host, port, shown)


@pytest.mark.parametrize("text", ["", "8080", "127.0.0.1", "::1:80", "[::g]:80", "a:-1", "a:65536", "a:x", "a:²"])
def test_host_port_refuses(text: str) -> None:
    with pytest.raises(SettingsError):
        HostPort.parse(text)


def test_reachable_is_loopback_where_all_are_meant() -> None:
    assert str(HostPort.parse(":80").reachable()) == "127.0.0.1:80"
    assert str(HostPort.parse("[::]:80").reachable()) == "[::1]:80"
    assert str(HostPort.parse("10.1.1.1:80").reachable()) == "10.1.1.1:80"


def test_namespaced_name() -> None:
    assert namespaced_name("--configmap", "a/b") == ("a", "b")
    for text in ("", "a", "/b", "a/", "a/b/c"):
        with pytest.raises(SettingsError, match="--configmap"):
            namespaced_name("--configmap", text)


def test_keys_fit_together_and_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    assert make_keys(folder).written == tuple(sorted(HOLDERS))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == dict.fromkeys(HOLDERS, 0o600)
    signer = read_signer(folder / "signing.key")
    read_verifier(folder / "verify.key", "limen").check(signer.prove("limen", 1, 2, b"digest", b"body"), b"body")
    sealer = read_sealer(folder / "sealing.key", "limen")
    assert sealer.open("secret/a/b/c", sealer.seal("secret/a/b/c", b"x")) == b"x"
    objects = read_object_authenticator(folder / "objects.key")
    objects.check("object", b"body", objects.mac("object", b"body"))


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    make_keys(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert make_keys(tmp_path).kept == tuple(sorted(HOLDERS))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    (tmp_path / "objects.key").unlink()
    assert make_keys(tmp_path).written == ("objects.key",)


def test_rotation_reads_what_older_keys_wrote(tmp_path: Path) -> None:
    make_keys(tmp_path)
    old_sealer, old_signer = read_sealer(tmp_path / "sealing.key", "i"), read_signer(tmp_path / "signing.key")
    sealed, proof = old_sealer.seal("p", b"x"), old_signer.prove("i", 1, 1, b"d", b"b")
    make_keys(tmp_path, rotate=True)
    sealer = read_sealer(tmp_path / "sealing.key", "i")
    assert sealer.open("p", sealed) == b"x"
    assert sealer.seal("p", b"x") != sealed
    assert read_signer(tmp_path / "signing.key").key_id != old_signer.key_id
    read_verifier(tmp_path / "verify.key", "i").check(proof, b"b")
    with pytest.raises(AuthenticationError):
        old_sealer.open("p", sealer.seal("p", b"x"))
    assert len(parse_keys("objects", (tmp_path / "objects.key").read_text())) == 2


def test_a_lost_private_key_is_not_replaced_in_silence(tmp_path: Path) -> None:
    make_keys(tmp_path)
    public = (tmp_path / "verify.key").read_text()
    (tmp_path / "verify.key").unlink()
    make_keys(tmp_path)
    assert (tmp_path / "verify.key").read_text() == public
    (tmp_path / "signing.key").unlink()
    with pytest.raises(KeysError, match=r"signing\.key"):
        make_keys(tmp_path)


def test_a_key_in_the_wrong_place_is_refused_by_name(tmp_path: Path) -> None:
    make_keys(tmp_path)
    with pytest.raises(SettingsError, match=r"--sealing-key: .*objects\.key: line 1: expected 'limen-sealing-v1"):
        read_sealer(tmp_path / "objects.key", "limen")
    with pytest.raises(SettingsError, match=r"--verify-key: .*No such file"):
        read_verifier(tmp_path / "none", "limen")
    with pytest.raises(KeyFileError):
        parse_keys("signing", (tmp_path / "verify.key").read_text())
