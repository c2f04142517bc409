"""Heads that begin as those before them are read as any other head, only cheaper."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.edge.core import familiar_requests, familiar_responses
from services.edge.core.beginnings import AGAIN, WORTH, Beginnings, alike
from services.edge.core.familiar_requests import FamiliarRequest, familiar_request
from services.edge.core.familiar_responses import FamiliarResponse, familiar_response
from services.edge.core.request_head import RefusedError, read_block
from services.edge.core.response_head import BadResponseError, read_whole

ORDINARY = ["User-Agent: x", "Accept: */*", "Cookie: a=b", "Te-: x", "Traceparent: 00", "Hosts: h", "X-Forwarded-Fo: y"]
READ = [
    "Connection: keep-alive", "Connection: close", "Connection: Cookie", "Content-Length: 0", "Content-Length: 5 ",
    "content-length: 6", "X-Request-ID: abc ", "x-request-id:", "Host: b", "Transfer-Encoding: chunked", "Upgrade: x",
    "Expect: 100-continue", "X-Forwarded-For: 1.2.3.4", "TE: trailers", "a_b: c", "bad line", "bad\x01: x", "a: \x7f",
]  # fmt: skip
OF_REQUESTS = st.lists(st.sampled_from(ORDINARY) | st.sampled_from(READ), max_size=4)


def block(*lines: str) -> bytes:
    return "\r\n".join(("", *lines, "", "")).encode("latin-1")


def whole_request(data: bytes) -> object:
    try:
        return read_block(data, 0, 1, True)
    except RefusedError as refused:
        return str(refused)


@given(OF_REQUESTS, OF_REQUESTS, OF_REQUESTS, st.sampled_from(["", "X: body", "\r\n"]))
@example(["Accept: a"], ["Content-Length: 5"], ["X-Request-ID: a", "Cookie: b", "Content-Length: 5"], "X")
@example(["Accept: a", "Content-Length: 5"], ["A: b"], ["Content-Length: 6"], "")
@example(["Accept: a", "X-Request-ID:"], ["A: b"], ["X-Request-ID: a"], "")
@example(["Accept: a", "Connection: accept"], ["A: b"], ["Cookie: a"], "")
def test_requests_are_read_as_a_whole_would_be(common: list[str], one: list[str], other: list[str], rest: str) -> None:
    known = familiar_request(block("Host: a", *common, *one), block("Host: a", *common, "X-Other: y"))
    data = block("Host: a", *common, *other) + rest.encode()
    read = None if known is None else familiar_requests.read_on(known, data, 0)
    if read is not None:
        assert read == whole_request(data)


@given(
    st.lists(st.sampled_from(ORDINARY), min_size=1, max_size=30),
    st.lists(st.sampled_from([*ORDINARY, "Connection: keep-alive"]), max_size=80),
)
def test_usual_requests_are_read_on(common: list[str], other: list[str]) -> None:
    known = familiar_request(block("Host: a:80", *common, "X-One: x"), block("Host: a:80", *common, "X-Two: y"))
    if len(common) > 24:
        assert known is None
        return
    assert known is not None
    data = block("Host: a:80", *common, *other)
    read = familiar_requests.read_on(known, data, 0)
    assert (read is None) <= (other.count("Connection: keep-alive") > 2 or len(other) > 24)
    if read is not None:
        assert read == whole_request(data)


def test_a_beginning_says_what_follows_or_is_none() -> None:
    def known(*lines: str) -> FamiliarRequest | None:
        return familiar_request(block(*lines, "A: 1"), block(*lines, "A: 2"))

    assert known("Host: a", "Accept: b") is not None
    assert known("Host: a", "Connection: keep-alive") is not None
    for lines in (
        ("Host: a",), ("Accept: b", "Cookie: c"), ("Host: a", "Content-Length: 3"), ("Host: a", "X-Request-ID: 3"),
        ("Host: a", "Connection: b"), ("Host: a", "Upgrade: b"), ("Host: a", "X-Forwarded-For: b"), ("Host: /", "B: c"),
    ):  # fmt: skip
        assert known(*lines) is None, lines


OF_RESPONSES = st.lists(
    st.sampled_from(
        ["Content-Type: text/plain", "ETag: x", "Date: now", "date: then", "Server: s", "Keep-Alive: 5", "TE: a",
         "Connection: keep-alive", "Connection: close", "Content-Length: 5", "content-length: 6", "Content-Length: x",
         "Transfer-Encoding: chunked", "Strict-Transport-Security: a", "Upgrade: x", "a_b: c", "bad line", "a: \x7f"]
    ),
    max_size=4,
)  # fmt: skip


def whole_response(data: bytes) -> object:
    try:
        return read_whole(data, True)
    except BadResponseError as error:
        return str(error)


def response(line: str, *lines: str) -> bytes:
    return line.encode() + block(*lines)


@given(st.sampled_from(["200 OK", "204 No", "304 Not", "101 Up", "404"]), OF_RESPONSES, OF_RESPONSES, OF_RESPONSES)
@example("200 OK", ["Server: x", "Content-Length: 5"], ["A: b"], ["Content-Length: 5"])
@example("304 OK", ["Server: x", "Content-Length: 5"], ["A: b"], ["ETag: x"])
def test_responses_are_read_as_a_whole_would_be(
    status: str, common: list[str], one: list[str], other: list[str]
) -> None:
    line = f"HTTP/1.1 {status}"
    known = familiar_response(response(line, *common, *one), response(line, *common, "X-Other: y"))
    data = response(line, *common, *other) + b"body"
    read = None if known is None else familiar_responses.read_on(known, data)
    if read is not None:
        assert read == whole_response(data)


def test_usual_responses_are_read_on() -> None:
    common = ("HTTP/1.1 200 OK", "Server: nginx", "Date: now", "Content-Type: text/plain")
    known = familiar_response(response(*common, "Content-Length: 5"), response(*common, "Content-Length: 6"))
    assert known is not None
    assert known.text == response(*common)[:-2]
    data = response(*common, "Content-Length: 7", "Connection: keep-alive", "ETag: x") + b"1234567"
    read = familiar_responses.read_on(known, data)
    assert read is not None
    assert read == whole_response(data)
    assert (read.length, read.dated) == (7, True)


def test_larger_heads_than_are_read_at_once_are_left() -> None:
    common = ("HTTP/1.1 200 OK", "Server: nginx", "Content-Type: text/plain")
    known = familiar_response(response(*common, "A: 1"), response(*common, "A: 2"))
    assert known is not None
    assert familiar_responses.read_on(known, response(*common, "A: " + "x" * 40_000)) is None


@pytest.mark.parametrize("cut", range(90))
def test_incomplete_heads_are_left(cut: int) -> None:
    common = ("HTTP/1.1 200 OK", "Server: nginx", "Content-Type: text/plain")
    known = familiar_response(response(*common, "A: 1"), response(*common, "A: 2"))
    assert known is not None
    data = response(*common, "Content-Length: 3", "X-Request: see")
    assert len(data) > 90
    assert familiar_responses.read_on(known, data[:cut]) is None


@given(st.binary(max_size=30), st.binary(max_size=30), st.binary(max_size=30))
def test_alike_is_what_both_begin_with(same: bytes, one: bytes, other: bytes) -> None:
    one, other = b"\r\n" + same + one, b"\r\n" + same + other
    text = alike(one, other)
    assert one.startswith(text)
    assert other.startswith(text)
    assert text.endswith(b"\r\n")
    assert not text.endswith(b"\r\n\r\n") or not one.startswith(text + b"\r\n")


def beginnings() -> Beginnings[FamiliarResponse]:
    return Beginnings(familiar_response)


def dated(date: str, number: int) -> bytes:
    return response("HTTP/1.1 200 OK", "Server: x", f"Date: {date}", "Via: y", f"X-Id: {number}")


def test_a_beginning_that_paid_is_learnt_anew() -> None:
    known = beginnings()
    known.missed(dated("one", 1), b"", 1)
    assert known.known is None
    known.missed(dated("one", 2), dated("one", 1), 2)
    assert known.known is not None
    assert known.known.text.endswith(b"Via: y\r\n")
    known.missed(dated("two", 3), b"", 2 + WORTH)
    assert known.known is None
    known.missed(dated("two", 4), dated("two", 3), 3 + WORTH)
    assert known.known is not None
    assert b"two" in known.known.text


def test_a_beginning_that_did_not_is_cut_down_and_then_left() -> None:
    known = beginnings()
    known.missed(dated("one", 2), dated("one", 1), 2)
    known.missed(dated("two", 3), b"", 3)
    assert known.known is not None
    assert known.known.text == b"HTTP/1.1 200 OK\r\nServer: x\r\n"
    stands = known.known
    known.missed(dated("two", 4) + b"no", b"", 4)
    assert known.known is stands, "what followed was unusual: that says nothing of the beginning"
    known.missed(response("HTTP/1.1 404 Not Found", "Server: x"), b"", 5)
    assert known.known is None
    known.missed(dated("two", 7), dated("two", 6), 6)
    assert known.known is None, "too soon"
    known.missed(dated("two", 9), dated("two", 8), 5 + AGAIN)
    assert known.known is not None
