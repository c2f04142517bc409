"""The three parsers that judge: that they read, that they tell clean from partial, and that they notice differences."""

from __future__ import annotations

import pytest

from tests.hostile.readings import (
    Parser,
    by_h11,
    by_h11_responses,
    by_llhttp,
    by_llhttp_responses,
    requests_alike,
    responses_alike,
    strictly,
    strictly_responses,
)

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nHello"
CHUNKED = b"PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n0\r\n\r\n"
UPGRADE = b"GET /d HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize("read", [strictly, by_h11, by_llhttp])
def test_requests(read: Parser) -> None:
    reading = read(GET + POST + CHUNKED + UPGRADE + GET)
    assert [message.start[1] for message in reading.messages] == [b"/a", b"/b", b"/c", b"/d", b"/a"]
    assert [message.body for message in reading.messages] == [b"", b"Hello", b"Hello", b"", b""]
    assert reading.ending == "clean"
    assert read(GET + POST[:-1]).ending == "partial"
    assert read(GET + GET[:-2]).ending == "partial"
    assert read(GET + b"no request\r\n\r\n").ending == "error"
    assert len(read(GET + b"no request\r\n\r\n").messages) == 1


@pytest.mark.parametrize("read", [strictly_responses, by_h11_responses, by_llhttp_responses])
def test_responses(read: Parser) -> None:
    chunked = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"
    reading = read(OK + chunked + OK)
    assert [message.essence for message in reading.messages] == [
        ((b"200",), b"ok"),
        ((b"404",), b"no"),
        ((b"200",), b"ok"),
    ]
    assert read(OK + b"HTTP/1.1 OK\r\n\r\n").ending == "error"


@pytest.mark.parametrize(
    "data",
    [
        GET.replace(b"\r\n\r\n", b"\r\nX: a\nY: b\r\n\r\n"),
        b"GET /a HTTP/1.1\nHost: h\n\n",
        POST.replace(b"Content", b"Transfer-Encoding: chunked\r\nContent"),
        CHUNKED.replace(b"0\r\n", b"0\r\nX: y\r\n"),
        CHUNKED.replace(b"5\r\n", b"5;a\r\n"),
        GET.replace(b"/a", b"http://h/a"),
        GET.replace(b"Host", b"Hos"),
    ],
)
def test_what_could_be_read_in_two_ways_is_noticed(data: bytes) -> None:
    with pytest.raises(AssertionError):
        requests_alike(data)


def test_alike() -> None:
    assert len(requests_alike(GET + POST + CHUNKED).messages) == 3
    assert len(responses_alike(OK + OK).messages) == 2
    with pytest.raises(AssertionError):
        responses_alike(OK.replace(b"2\r", b"+2\r"))
