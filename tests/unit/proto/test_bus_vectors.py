"""docs/bus-vectors.json: worked examples of the bus protocol, made by our code and read by an independent reader.

The reader below uses nothing of ours but follows docs/bus.md: if it stops understanding, the document or the code is
wrong. ``python -m tests.unit.proto.test_bus_vectors`` writes the file anew, for a change of the format that is meant.
"""

from __future__ import annotations

import json
import zlib
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from proto.codec import encode, pack_base, record_of, unpack_base
from proto.digest import EMPTY, combine, entry_hash
from proto.objects import (
    Ingress,
    IngressBackend,
    IngressPath,
    IngressRule,
    KindCount,
    ObjectEnvelope,
    ObjectKey,
    WatcherBeacon,
    key_of,
)
from proto.resources import Endpoint, Forward, PathMatch, ResourceKey, ResourceRecord, Route, Upstream, VirtualHost
from proto.sealing import Sealer, secret_place
from proto.signing import ObjectAuthenticator, Signer, key_id_of
from proto.snapshots import SCHEMA, BaseRef, Cause, Delta, SignedDelta
from proto.subjects import Subjects, token

FILE = Path(__file__).resolve().parents[3] / "docs/bus-vectors.json"
INSTANCE = "limen"
OBJECTS_KEY = bytes(range(32))
SEALING_KEY = bytes(range(64))
SIGNING_SEED = bytes(range(100, 132))


def _ingress() -> Ingress:
    backend = IngressBackend(service="coffee", port_number=80)
    paths = (IngressPath("/coffee", "Prefix", backend),)
    rule = IngressRule("cafe.example.com", paths, has_http=True)
    return Ingress("shop", "cafe", "uid-1", 1798000000, {"example.com/note": "é"}, "nginx", rules=(rule,))


def _records() -> list[ResourceRecord]:
    route = Route(PathMatch("prefix", "/coffee"), Forward("shop/coffee:80"), (), "shop/cafe", "/coffee")
    return [
        record_of("cafe.example.com", VirtualHost("cafe.example.com", routes=(route,))),
        record_of("shop/coffee:80", Upstream((Endpoint("10.244.1.7", 8080),))),
    ]


def _digest(records: list[ResourceRecord]) -> bytes:
    return combine(EMPTY, added=sum(entry_hash(each.kind, each.name, each.body) for each in records))


def _base(records: list[ResourceRecord]) -> tuple[BaseRef, bytes]:
    packed = zlib.compress(encode(records), 0)  # stored: what deflate makes of it differs between implementations
    assert unpack_base(packed) == unpack_base(pack_base(records)) == records
    return BaseRef(1, 7, 1, len(packed), blake2b(packed, digest_size=32).digest(), _digest(records), 12), packed


def vectors() -> dict[str, Any]:
    """Everything that the document's worked examples hold; bytes as hex."""
    objects, signer = ObjectAuthenticator([("", OBJECTS_KEY)]), _signer()
    ingress = _ingress()
    envelope = encode(
        ObjectEnvelope(INSTANCE, key_of(ingress), "5e55", 3, 1798000000.5, "4711", "ab" * 16, encode(ingress))
    )
    beacon = encode(WatcherBeacon(INSTANCE, "5e55", 3, _object_digest(ingress), (KindCount("ingress", 1, 1),)))
    records = _records()
    ref, packed = _base(records[:1])
    key = ObjectKey("ingress", "shop", "cafe")
    cause = Cause("change", (key,), "4711", 1798000000.5, "ab" * 16, 1)
    delta = encode(
        Delta(SCHEMA, INSTANCE, 1, 8, _digest(records), ref, cause, 1798000000.75, (records[1],), (_gone(),))
    )
    proof = signer.prove(INSTANCE, 1, 8, _digest(records), delta)
    return {
        "note": "Bytes are in hex. The keys are test keys.",
        "tokens": {text: token(text) for text in ("cafe", "cafe.example.com", "*.example.com", "", "-", "é")},
        "subjects": {
            "object": Subjects().object(key),
            "base chunk": Subjects().base_chunk(1, 7, 0),
            "edge report": Subjects().edge_report("edge-1.a"),
        },
        "keys": {
            "objects": OBJECTS_KEY.hex(),
            "sealing": SEALING_KEY.hex(),
            "sealing key id": key_id_of(SEALING_KEY),
            "verify": signer.public().hex(),
            "verify key id": key_id_of(signer.public()),
        },
        "object message": encode((SCHEMA, envelope, objects.mac("object", envelope))).hex(),
        "beacon": encode((SCHEMA, beacon, objects.mac("beacon", beacon))).hex(),
        "records": [[each.kind, each.name, each.body.hex()] for each in records],
        "entry hashes": [f"{entry_hash(each.kind, each.name, each.body):064x}" for each in records],
        "digest": _digest(records).hex(),
        "base": packed.hex(),
        "delta message": encode(SignedDelta(SCHEMA, proof, delta)).hex(),
        "sealed": {
            "place": secret_place("shop", "cafe-tls", "tls.key"),
            "plaintext": b"private".hex(),
            "sealed": _sealer().seal(secret_place("shop", "cafe-tls", "tls.key"), b"private").hex(),
        },
    }


def _gone() -> ResourceKey:
    return ResourceKey("upstream", "shop/old:80")


def _signer() -> Signer:
    return Signer(key_id_of(Signer("", SIGNING_SEED).public()), SIGNING_SEED)


def _sealer() -> Sealer:
    return Sealer(INSTANCE, [(key_id_of(SEALING_KEY), SEALING_KEY)])


def _object_digest(ingress: Ingress) -> bytes:
    return combine(EMPTY, added=entry_hash("ingress", "shop/cafe", encode(ingress)))


# --- the independent reader: hashlib, MessagePack without types, and docs/bus.md -----------------------------------

SAVED: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}


def _bytes(*path: str) -> bytes:
    value: Any = SAVED
    for step in path:
        value = value[step]
    return bytes.fromhex(value)


def _unpack(data: bytes) -> Any:
    return msgspec.msgpack.decode(data)


def _hash(data: bytes) -> bytes:
    return blake2b(data, digest_size=32).digest()


def _entry(kind: str, name: str, body: bytes) -> int:
    head = f"{len(kind)}:{kind}{len(name.encode())}:{name}".encode()
    return int.from_bytes(_hash(head + body), "big")


def test_the_file_holds_what_the_code_writes() -> None:
    assert vectors() == SAVED


def test_an_object_message_reads_as_documented() -> None:
    schema, body, mac = _unpack(_bytes("object message"))
    assert schema == 1
    assert mac == blake2b(body, key=_bytes("keys", "objects"), digest_size=16, person=b"object").digest()
    instance, key, session, sequence, observed_at, version, trace, data, relisted = _unpack(body)
    assert (instance, key, session, sequence, version, trace) == (
        "limen", ["ingress", "shop", "cafe"], "5e55", 3, "4711", "ab" * 16,
    )  # fmt: skip
    assert (observed_at, relisted) == (1798000000.5, False)
    ingress = _unpack(data)
    assert ingress["kind"] == "ingress"
    assert "tls" not in ingress, "defaults are left out"
    assert ingress["rules"][0]["paths"][0] == {
        "path": "/coffee",
        "path_type": "Prefix",
        "backend": {"service": "coffee", "port_number": 80},
    }


def test_a_beacon_reads_as_documented() -> None:
    schema, body, mac = _unpack(_bytes("beacon"))
    assert mac == blake2b(body, key=_bytes("keys", "objects"), digest_size=16, person=b"beacon").digest()
    instance, session, sequence, digest, kinds = _unpack(body)
    assert (schema, instance, session, sequence, kinds) == (1, "limen", "5e55", 3, [["ingress", 1, 1]])
    data = _unpack(_unpack(_bytes("object message"))[1])[7]
    assert int.from_bytes(digest, "big") == _entry("ingress", "shop/cafe", data)


def test_the_digest_is_the_sum_of_the_entries() -> None:
    hashes = [_entry(kind, name, bytes.fromhex(body)) for kind, name, body in SAVED["records"]]
    assert [f"{value:064x}" for value in hashes] == SAVED["entry hashes"]
    assert (sum(hashes) % 2**256).to_bytes(32, "big") == _bytes("digest")


def test_a_delta_message_reads_as_documented() -> None:
    schema, proof, body = _unpack(_bytes("delta message"))
    instance, epoch, version, digest, body_hash, key_id, signature = proof
    assert (schema, instance, epoch, version, key_id) == (1, "limen", 1, 8, SAVED["keys"]["verify key id"])
    assert blake2b(_bytes("keys", "verify"), digest_size=8, person=b"limen-key-id").hexdigest() == key_id
    assert digest == _bytes("digest")
    assert body_hash == _hash(body)
    signed = b"limen delta v1\0" + msgspec.msgpack.encode([instance, epoch, version, digest, body_hash])
    Ed25519PublicKey.from_public_bytes(_bytes("keys", "verify")).verify(signature, signed)
    inner = _unpack(body)
    assert inner[:5] == [1, "limen", 1, 8, digest]
    base, cause, published_at, upserts, removals, rebased = inner[5:]
    assert cause == ["change", [["ingress", "shop", "cafe"]], "4711", 1798000000.5, "ab" * 16, 1]
    assert (published_at, removals, rebased) == (1798000000.75, [["upstream", "shop/old:80"]], False)
    assert [[kind, name, content.hex()] for kind, name, content in upserts] == SAVED["records"][1:]
    assert base[:4] == [1, 7, 1, len(_bytes("base"))]
    assert base[4] == _hash(_bytes("base"))


def test_a_base_reads_as_documented() -> None:
    records = _unpack(zlib.decompress(_bytes("base")))
    assert [[kind, name, body.hex()] for kind, name, body in records] == SAVED["records"][:1]
    host, mode, routes, groups, *_ = _unpack(records[0][2])
    assert (host, mode, groups) == ("cafe.example.com", "plain", [])
    assert routes == [[["prefix", "/coffee"], ["forward", "shop/coffee:80", ""], [], "shop/cafe", "/coffee", False]]


def test_a_sealed_value_opens_as_documented() -> None:
    sealed = _bytes("sealed", "sealed")
    key = _bytes("keys", "sealing")
    assert sealed[:8] == blake2b(key, digest_size=8, person=b"limen-key-id").digest()
    data = [b"limen", SAVED["sealed"]["place"].encode()]
    assert AESSIV(key).decrypt(sealed[8:], data) == _bytes("sealed", "plaintext")


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=2, ensure_ascii=False) + "\n")
