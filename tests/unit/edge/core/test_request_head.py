"""Reading requests' heads: what is let through, what is refused, and that pieces change nothing."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge.core import request_head
from services.edge.core.request_head import CHUNKED, RefusedError, RequestHeaders, read_block, read_headers
from services.edge.core.whole_head import Head, HeadReader, read_head


def head(*lines: str, line: str = "GET / HTTP/1.1") -> bytes:
    """A head's bytes."""
    return "\r\n".join((line, *lines)).encode("latin-1") + b"\r\n\r\n"


def refusal(data: bytes) -> int:
    """The status with which a complete head is refused."""
    with pytest.raises(RefusedError) as caught:
        read_head(data)
    return caught.value.status


def test_what_is_taken_out_and_what_goes_on() -> None:
    read = read_head(
        head(
            "Host: A.Example:8080",
            "Accept: */*",
            "Connection: keep-alive, X-Gone",
            "X-Gone: 1",
            "X-Forwarded-For: 1.1.1.1",
            "x-forwarded-for: 2.2.2.2",
            "X-Request-ID: id",
            "X_Real_IP: 6.6.6.6",
            "X-Auth-Request-User: admin",
            "X-Auth-Token: mine",
            "Cookie: a=b",
            "Cookie: c_d=e",
        )
    )
    headers = read.headers
    assert headers.host == "a.example"
    assert headers.authority == b"A.Example:8080"
    assert headers.request_id == b"id"
    assert headers.forwarded.for_ == b"1.1.1.1, 2.2.2.2"
    assert headers.passed == b"Accept: */*\r\nX-Auth-Token: mine\r\nCookie: a=b\r\nCookie: c_d=e\r\n"
    assert headers.persistent


@pytest.mark.parametrize(
    ("lines", "minor", "persistent"),
    [
        ((), 1, True),
        (("Connection: close",), 1, False),
        (("Connection: Keep-Alive, CLOSE",), 1, False),
        ((), 0, False),
        (("Connection: keep-alive",), 0, True),
        (("Connection: keep-alive", "Connection: close"), 0, False),
    ],
)
def test_persistence(lines: tuple[str, ...], minor: int, persistent: bool) -> None:
    assert read_head(head("Host: a", *lines, line=f"GET / HTTP/1.{minor}")).headers.persistent is persistent


@pytest.mark.parametrize(
    ("lines", "length"),
    [
        ((), 0),
        (("Content-Length: 5 ",), 5),
        (("Content-Length:\t007",), 7),
        (("Transfer-Encoding: ChunkeD",), CHUNKED),
        (("Connection: Transfer-Encoding", "Transfer-Encoding: chunked"), CHUNKED),
    ],
)
def test_framing(lines: tuple[str, ...], length: int) -> None:
    headers = read_head(head("Host: a", *lines)).headers
    assert headers.length == length
    assert headers.passed == b""


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (head("Host: a", "Content-Length: 1", "Content-Length: 1"), 400),
        (head("Host: a", "Content-Length: 1, 1"), 400),
        (head("Host: a", "Content-Length: +1"), 400),
        (head("Host: a", "Content-Length: "), 400),
        (head("Host: a", "Content-Length: 1", "Transfer-Encoding: chunked"), 400),
        (head("Host: a", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400),
        (head("Host: a", "Transfer-Encoding: chunked, chunked"), 400),
        (head("Host: a", "Transfer-Encoding: \x0bchunked"), 400),
        (head("Host: a", "Transfer-Encoding: gzip"), 501),
        (head("Host: a", "Transfer-Encoding: chunked", line="GET / HTTP/1.0"), 400),
        (head(), 400),
        (head("Host: a", "Host: a"), 400),
        (head("Host: a,b"), 400),
        (head("Host: a:65536"), 400),
        (head("Host: a/b"), 400),
        (head("Host: "), 400),
        (head("Host: a", "X: a\x00b"), 400),
        (head("Host: a", "X: a\rb"), 400),
        (head("Host: a", "X: a\nb: c"), 400),
        (head("Host: a", " folded"), 400),
        (head("Host: a", "X : y"), 400),
        (head("Host: a", "no colon"), 400),
        (head("Host: a", ": y"), 400),
        (head("Host: a", "X@: y"), 400),
        (head("Host: a", line="GET /#f HTTP/1.1"), 400),
        (head("Host: a", line="GET /\x80 HTTP/1.1"), 400),
        (head("Host: a", line="GET / HTTP/1.2"), 400),
        (head("Host: a", line="GET / HTTP/2.0"), 400),
        (head("Host: a", line="GET  / HTTP/1.1"), 400),
        (head("Host: a", line="GET / HTTP/1.1 "), 400),
        (head("Host: a", line="GET x HTTP/1.1"), 400),
        (head("Host: a", line="GET * HTTP/1.1"), 400),
        (head("Host: a", line="GET http:///x HTTP/1.1"), 400),
        (head("Host: a", line="GET http://u@b/x HTTP/1.1"), 400),
        (head("Host: a", line="CONNECT a:80 HTTP/1.1"), 405),
        (head("Host: a", line="TRACE / HTTP/1.1"), 405),
        (head("Host: a", line="GET /" + "a" * 9000 + " HTTP/1.1"), 414),
        (head("Host: a", "X: " + "a" * 9000), 431),
        (head("Host: a", *(f"X-{n}: v" for n in range(100))), 431),
        (head("Host: a", *("X: " + "a" * 7000 for _ in range(5))), 431),
        (head("Host: a", line="connect / HTTP/1.1"), 405),
        (head("Host: a", line="Trace / HTTP/1.1"), 405),
        (head("Host: a", "Connection: upgrade", "Upgrade: websocket"), 400),
        (head("Host: a", "Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: "), 400),
    ],
)
def test_refused(data: bytes, status: int) -> None:
    assert refusal(data) == status


def test_a_target_in_absolute_form_decides_the_host() -> None:
    read = read_head(head("Host: other", line="GET http://A.example:80?x HTTP/1.1"))
    assert (read.line.target, read.headers.host, read.headers.authority) == (b"/?x", "a.example", b"A.example:80")


def test_http_1_0_may_leave_out_the_host() -> None:
    headers = read_head(head(line="GET / HTTP/1.0")).headers
    assert (headers.host, headers.authority) == ("", b"_")


def test_upgrades() -> None:
    def asked(*lines: str) -> bytes:
        return read_head(head("Host: a", *lines)).headers.upgrade

    assert asked("Connection: Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Key: x") == b"WebSocket"
    assert asked("Upgrade: other") == b""
    assert asked("Connection: Upgrade", "Upgrade: h2c, other") == b""
    assert asked("Connection: Upgrade", "Upgrade: h2c", "Upgrade: other") == b""
    assert asked("Connection: Upgrade", "Upgrade: a/1 , b") == b"a/1 , b"
    assert asked("Connection: Upgrade", "Upgrade: a b") == b""
    assert asked("Connection: Upgrade", "Upgrade: a", "Content-Length: 5") == b""
    assert asked("Connection: Upgrade", "Upgrade: a", "Transfer-Encoding: chunked") == b""


@pytest.mark.parametrize(
    "name",
    ["X-Auth-Username", "x-auth-id", "Proxy-Authorization", "Proxy-Authenticate", "HTTP2-Settings", "SSL-Client-Cert"],
)
def test_names_that_are_not_the_clients_to_say(name: str) -> None:
    block = head("Host: a", f"{name}: evil", "Cookie: a=b", line="")
    for usual_first in (True, False):
        read = read_block(block, 0, 1, usual_first)
        assert read is not None
        assert read.passed == b"Cookie: a=b\r\n"


@pytest.mark.parametrize("name", ["X-Auth-Token", "x-auth-key", "X-Auth", "Proxy-Other", "HTTP2-Setting"])
def test_names_like_those_that_are_the_clients_to_say(name: str) -> None:
    for usual_first in (True, False):
        read = read_block(head("Host: a", f"{name}: mine", line=""), 0, 1, usual_first)
        assert read is not None
        assert read.passed == f"{name}: mine\r\n".encode()


def collect(pieces: list[bytes]) -> tuple[Head, bytes] | int | None:
    """What a reader makes of ``pieces``: head and rest, the status of a refusal, or None."""
    reader = HeadReader()
    try:
        for number, piece in enumerate(pieces):
            if (read := reader.feed(piece)) is not None:
                return read[0], read[1] + b"".join(pieces[number + 1 :])
    except RefusedError as refused:
        return refused.status
    return None


TOKENS = st.text("abcXYZ-_.~!", min_size=1, max_size=8)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=20)
NAMES = st.sampled_from(["Host", "Connection", "Content-Length", "Transfer-Encoding", "X-Request-ID", "Cookie"])
LINES = st.lists(st.tuples(NAMES | TOKENS, VALUES | st.sampled_from(["a", "5", "chunked", "close"])), max_size=6)


@given(LINES, st.lists(st.integers(0, 300), max_size=6), st.binary(max_size=5), st.data())
def test_pieces_change_nothing(lines: list[tuple[str, str]], cuts: list[int], rest: bytes, data: st.DataObject) -> None:
    """Whole, cut anywhere, and byte by byte: the same head, the same rest, the same refusal; also when damaged."""
    whole = head("Host: a", *(f"{name}: {value}" for name, value in lines)) + rest
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole = whole[:at] + data.draw(st.binary(max_size=2)) + whole[at + data.draw(st.integers(0, 2)) :]
    expected = collect([whole])
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    for pieces in (
        [whole[start:end] for start, end in itertools.pairwise(edges)],
        [whole[at : at + 1] for at in range(len(whole))],
    ):
        found = collect(pieces)
        assert found == expected or (isinstance(expected, int) and isinstance(found, int))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    collect([data])


def test_long_hosts_are_refused_without_being_remembered() -> None:
    before = request_head._canonical.cache_info().currsize
    assert refusal(head("Host: " + "a" * 8000)) == 400
    assert refusal(head("Host: ok.example", line=f"GET http://{'a' * 8000}/ HTTP/1.1")) == 400
    assert refusal(head("Host: " + "b" * 8000, line="GET http://a.example/ HTTP/1.1")) == 400
    longest = ".".join(["a" * 63] * 3 + ["a" * 61])
    assert read_head(head(f"Host: {longest}.:65535")).headers.host == longest
    assert request_head._canonical.cache_info().currsize <= before + 2


USUAL = ["Host", "host", "Connection", "Cookie", "User-Agent", "TE", "Te-", "Hosts", "Content-Type", "X-Forwarded-Fo"]


def one_way_or_the_other(data: bytes, usual_first: bool) -> RequestHeaders | str | None:
    """What becomes of a block: headers, why it is refused, or None where it has to go the slow way."""
    try:
        return read_block(data, 0, 1, usual_first)
    except RefusedError as refused:
        return str(refused)


@given(
    st.lists(st.tuples(NAMES | TOKENS | st.sampled_from(USUAL), VALUES | st.sampled_from(["a", "keep-alive"]))),
    st.data(),
)
def test_the_quick_way_reads_what_the_thorough_way_reads(lines: list[tuple[str, str]], data: st.DataObject) -> None:
    """Blocks of the usual form are read by one expression; whatever it lets through, the other would read alike."""
    whole = b"\r\n" + head("Host: a", *(f"{name}: {value}" for name, value in lines), line="").removeprefix(b"\r\n")
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(whole)))
        whole = whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + data.draw(st.integers(0, 2)) :]
    assert one_way_or_the_other(whole, True) == one_way_or_the_other(whole, False)


@pytest.mark.parametrize("count", [23, 24, 25, 47, 48, 99, 100])
def test_as_many_lines_one_way_as_the_other(count: int) -> None:
    block = b"\r\nHost: a\r\n" + b"A: b\r\n" * (count - 1) + b"\r\n"
    read = read_block(block, 0, 1, True)
    assert read is not None
    assert read == read_headers(block, 1)
    with pytest.raises(RefusedError):
        read_block(b"\r\nHost: a\r\nConnection: keep-alive\r\n" + b"A: b\r\n" * 99 + b"\r\n", 0, 1, True)


@pytest.mark.parametrize("length", [253, 254, 260, 261, 5000])
def test_hosts_as_long_one_way_as_the_other(length: int) -> None:
    block = b"\r\nHost: " + b"a" * length + b"\r\n\r\n"
    read = one_way_or_the_other(block, True)
    assert read is not None
    assert read == one_way_or_the_other(block, False)
