"""What a generation hands on unread."""

from __future__ import annotations

from proto.codec import encode, record_of
from proto.resources import ResourceKey, Stream, VirtualHost
from services.edge.core.generation import Generation
from services.edge.core.streams import NONE


def body(stream: Stream) -> bytes:
    return encode(stream)


def test_ports_and_hosts_are_kept_apart() -> None:
    queue = Stream("tcp", "a/b:1/tcp", 9000)
    streams = NONE.changed({"tcp:9000": body(queue), "tls:x.test": body(Stream("tls", "a/c:443"))})
    assert streams.ports == {"tcp:9000": queue}
    assert streams.hosts == {"x.test": "a/c:443"}
    gone = streams.changed({"tcp:9000": None, "tls:x.test": None})
    assert gone == NONE


def test_what_cannot_be_read_harms_nothing_else() -> None:
    queue = Stream("udp", "a/b:1/udp", 53)
    streams = NONE.changed({"quic:9": encode(("quic", "a/b:1/quic", 9)), "udp:53": body(queue), "tls:y": b"\xff"})
    assert streams.ports == {"udp:53": queue}
    assert streams.hosts == {}


def test_a_declared_host_is_its_own() -> None:
    streams = NONE.changed({"tls:*.test": body(Stream("tls", "any")), "tls:a.test": body(Stream("tls", "one"))})
    declared = {"b.test", "a.test"}.__contains__
    assert streams.passes("a.test", declared) == "one"
    assert streams.passes("b.test", declared) is None
    assert streams.passes("c.test", declared) == "any"
    assert streams.passes("d.c.test", declared) is None
    assert streams.passes("", declared) is None


def test_generations_share_them_until_they_change() -> None:
    records = [record_of("tcp:1", Stream("tcp", "a/b:1/tcp", 1)), record_of("h.test", VirtualHost("h.test"))]
    first = Generation.first(records, 1, 1, b"")
    second = first.next([record_of("i.test", VirtualHost("i.test"))], (), 1, 2, b"")
    assert second.streams is first.streams
    third = second.next((), (ResourceKey("stream", "tcp:1"),), 1, 3, b"")
    assert third.streams == NONE
    assert third.host("h.test").host == "h.test"
