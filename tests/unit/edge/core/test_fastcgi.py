"""FastCGI's records, and the heads of scripts."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proto.policies import FastCGI, Mirror
from services.edge.core.course import Course, Onward
from services.edge.core.edits import edit_request
from services.edge.core.fastcgi import FastCGIError, ResponseReader, request
from tests.support.fastcgi import END, PARAMS, STDOUT, decoded, out, page
from tests.unit.edge.core.test_phases import asked, generation, policed, route


def parameters(records: bytes) -> dict[str, str]:
    found, at = b"", 0
    while at < len(records):
        kind, size, padding = records[at + 1], int.from_bytes(records[at + 4 : at + 6], "big"), records[at + 6]
        if kind == PARAMS:
            found += records[at + 8 : at + 8 + size]
        at += 8 + size + padding
    return decoded(found)


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z]{1,200}", fullmatch=True),
        st.text(st.characters(max_codepoint=126, min_codepoint=33), max_size=300),
        max_size=40,
    )
)
def test_parameters_of_any_size(said: dict[str, str]) -> None:
    lines = "".join(f"({name}): {value}\r\n" for name, value in said.items())
    records, length = request(f"GET /x?y HTTP/1.1\r\nHost: h\r\n{lines}\r\n".encode())
    assert length == 0
    told = {"REQUEST_METHOD": "GET", "QUERY_STRING": "y", "HTTP_HOST": "h", "CONTENT_LENGTH": "", "CONTENT_TYPE": ""}
    assert parameters(records) == told | said


WHOLE = page(b"Status: 404 Not\r\nX-A: b\n\nhello")


@given(st.lists(st.integers(0, len(WHOLE)), max_size=6))
def test_responses_in_any_pieces(cuts: list[int]) -> None:
    reader = ResponseReader(bodiless=False)
    said = b"".join(reader.feed(WHOLE[start:end]) for start, end in pairwise([0, *sorted(cuts), len(WHOLE)]))
    head = b"HTTP/1.1 404 Not\r\nX-A: b\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert said == head + b"5\r\nhello\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "said",
    [
        WHOLE + b"\1" + bytes(7),
        out(STDOUT, b"A: b\n\n") + out(END, b"\0\0\0\0\2\0\0\0"),
        out(STDOUT, b"A: b\n\n") + out(END, b""),
        out(STDOUT, b"A b\n\n"),
        out(STDOUT, b"A: b\n c\n\n"),
        out(STDOUT, b"Content-Length: -1\n\n"),
        out(STDOUT, b"X" * 0xFFFF),
        b"\2" + bytes(7),
    ],
)
def test_what_is_refused(said: bytes) -> None:
    with pytest.raises(FastCGIError):
        ResponseReader(bodiless=False).feed(said)


@given(st.binary(max_size=100))
def test_nothing_else_is_raised(said: bytes) -> None:
    for data in (said, out(STDOUT, said + b"\n\n")):
        with suppress(FastCGIError):
            ResponseReader(bodiless=False).feed(data)


def test_a_script_is_told_what_no_client_could_say_and_copies_are_not() -> None:
    table = generation(route(FastCGI("i.php", (("A", "x$fastcgi_script_name y"),)), Mirror("http://s/", "s")))
    onward = Course(policed(table), asked(table, "/x/")).run()
    assert isinstance(onward, Onward)
    head = edit_request(b"GET /x/ HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n", onward.edits)
    assert b"\r\n(A): x/x/i.php y\r\n" in head
    make = policed(table).mirroring
    assert make is not None
    copy = make(asked(table, "/x/"), head)
    assert copy is not None
    assert copy.head == b"GET / HTTP/1.1\r\nHost: s\r\nX: y\r\n"
