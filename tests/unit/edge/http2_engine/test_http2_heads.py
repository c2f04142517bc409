"""Which fields make a head (RFC 9113 sections 8.2 and 8.3), and what is made of them."""

from __future__ import annotations

import pytest

from services.edge.core.http2.events import Fields, RequestHead, RequestReceived, StreamReset, TrailersReceived
from tests.unit.edge.http2_engine.peer import GET, POST, client_of, headers

METHOD, SCHEME, AUTHORITY, PATH = GET


def head_of(*fields: tuple[bytes, bytes]) -> tuple[RequestHead, bytes]:
    """(head, path) of a request that is taken."""
    peer = client_of()
    (event,) = peer.send(headers(1, fields, 4))
    assert isinstance(event, RequestReceived), event
    return event.head, event.path


def fault_of(*fields: tuple[bytes, bytes]) -> str:
    """Why a request is not taken."""
    (event,) = client_of().send(headers(1, fields, 4))
    assert isinstance(event, StreamReset), event
    assert event.code == 1
    return event.reason


def test_everything_finds_its_place() -> None:
    head, path = head_of(
        (b":scheme", b"https"),
        (b":path", b"/a?b=%20"),
        (b":method", b"PUT"),
        (b":authority", b"A.example:8443"),
        (b"host", b"a.example:8443"),
        (b"te", b"trailers"),
        (b"cookie", b"a=1"),
        (b"x-empty", b""),
        (b"content-length", b"7"),
        (b"cookie", b"b=2"),
        (b"x-latin", b"caf\xe9 ol\xe9"),
    )
    assert path == b"/a?b=%20"
    assert (head.method, head.scheme, head.authority) == (b"PUT", b"https", b"A.example:8443")
    assert (head.length, head.takes_trailers) == (7, True)
    assert head.fields == ((b"x-empty", b""), (b"x-latin", b"caf\xe9 ol\xe9"), (b"cookie", b"a=1; b=2"))


def test_host_stands_in_for_authority() -> None:
    assert head_of(METHOD, SCHEME, PATH, (b"host", b"b.example"))[0].authority == b"b.example"
    assert head_of(METHOD, SCHEME, PATH)[0].authority == b""
    assert head_of(METHOD, SCHEME, PATH, (b":authority", b""), (b"host", b"b.example"))[0].authority == b"b.example"


def test_options_asterisk_and_connect() -> None:
    head, path = head_of((b":method", b"OPTIONS"), SCHEME, AUTHORITY, (b":path", b"*"))
    assert (head.method, path) == (b"OPTIONS", b"*")
    head, path = head_of((b":method", b"CONNECT"), (b":authority", b"a.example:443"))
    assert (head.method, head.scheme, head.authority, path) == (b"CONNECT", b"", b"a.example:443", b"")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ((SCHEME, AUTHORITY, PATH), "no-method"),
        ((METHOD, AUTHORITY, PATH), "no-scheme"),
        ((METHOD, SCHEME, AUTHORITY), "no-path"),
        ((METHOD, SCHEME, AUTHORITY, (b":path", b"")), "path-value"),
        ((METHOD, SCHEME, AUTHORITY, (b":path", b"a")), "path-value"),
        ((METHOD, SCHEME, AUTHORITY, (b":path", b"*")), "path-value"),
        ((METHOD, SCHEME, AUTHORITY, (b":path", b"/a b")), "path-value"),
        ((METHOD, SCHEME, AUTHORITY, (b":path", b"/a#b")), "path-value"),
        ((METHOD, SCHEME, AUTHORITY, (b":path", b"/\xe9")), "path-value"),
        ((METHOD, SCHEME, AUTHORITY, (b":path", b"/ HTTP/1.1\r\nx: y")), "path-value"),
        ((METHOD, SCHEME, AUTHORITY, (b":path", b"http://evil/")), "path-value"),
        ((METHOD, SCHEME, AUTHORITY, PATH, PATH), "pseudo-header-twice"),
        ((METHOD, METHOD, SCHEME, AUTHORITY, PATH), "pseudo-header-twice"),
        ((METHOD, SCHEME, AUTHORITY, (b"a", b"b"), PATH), "pseudo-header-order"),
        ((*GET, (b":status", b"200")), "misplaced-status"),
        ((*GET, (b":protocol", b"websocket")), "unknown-pseudo-header"),
        (((b":method", b""), SCHEME, AUTHORITY, PATH), "method-value"),
        (((b":method", b"GE T"), SCHEME, AUTHORITY, PATH), "method-value"),
        ((METHOD, (b":scheme", b"ftp"), AUTHORITY, PATH), "scheme-value"),
        ((METHOD, (b":scheme", b"http://localhost/?"), AUTHORITY, PATH), "scheme-value"),
        ((METHOD, (b":scheme", b""), AUTHORITY, PATH), "scheme-value"),
        ((METHOD, SCHEME, (b":authority", b"me@a.example"), PATH), "authority-value"),
        ((METHOD, SCHEME, (b":authority", b"a.example/x"), PATH), "authority-value"),
        ((*GET, (b"host", b"evil.example")), "host-differs"),
        ((*GET, (b"host", b"a.example"), (b"host", b"a.example")), "misplaced-host"),
        ((*GET, (b"host", b"a.example ")), "host"),
        (((b":method", b"CONNECT"), SCHEME, AUTHORITY, PATH), "connect"),
        (((b":method", b"CONNECT"),), "connect"),
        ((*GET, (b"X-Bad", b"a")), "name-upper-case"),
        ((*GET, (b"", b"a")), "name"),
        ((*GET, (b"a:b", b"a")), "name"),
        ((*GET, (b"a b", b"a")), "name"),
        ((*GET, (b"foo: bar\r\nx", b"y")), "name"),
        ((*GET, (b"x-\xe9", b"y")), "name"),
        ((*GET, (b"x-evil", b"safe\r\nevil: 1")), "value"),
        ((*GET, (b"x-evil", b"a\nb")), "value"),
        ((*GET, (b"x-evil", b"a\0b")), "value"),
        ((*GET, (b"x-evil", b"a\x7fb")), "value"),
        ((*GET, (b"x-evil", b" a")), "value"),
        ((*GET, (b"x-evil", b"a\t")), "value"),
        ((*GET, (b"x-evil", b" ")), "value"),
        ((*GET, (b"cookie", b"a\r\nb")), "cookie"),
        ((*GET, (b"connection", b"close")), "connection-header"),
        ((*GET, (b"keep-alive", b"1")), "connection-header"),
        ((*GET, (b"proxy-connection", b"x")), "connection-header"),
        ((*GET, (b"transfer-encoding", b"chunked")), "connection-header"),
        ((*GET, (b"upgrade", b"h2c")), "connection-header"),
        ((*GET, (b"te", b"trailers, deflate")), "te"),
        ((*POST, (b"content-length", b"-1")), "content-length"),
        ((*POST, (b"content-length", b"")), "content-length"),
        ((*POST, (b"content-length", b"1, 1")), "content-length"),
        ((*POST, (b"content-length", b"1" * 19)), "content-length"),
        ((*POST, (b"content-length", b"1"), (b"content-length", b"1")), "misplaced-content-length"),
    ],
)
def test_malformed(fields: Fields, reason: str) -> None:
    assert fault_of(*fields) == reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (b"content-length", "trailer-name"),
        (b"host", "trailer-name"),
        (b"cookie", "trailer-name"),
        (b"te", "trailer-name"),
        (b"trailer", "trailer-name"),
        (b"transfer-encoding", "connection-header"),
        (b":path", "misplaced-path"),
        (b"X-Up", "name-upper-case"),
    ],
)
def test_trailers_do_not_frame_or_route(name: bytes, reason: str) -> None:
    peer = client_of()
    peer.send(headers(1, POST, 4))
    value = {b"content-length": b"1", b"te": b"trailers", b":path": b"/"}.get(name, b"x")
    (event,) = peer.send(headers(1, ((name, value),)))
    assert isinstance(event, StreamReset)
    assert event.reason == reason


def test_trailers() -> None:
    peer = client_of()
    peer.send(headers(1, POST, 4))
    assert peer.send(headers(1, ((b"x-sum", b"1"),))) == [TrailersReceived(1, ((b"x-sum", b"1"),))]


@pytest.mark.parametrize("first", [b"\x04", b"\x44", b"\x14", b"\x05"], ids=["kept out", "indexed", "secret", "name 5"])
def test_a_head_that_repeats_is_the_same_object_whatever_its_path(first: bytes) -> None:
    """Consumers keep what they made of a head under that object."""
    peer = client_of()
    seen = []
    for at in range(20):
        path = b"/path/%d" % at
        added = at if first == b"\x44" else 0  # each path has moved the other fields by one
        rest = bytes((0xBF + added, 0xBE + added)) if at else b"\x41\x01a\x40\x01x\x01y"
        block = b"\x82\x87%b%b%b%b" % (first, bytes((len(path),)), path, rest)
        (event,) = peer.send(_frame_head(len(block), 2 * at + 1) + block)
        assert isinstance(event, RequestReceived), event
        assert event.path == path
        seen.append(event.head)
    assert all(head is seen[1] for head in seen[1:])
    assert seen[0].fields == seen[1].fields == ((b"x", b"y"),)


def _frame_head(length: int, stream_id: int) -> bytes:
    return length.to_bytes(3, "big") + b"\x01\x05" + stream_id.to_bytes(4, "big")


def test_a_path_is_looked_at_even_if_the_rest_is_known() -> None:
    peer = client_of()
    cases = ((1, b"/a", True), (3, b"b", False), (5, b"/c d", False), (7, b"*", False), (9, b"/e", True))
    for stream_id, path, taken in cases:
        block = b"\x82\x87\x04" + bytes((len(path),)) + path + b"\x01\x01a"
        (event,) = peer.send(_frame_head(len(block), stream_id) + block)
        assert isinstance(event, RequestReceived if taken else StreamReset)


def test_what_is_known_ends_with_the_table_that_it_meant() -> None:
    peer = client_of()
    for stream_id, block, fields in (
        (1, b"\x82\x87\x84\x41\x01a\x40\x01x\x01y", ((b"x", b"y"),)),
        (3, b"\x82\x87\x84\xbf\xbe", ((b"x", b"y"),)),
        (5, b"\x82\x87\x84\xbf\xbe\x40\x01z\x01z", ((b"x", b"y"), (b"z", b"z"))),
        (7, b"\x82\x87\x84\xc0\xbe", ((b"z", b"z"),)),
        (9, b"\x82\x87\x84\xc0\xbf", ((b"x", b"y"),)),
    ):
        (event,) = peer.send(_frame_head(len(block), stream_id) + block)
        assert isinstance(event, RequestReceived)
        assert event.head.fields == fields


def test_what_is_remembered_of_heads_is_bounded() -> None:
    """Heads without end, each a little other and none in the table: few of them are kept, and all are read."""
    peer = client_of()
    reader = peer.connection._reader
    most = 0
    for at in range(200):
        block = b"\x82\x87\x04\x02/a\x01\x01a\x00\x01x\x7f\x96\x16%b" % (b"%03d" % at + 2_962 * b"x")
        (event,) = peer.send(_frame_head(len(block), 2 * at + 1) + block)
        assert isinstance(event, RequestReceived), event
        assert event.head.fields[0][1].startswith(b"%03d" % at)
        most = max(most, sum(map(len, reader._pathless)))
        peer.now += 0.1
        peer.connection.reset(event.stream_id, 8)
    assert 8_000 < most < 64 * 1024
    peer.connection.forget()
    assert not reader._pathless
    assert not reader._heads
