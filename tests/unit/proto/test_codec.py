"""The codec: equal values give equal bytes, and what a reader does not know is closed, never open."""

from __future__ import annotations

import os

import msgspec
import pytest

from proto import codec
from proto.codec import DecodeError, decode, decode_resource, encode, pack_base, record_of, split_chunks, unpack_base
from proto.handshakes import ClientCertificates, Handshake
from proto.policies import Rewrite
from proto.resources import (
    Endpoint,
    Forward,
    PathMatch,
    ResourceKey,
    ResourceRecord,
    Respond,
    Route,
    RouteGroup,
    Settings,
    Upstream,
    VirtualHost,
)
from proto.snapshots import CHUNK_SIZE

OPEN = Route(PathMatch("prefix", "/"), Forward("shop/web:80"), (Rewrite("/a", "/b"),), "shop/web", "/")
CLOSED = Route(PathMatch("exact", "/q"), Respond(404))


def test_resources_survive_the_trip() -> None:
    for name, resource in [
        ("a.example", VirtualHost("a.example", routes=(OPEN, CLOSED), tls=True, certificate="shop/tls")),
        ("a.example/1", RouteGroup((OPEN,))),
        ("shop/web:80", Upstream((Endpoint("10.0.0.1", 80), Endpoint("fd00::1", 80)))),
        ("global", Settings(hsts=False, proxy_read_timeout=1.5)),
    ]:
        assert decode_resource(record_of(name, resource)) == resource


def test_equal_mappings_give_equal_bytes_whatever_their_order() -> None:
    assert encode({"a": 1, "b": 2}) == encode({"b": 2, "a": 1})


def _tampered(change: msgspec.Raw | list[object], part: int) -> ResourceRecord:
    raw = decode(record_of("a.example", VirtualHost("a.example", routes=(OPEN, CLOSED))).body, list)
    raw[2][0][part] = change
    return ResourceRecord("virtualhost", "a.example", encode(raw))


@pytest.mark.parametrize(
    ("part", "change"), [(2, [["policy-of-tomorrow", 1]]), (1, ["action-of-tomorrow", "x"])], ids=["policy", "action"]
)
def test_a_route_with_something_unknown_answers_503_and_its_neighbours_serve_on(
    part: int, change: list[object]
) -> None:
    host = decode_resource(_tampered(change, part))
    assert isinstance(host, VirtualHost)
    assert host.routes == (Route(OPEN.match, Respond(503)), CLOSED)


def test_an_unknown_policy_in_a_route_group_closes_only_that_route() -> None:
    raw = decode(record_of("g", RouteGroup((OPEN, CLOSED))).body, list)
    raw[0][0][2] = [["policy-of-tomorrow", 1]]
    assert decode_resource(ResourceRecord("routegroup", "g", encode(raw))) == RouteGroup(
        (Route(OPEN.match, Respond(503)), CLOSED)
    )


def test_a_kind_of_tomorrow_is_read_and_nothing_is_made_of_it() -> None:
    record = decode(encode(("kind-of-tomorrow", "x", b"\xc0")), ResourceRecord)
    assert decode(encode(("kind-of-tomorrow", "x")), ResourceKey) == record.key
    assert unpack_base(pack_base([record, record_of("global", Settings())]))[0] == record
    with pytest.raises(DecodeError, match="kind-of-tomorrow x: of a kind that is not known here"):
        decode_resource(record)


def test_an_unknown_mode_denies_the_host() -> None:
    raw = decode(record_of("a.example", VirtualHost("a.example", routes=(OPEN,))).body, list)
    raw[1] = "mode-of-tomorrow"
    assert decode_resource(ResourceRecord("virtualhost", "a.example", encode(raw))) == VirtualHost(
        "a.example", denied=True
    )


def test_an_unknown_way_of_asking_for_client_certificates_denies_the_host() -> None:
    asking = Handshake(client=ClientCertificates(authority="shop/ca"))
    raw = decode(record_of("a.example", VirtualHost("a.example", routes=(OPEN,), handshake=asking)).body, list)
    raw[-1][2][0] = "mode-of-tomorrow"
    assert decode_resource(ResourceRecord("virtualhost", "a.example", encode(raw))) == VirtualHost(
        "a.example", denied=True
    )


def test_damaged_bytes_are_named() -> None:
    with pytest.raises(DecodeError, match="upstream shop/web:80"):
        decode_resource(ResourceRecord("upstream", "shop/web:80", b"\xc1"))


def test_a_base_is_the_same_whatever_the_order_of_its_records() -> None:
    records = [record_of(f"ns/s:{port}", Upstream((Endpoint("10.0.0.1", port),))) for port in range(1, 200)]
    packed = pack_base(records)
    assert packed == pack_base(records[::-1])
    assert unpack_base(packed) == sorted(records, key=lambda record: (record.kind, record.name))


def test_a_damaged_base_is_refused() -> None:
    packed = pack_base([record_of("global", Settings())])
    for damaged in (b"", packed[:-3], b"y" + packed[1:], packed[:10]):
        with pytest.raises(DecodeError, match="base"):
            unpack_base(damaged)


def test_a_base_that_would_inflate_without_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_BASE_SIZE", 1000)
    with pytest.raises(DecodeError, match="larger than allowed"):
        unpack_base(pack_base([ResourceRecord("upstream", "x", bytes(100_000))]))


def test_chunks_join_to_the_whole() -> None:
    packed = os.urandom(CHUNK_SIZE * 2 + 5)
    chunks = split_chunks(packed)
    assert [len(chunk) for chunk in chunks] == [CHUNK_SIZE, CHUNK_SIZE, 5]
    assert b"".join(chunks) == packed
    assert split_chunks(b"") == [b""]
