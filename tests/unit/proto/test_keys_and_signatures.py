"""Who wrote a message, and who may read it."""

from __future__ import annotations

import os

import msgspec
import pytest

from proto.sealing import Sealer, secret_place
from proto.signing import (
    AuthenticationError,
    KeyFileError,
    ObjectAuthenticator,
    Signer,
    Verifier,
    format_key,
    key_id_of,
    parse_keys,
)

SIGNER = Signer("aa" * 8, os.urandom(32))
VERIFIER = Verifier("limen", [("aa" * 8, SIGNER.public())])
BODY = b"a delta"


def test_a_proof_of_the_compiler_is_accepted() -> None:
    VERIFIER.check(SIGNER.prove("limen", 3, 7, bytes(32), BODY), BODY)


@pytest.mark.parametrize(
    "change",
    [{"epoch": 4}, {"version": 8}, {"digest": bytes(31) + b"1"}, {"body_hash": bytes(32)}, {"signature": bytes(64)}],
    ids=lambda change: next(iter(change)),
)
def test_any_change_of_what_was_signed_is_noticed(change: dict[str, object]) -> None:
    proof = SIGNER.prove("limen", 3, 7, bytes(32), BODY)
    with pytest.raises(AuthenticationError, match="does not fit"):
        VERIFIER.check(msgspec.structs.replace(proof, **change))


def test_another_body_under_a_good_proof_is_noticed() -> None:
    with pytest.raises(AuthenticationError, match="not what was signed"):
        VERIFIER.check(SIGNER.prove("limen", 3, 7, bytes(32), BODY), b"another delta")


def test_a_stranger_and_another_instance_are_refused() -> None:
    stranger = Signer("bb" * 8, os.urandom(32))
    with pytest.raises(AuthenticationError, match="unknown key"):
        VERIFIER.check(stranger.prove("limen", 1, 1, bytes(32), BODY))
    with pytest.raises(AuthenticationError, match="instance 'other'"):
        VERIFIER.check(SIGNER.prove("other", 1, 1, bytes(32), BODY))


def test_several_verify_keys_are_accepted_while_one_is_rotated() -> None:
    new = Signer("cc" * 8, os.urandom(32))
    both = Verifier("limen", [(new.key_id, new.public()), (SIGNER.key_id, SIGNER.public())])
    both.check(SIGNER.prove("limen", 1, 1, bytes(32), BODY))
    both.check(new.prove("limen", 1, 2, bytes(32), BODY))


def test_object_messages_are_bound_to_key_and_purpose() -> None:
    old, new = os.urandom(32), os.urandom(32)
    mac = ObjectAuthenticator([("1", old)]).mac("object", BODY)
    ObjectAuthenticator([("2", new), ("1", old)]).check("object", BODY, mac)
    with pytest.raises(AuthenticationError):
        ObjectAuthenticator([("2", new)]).check("object", BODY, mac)
    with pytest.raises(AuthenticationError):
        ObjectAuthenticator([("1", old)]).check("beacon", BODY, mac)


def test_sealing_is_deterministic_and_bound_to_its_place() -> None:
    sealer = Sealer("limen", [("01" * 8, os.urandom(64))])
    place = secret_place("shop", "tls", "tls.key")
    sealed = sealer.seal(place, b"key")
    assert sealed == sealer.seal(place, b"key")
    assert b"key" not in sealed
    assert sealer.open(place, sealed) == b"key"
    assert sealer.open(place, sealer.seal(place, b"")) == b""
    with pytest.raises(AuthenticationError, match="does not open"):
        sealer.open(secret_place("other", "tls", "tls.key"), sealed)
    with pytest.raises(AuthenticationError, match="does not open"):
        sealer.open(place, sealed[:-1])
    with pytest.raises(AuthenticationError, match="unknown key"):
        sealer.open(place, b"")


def test_a_rotated_sealing_key_opens_what_the_old_one_sealed() -> None:
    old, new = ("01" * 8, os.urandom(64)), ("02" * 8, os.urandom(64))
    sealed = Sealer("limen", [old]).seal("p", b"x")
    rotated = Sealer("limen", [new, old])
    assert rotated.open("p", sealed) == b"x"
    assert rotated.seal("p", b"x")[:8] == bytes.fromhex("02" * 8)


@pytest.mark.parametrize(
    "line", ["c2VjcmV0", "c2VjcmV0 00 x", "limen-c2VjcmV0-v1 00 x", "limen-objects-v1 00 c2VjcmV0 x"]
)
def test_what_is_wrong_with_a_key_file_is_said_without_its_words(line: str) -> None:
    with pytest.raises(KeyFileError, match="line 1: expected") as caught:
        parse_keys("objects", line)
    assert "c2VjcmV0" not in str(caught.value)


def test_key_files_round_trip_and_name_what_is_wrong() -> None:
    key = os.urandom(32)
    text = "# made for tests\n\n" + format_key("objects", key, key_id_of(key))
    assert parse_keys("objects", text) == [(key_id_of(key), key)]
    with pytest.raises(KeyFileError, match=r"line 3: expected 'limen-signing-v1 .* found 'limen-objects-v1'"):
        parse_keys("signing", text)
    with pytest.raises(KeyFileError, match="'limen-objects-v1' and 1 more words"):
        parse_keys("objects", "limen-objects-v1 00")
    with pytest.raises(KeyFileError, match="holds no"):
        parse_keys("signing", "\n")
    with pytest.raises(KeyFileError, match="not base64"):
        parse_keys("objects", "limen-objects-v1 00 ***")
    with pytest.raises(KeyFileError, match="Ed25519"):
        Verifier("limen", [("00", b"short")])
    with pytest.raises(KeyFileError, match="sealing"):
        Sealer("limen", [("00" * 8, b"short")])
    with pytest.raises(KeyFileError, match="16 to 64"):
        ObjectAuthenticator([("00", b"short")])
