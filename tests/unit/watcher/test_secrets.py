"""What of a Secret crosses the bus, and in which form."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from proto.codec import encode
from proto.objects import Secret
from proto.sealing import Sealer, secret_place
from services.watcher.observed import RawSecret
from services.watcher.secrets import MAX_ENTRY, seal_secret, with_last_good
from tests.support.pairs import make_pair, pem, tls_data

SEALER = Sealer("limen", [("00" * 8, bytes(64))])


def raw(data: dict[str, bytes], type_: str = "kubernetes.io/tls") -> RawSecret:
    return RawSecret("n", "s", type_, data)


def test_a_pair_is_sealed_and_nothing_is_left_in_the_clear() -> None:
    authority = pem(make_pair(ca=True)[0])
    data = tls_data("a.example") | {"ca.crt": authority}
    secret = seal_secret(raw(data), SEALER, None)
    assert secret.problem == ""
    assert secret.tls is not None
    assert secret.tls.names == ("a.example",)
    assert SEALER.open(secret_place("n", "s", "tls.key"), secret.tls.sealed_key).startswith(b"-----BEGIN PRIVATE")
    assert SEALER.open(secret_place("n", "s", "ca.crt"), secret.sealed["ca.crt"]) == authority
    assert set(secret.sealed) == {"ca.crt"}
    message = encode(secret)
    assert b"PRIVATE KEY" not in message
    assert authority not in message


def test_the_same_secret_gives_the_same_bytes() -> None:
    data = tls_data("a.example")
    assert encode(seal_secret(raw(data), SEALER, None)) == encode(seal_secret(raw(dict(data)), SEALER, None))


@pytest.mark.parametrize("authority", [b"", b"x", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_an_authority_that_is_none_stays_behind_and_does_not_spoil_the_pair(authority: bytes) -> None:
    secret = seal_secret(raw(tls_data("a.example") | {"ca.crt": authority}), SEALER, None)
    assert (secret.sealed, secret.problem) == ({}, "")
    assert secret.tls is not None


def test_an_authority_leaves_with_its_list_of_what_was_revoked_or_not_at_all() -> None:
    authority, key = make_pair(ca=True)
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateRevocationListBuilder().issuer_name(authority.subject)
    builder = builder.last_update(now).next_update(now + datetime.timedelta(days=1))
    crl = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)  # type: ignore[arg-type]
    data = {"ca.crt": pem(authority)}
    assert set(seal_secret(raw(data | {"ca.crl": crl + crl}, "Opaque"), SEALER, None).sealed) == {"ca.crt", "ca.crl"}
    assert "ca.crt" in seal_secret(raw(data | {"ca.crl": b""}, "Opaque"), SEALER, None).sealed
    for bad in (b"x", crl[:-40], crl * (MAX_ENTRY // len(crl) + 1)):
        assert seal_secret(raw(data | {"ca.crl": bad}, "Opaque"), SEALER, None).sealed == {}


def test_a_secret_without_a_pair_is_no_problem() -> None:
    secret = seal_secret(raw({"auth": b"user:hash"}, "Opaque"), SEALER, None)
    assert (secret.tls, secret.problem) == (None, "")
    assert SEALER.open(secret_place("n", "s", "auth"), secret.sealed["auth"]) == b"user:hash"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"tls.key": b""}, "tls.key is empty"),
        ({"tls.crt": b"x"}, "tls.crt does not hold"),
        ({"tls.crt": None}, "tls.crt is missing"),
        ({"tls.key": None}, "tls.key is missing"),
    ],
)
def test_a_bad_pair_keeps_the_one_before(change: dict[str, bytes | None], problem: str) -> None:
    good = seal_secret(raw(tls_data("a.example")), SEALER, None)
    data = {name: value for name, value in {**tls_data("b.example"), **change}.items() if value is not None}
    bad = seal_secret(raw(data), SEALER, good.tls)
    assert bad.tls == good.tls
    assert problem in bad.problem
    assert seal_secret(raw(data), SEALER, None).tls is None


def test_the_last_good_pair_is_taken_from_the_bus() -> None:
    good = seal_secret(raw(tls_data("a.example")), SEALER, None)
    bad = seal_secret(raw({"tls.crt": b"x", "tls.key": b"y"}), SEALER, None)
    assert with_last_good(bad, good).tls == good.tls
    assert with_last_good(bad, None) is bad
    assert with_last_good(good, Secret("n", "s")) is good


def test_an_entry_that_is_too_large_is_left_out_and_named() -> None:
    data = tls_data("a.example") | {"huge": bytes(MAX_ENTRY + 1)}
    secret = seal_secret(raw(data), SEALER, None)
    assert secret.tls is not None
    assert "huge" not in secret.sealed
    assert "data[huge]" in secret.problem
