"""Reading responses' heads and writing them for clients."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.edge.core import grammar
from services.edge.core.outgoing import Wish, client_head
from services.edge.core.response_head import (
    CHUNKED,
    NAMELESS,
    UNTIL_CLOSE,
    BadResponseError,
    ResponseHead,
    ResponseReader,
    read_response,
    read_whole,
    server_line,
)


def read(*lines: str, line: str = "HTTP/1.1 200 OK") -> ResponseHead:
    """A response's head."""
    match = grammar.response_head("\r\n".join((line, *lines, "", "")).encode())
    assert match is not None
    return read_response(match)


@pytest.mark.parametrize(
    ("lines", "line", "length", "persistent"),
    [
        (("Content-Length: 5",), "HTTP/1.1 200 OK", 5, True),
        (("Content-Length: 5", "content-length: 5"), "HTTP/1.1 200 OK", 5, True),
        (("Transfer-Encoding: Chunked",), "HTTP/1.1 200", CHUNKED, True),
        ((), "HTTP/1.1 200 OK", UNTIL_CLOSE, True),
        (("Content-Length: 5", "Connection: close"), "HTTP/1.1 200 OK", 5, False),
        (("Content-Length: 5",), "HTTP/1.0 200 OK", 5, False),
        (("Content-Length: 5", "Connection: Keep-Alive"), "HTTP/1.0 200 OK", 5, True),
        (("Content-Length: 5",), "HTTP/1.1 304 Not Modified", 0, True),
        (("Transfer-Encoding: chunked",), "HTTP/1.1 204 No Content", 0, False),
        (("Content-Length: 5",), "HTTP/1.1 204 No Content", 0, False),
        (("Content-Length: 0",), "HTTP/1.1 204 No Content", 0, True),
        ((), "HTTP/1.1 204 No Content", 0, True),
    ],
)
def test_framing(lines: tuple[str, ...], line: str, length: int, persistent: bool) -> None:
    head = read(*lines, line=line)
    assert (head.length, head.persistent) == (length, persistent)
    assert head.passed.startswith(b"HTTP/1.1 ")


def test_what_is_taken_out() -> None:
    head = read(
        "Server: x", "Keep-Alive: 5", "X-Hop: 1", "Connection: keep-alive, X-Hop", "Set-Cookie: a", "Set-Cookie: b"
    )
    assert head.passed == b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 1", "Content-Length: 2"),
        ("Content-Length: -1",),
        ("Content-Length: 1", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: gzip",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    ],
)
def test_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(BadResponseError):
        read(*lines)


HOPELESS = (
    "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\n",
    "HTTP/1.1 200 OK\r\n X: folded",
    "HTTP/1.1 200 OK\r\nX: a\r\n\t",
    "HTTP/1.1 200 OK\r\nX: a\0",
    "HTTP/1.1 200 OK\r\nX: a\rb",
    "HTTP/1.1 200 OK\r\nX : a",
    "HTTP/1.1 200 OK\r\nno colon\r\n",
    "HTTP/1.1 2 ",
    "HTTP/1.1 0",
    "HTTP/1.1  ",
    "HTTP/1.1 2000",
    "HTTP/1.2",
    "HTTP/2",
    "ICY",
    "<html>",
    "\r\n",
    "\0",
)


def is_waited_for(data: bytes, size: int) -> bool:
    reader = ResponseReader()
    try:
        return all(reader.feed(data[at : at + size]) is None for at in range(0, len(data), size))
    except BadResponseError:
        return False


@pytest.mark.parametrize("text", HOPELESS)
def test_what_can_no_longer_become_a_head_is_not_waited_for(text: str) -> None:
    data = text.encode("latin-1")
    assert not is_waited_for(data, len(data))
    assert not is_waited_for(data, 1)


def test_pieces_change_nothing() -> None:
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    reader = ResponseReader()
    results = [reader.feed(data[at : at + 1]) for at in range(data.index(b"hello"))]
    assert results[:-1] == [None] * (len(results) - 1)
    assert results[-1] == (read("Content-Length: 5"), b"")


def test_a_head_that_is_no_head_is_refused_early() -> None:
    with pytest.raises(BadResponseError):
        ResponseReader().feed(b"SSH-2.0")
    reader = ResponseReader()
    assert reader.feed(b"HTTP/1.1 200 OK\r\nX: ") is None
    with pytest.raises(BadResponseError):
        reader.feed(b"a" * 40000)


def wish(minor: int = 1, *, complete: bool = True, persistent: bool = True, bodiless: bool = False) -> Wish:
    """A client's wish over plain http."""
    return Wish(minor, bodiless, complete, persistent, b"", NAMELESS)


@pytest.mark.parametrize(
    ("wished", "lines", "expected", "chunked", "persistent"),
    [
        (wish(), (), b"Content-Length: 7\r\n", False, True),
        (wish(complete=False), (), b"Transfer-Encoding: chunked\r\n", True, True),
        (wish(0, complete=False), (), b"Connection: close\r\n", False, False),
        (wish(0), ("Content-Length: 7",), b"Content-Length: 7\r\nConnection: keep-alive\r\n", False, True),
        (wish(persistent=False), ("Content-Length: 7",), b"Content-Length: 7\r\nConnection: close\r\n", False, False),
        (wish(bodiless=True), ("Transfer-Encoding: chunked",), b"", False, True),
    ],
)
def test_for_clients(wished: Wish, lines: tuple[str, ...], expected: bytes, chunked: bool, persistent: bool) -> None:
    written = client_head(read(*lines), wished, 7, b"now")
    assert written.data == b"HTTP/1.1 200 OK\r\n" + expected + b"Date: now\r\n\r\n"
    assert (written.chunked, written.persistent) == (chunked, persistent)


NAMES = st.sampled_from(
    [
        "Content-Length",
        "content-length",
        "Connection",
        "Server",
        "Keep-Alive",
        "Date",
        "date",
        "Content-Type",
        "Transfer-Encoding",
        "Upgrade",
        "Trailer",
        "Strict-Transport-Security",
        "X_y",
        "Servers",
        "ETag",
    ]
)
VALUES = st.sampled_from(
    ["5", "05", "", "keep-alive", "Keep-Alive ", "close", "chunked", "x" * 30, "5, 5", "\x80", "\x00"]
)
LINES = st.sampled_from(
    ["HTTP/1.1 200 OK", "HTTP/1.1 200", "HTTP/1.1 204 No Content", "HTTP/1.1 304 ", "HTTP/1.0 200 OK", "HTTP/1.1 100 "]
)


def one_way_or_the_other(data: bytes, usual_first: bool) -> ResponseHead | str | None:
    """What becomes of a head: itself, why it is refused, or None where it is not well formed."""
    try:
        return read_whole(data, usual_first)
    except BadResponseError as error:
        return str(error)


@given(LINES, st.lists(st.tuples(NAMES, VALUES), max_size=8))
@example("HTTP/1.1 200 OK", [("Server", "x"), ("Content-Length", "5"), ("Connection", "close")])
@example("HTTP/1.1 200 OK", [("Content-Length", "5"), ("ETag", "x"), ("content-length", "6")])
@example("HTTP/1.1 200 OK", [("Content-Length", "5"), ("Keep-Alive", "x"), ("Transfer-Encoding", "chunked")])
def test_the_quick_way_reads_what_the_thorough_way_reads(line: str, lines: list[tuple[str, str]]) -> None:
    """Heads of the usual form are read by one expression; whatever it lets through, the other would read alike."""
    data = "\r\n".join((line, *(f"{name}: {value}" for name, value in lines), "", "body")).encode("latin-1")
    assert one_way_or_the_other(data, True) == one_way_or_the_other(data, False)


def test_heads_of_any_length_one_way_as_the_other() -> None:
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: " + b"a" * 40000 + b"\r\n\r\n"
    assert read_whole(data, True) is read_whole(data, False) is None
    with pytest.raises(BadResponseError):
        ResponseReader().feed(data)
    read = ResponseReader(64 * 1024).feed(data)
    assert read is not None
    assert (read[0].block, read[1]) == (data, b"")
    many = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + b"X:a\r\n" * 3000 + b"\r\n"
    assert read_whole(many, True) == read_whole(many, False)


@pytest.mark.parametrize(
    ("lines", "said"), [(("server: a b ",), b"Server: a b\r\n"), ((), b""), (("Server:",), b"Server: \r\n")]
)
def test_what_the_endpoint_calls_itself(lines: tuple[str, ...], said: bytes) -> None:
    assert server_line(read(*lines)) == said
