"""The bytes of binary messages do not change unnoticed, and what is kept can still be read."""

from __future__ import annotations

import pytest

from proto.codec import decode, decode_resource
from proto.message_examples import AUTHENTICATOR, FOLDER, OBJECTS, RESOURCES, SIGNER, messages
from proto.objects import Object, ObjectEnvelope, WatcherBeacon
from proto.resources import ResourceRecord
from proto.signing import Verifier
from proto.snapshots import Delta, SignedDelta

MESSAGES = messages()


def kept(name: str) -> bytes:
    return bytes.fromhex((FOLDER / f"{name}.hex").read_text())


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_bytes_are_as_they_were(name: str) -> None:
    assert MESSAGES[name] == kept(name), "other bytes: old readers break; grow SCHEMA, or undo the change"


def test_no_file_is_left_over() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(MESSAGES)


def test_kept_objects_can_be_read() -> None:
    for value in OBJECTS:
        _, body, mac = decode(kept(f"object-{value.__struct_config__.tag}"), tuple[int, bytes, bytes])
        AUTHENTICATOR.check("object", body, mac)
        envelope = decode(body, ObjectEnvelope)
        assert decode(envelope.object, Object) == value  # type: ignore[arg-type]
    _, body, mac = decode(kept("beacon"), tuple[int, bytes, bytes])
    AUTHENTICATOR.check("beacon", body, mac)
    assert decode(body, WatcherBeacon).sequence == 9


def test_kept_deltas_can_be_verified_and_read() -> None:
    verifier = Verifier("limen", [(SIGNER.key_id, SIGNER.public())])
    for name in ("delta", "delta-rebased"):
        signed = decode(kept(name), SignedDelta)
        verifier.check(signed.proof, signed.body)
        delta = decode(signed.body, Delta)
        assert delta.rebased == (name == "delta-rebased")
        assert [decode_resource(record) for record in delta.upserts] in ([], [value for _, value in RESOURCES])


def test_kept_resources_can_be_read() -> None:
    read = [decode_resource(decode(kept(name), ResourceRecord)) for name in sorted(MESSAGES) if "resource" in name]
    assert len(read) == len(RESOURCES)
    assert all(resource in [value for _, value in RESOURCES] for resource in read)
