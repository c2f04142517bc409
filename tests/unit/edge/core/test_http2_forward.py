"""Heads between the edge's own form and an endpoint's HTTP/2, the blocks read back by the ``hpack`` library."""

from __future__ import annotations

import hpack
import pytest

from services.edge.core.http2.events import ResponseHead
from services.edge.core.http2_forward import REMEMBERED, RequestBlocks, ResponseHeads
from services.edge.core.response_head import UNTIL_CLOSE, BadResponseError

HEAD = b"POST /a?b HTTP/1.1\r\nHost: t.test\r\nContent-Type: application/grpc\r\nX-Request-ID: %b\r\n\r\n"


def read(block: bytes) -> list[tuple[str, str]]:
    return [(name, value) for name, value in hpack.Decoder().decode(block)]


@pytest.mark.parametrize("request_id", [b"0123456789abcdef" * 2, b"x" * 200, b""])
def test_a_request(request_id: bytes) -> None:
    blocks = RequestBlocks(b"https")
    for _ in range(2):
        assert read(blocks.block(HEAD % request_id)) == [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", "t.test"),
            (":path", "/a?b"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("x-request-id", request_id.decode()),
        ]


def test_a_long_path() -> None:
    block = RequestBlocks(b"http").block(b"GET /%b HTTP/1.1\r\nHost: t\r\nX-Request-ID: 1\r\n\r\n" % (b"a" * 5000))
    assert dict(read(block))[":path"] == "/" + "a" * 5000


def test_a_head_without_an_id_of_ours() -> None:
    block = RequestBlocks(b"http").block(b"GET / HTTP/1.1\r\nX-Code: 503\r\nHost: t.test\r\nAccept: */*\r\n\r\n")
    assert dict(read(block)) == {
        ":method": "GET",
        ":scheme": "http",
        ":authority": "t.test",
        ":path": "/",
        "x-code": "503",
        "accept": "*/*",
        "te": "trailers",
    }
    alone = RequestBlocks(b"http").block(b"GET / HTTP/1.1\r\nHost: t.test\r\n\r\n")
    assert dict(read(alone))[":authority"] == "t.test"


def test_what_belongs_to_http1_stays_behind() -> None:
    lines = b"Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\nTE: gzip\r\nKeep-Alive: 1\r\n"
    block = RequestBlocks(b"http").block(b"GET / HTTP/1.1\r\nHost: t\r\n%bX-Request-ID: 1\r\n\r\n" % lines)
    assert [name for name, _ in read(block)][4:] == ["te", "x-request-id"]


def test_what_is_remembered_is_bounded() -> None:
    blocks, heads = RequestBlocks(b"http"), ResponseHeads()
    for number in range(3 * REMEMBERED):
        blocks.block(b"GET / HTTP/1.1\r\nHost: %d\r\nA: b\r\nX-Request-ID: 1\r\n\r\n" % number)
        heads.read(ResponseHead(200, -1, ((b"x", b"%d" % number),)))
    assert len(blocks._known) <= REMEMBERED
    assert len(heads._known) <= REMEMBERED


def test_a_response() -> None:
    told = ResponseHead(404, 5, ((b"content-type", b"text/plain"), (b"server", b"other")))
    heads = ResponseHeads()
    head = heads.read(told)
    assert heads.read(told) is head
    assert (head.status, head.length, head.framed, head.persistent) == (404, 5, True, True)
    assert head.passed == b"HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\nContent-Length: 5\r\n"


def test_a_response_of_unknown_length_ends_with_its_stream() -> None:
    head = ResponseHeads().read(ResponseHead(299, -1, ()))
    assert (head.status, head.length) == (299, UNTIL_CLOSE)


@pytest.mark.parametrize("field", [(b"x", b"a\r\nb: c"), (b"a b", b"c"), (b"", b"c")])
def test_what_would_tear_a_head_apart_is_refused(field: tuple[bytes, bytes]) -> None:
    with pytest.raises(BadResponseError):
        ResponseHeads().read(ResponseHead(200, 0, (field,)))
