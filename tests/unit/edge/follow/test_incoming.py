"""A message from the bus is believed only if the compiler signed exactly that, and says what this edge can read."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from proto.codec import decode, encode
from proto.opening import MAX_MESSAGE
from proto.resources import ResourceRecord
from proto.snapshots import SCHEMA, Position, SignedDelta
from services.edge.follow.incoming import NOWHERE, RejectedError, open_delta
from tests.support.snapshots import Log, host, verifier


def refused(message: bytes, instance: str = "limen") -> RejectedError:
    with pytest.raises(RejectedError) as caught:
        open_delta(message, verifier(instance))
    return caught.value


def test_what_the_compiler_signed_is_opened() -> None:
    log = Log(epoch=3)
    log.step(host("a.example.com"))
    opened = open_delta(log.step(host("b.example.com")), verifier())
    assert opened.position == Position(3, 2)
    assert [record.name for record in opened.delta.upserts] == ["b.example.com"]
    assert opened.proof.digest == log.digest


def test_positions_are_ordered_by_epoch_then_version() -> None:
    assert NOWHERE < Position(1, 9) < Position(2, 1) < Position(2, 2)
    assert str(Position(2, 7)) == "2.7"


def test_a_strangers_signature_is_refused() -> None:
    error = refused(Log(seed=bytes(32)).step(host("a.example.com")))
    assert error.reason == "signature"
    assert "unknown key" in str(error)
    assert not error.trusted


def test_a_strangers_signature_under_the_known_key_id_is_refused() -> None:
    signed = decode(Log(seed=bytes(32)).step(host("a.example.com")), SignedDelta)
    mine = decode(Log().step(host("a.example.com")), SignedDelta)
    forged = replace(signed, proof=replace(signed.proof, key_id=mine.proof.key_id))
    assert refused(encode(forged)).reason == "signature"


def test_another_instances_delta_is_refused() -> None:
    error = refused(Log("other").step(host("a.example.com")))
    assert error.reason == "signature"
    assert "other" in str(error)


def test_a_body_that_was_exchanged_is_refused() -> None:
    log = Log()
    first = decode(log.step(host("a.example.com")), SignedDelta)
    second = decode(log.step(host("b.example.com")), SignedDelta)
    assert refused(encode(replace(first, body=second.body))).reason == "signature"


def test_no_byte_can_be_changed() -> None:
    message = Log().step(host("a.example.com"))
    for position in range(len(message)):
        changed = bytearray(message)
        changed[position] ^= 0x01
        try:
            opened = open_delta(bytes(changed), verifier())
        except RejectedError:
            continue
        # the schema number of the envelope is the one thing that is not signed; a lower one reads the same
        assert position == 1
        assert opened == open_delta(message, verifier())


def test_no_prefix_is_taken_for_the_whole() -> None:
    message = Log().step(host("a.example.com"))
    assert {refused(message[:length]).reason for length in range(len(message))} == {"malformed"}


def test_an_oversized_message_is_not_even_decoded() -> None:
    error = refused(b"\x93" + bytes(MAX_MESSAGE))
    assert error.reason == "oversized"
    assert str(MAX_MESSAGE) in str(error)


def test_the_largest_delta_fits() -> None:
    record = ResourceRecord("upstream", "a", bytes(512 * 1024))
    assert open_delta(Log().step(record), verifier()).delta.upserts == (record,)


def test_a_newer_schema_says_what_to_upgrade() -> None:
    log = Log()
    delta = replace(log.delta([host("a.example.com")]), schema=SCHEMA + 1)
    error = refused(log.signed(delta))
    assert error.reason == "schema"
    assert error.trusted
    assert f"schema {SCHEMA + 1}" in str(error)
    assert "upgrade edges" in str(error)


def test_a_newer_envelope_of_unknown_shape_says_so_too() -> None:
    error = refused(encode((SCHEMA + 1, {"anything": "else"})))
    assert error.reason == "schema"
    assert not error.trusted


def test_a_signed_body_that_is_no_delta_is_worth_a_report() -> None:
    log = Log()
    body = encode((SCHEMA, "limen", "not an epoch"))
    proof = log.signer.prove("limen", 1, 1, bytes(32), body)
    error = refused(encode(SignedDelta(SCHEMA, proof, body)))
    assert error.reason == "malformed"
    assert error.trusted


def test_a_proof_that_says_other_than_its_body_is_refused() -> None:
    log = Log()
    body = encode(log.delta([host("a.example.com")]))
    proof = log.signer.prove("limen", 1, 2, log.digest, body)
    assert refused(encode(SignedDelta(SCHEMA, proof, body))).reason == "mismatch"


def test_a_base_of_the_future_or_of_another_epoch_is_refused() -> None:
    log = Log()
    delta = log.delta([host("a.example.com")])
    for base in (replace(delta.base, version=2), replace(delta.base, epoch=2), replace(delta.base, version=0)):
        assert refused(log.signed(replace(delta, base=base))).reason == "mismatch"
