"""Heads after their edits: what is remembered of them is what they would have become anew."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.edge.core.edited_heads import edited_request, edited_response
from services.edge.core.edits import (
    RequestEdit,
    ResponseEdit,
    edit_request,
    edit_response,
    request_edit,
    response_edit,
)
from services.edge.core.http2_response import Blocks
from services.edge.core.outgoing import Wish, client_head
from services.edge.core.response_head import NAMELESS, Naming, ResponseHead, dressed_head, read_whole

MIDDLE = b" HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-Request-ID: "
LONG = b" HTTP/1.1\r\nHost: a\r\nX-A: %b\r\nX-Request-ID: " % (b"1" * 5000)


@pytest.mark.parametrize(
    "edit",
    [
        request_edit({b"X-A": b"2"}, host=b"b"),
        request_edit(removed=[b"X-Request-ID"]),
        request_edit({b"x-request-id": b"mine"}),
        RequestEdit(old=True),
    ],
    ids=("put", "id taken out", "another id", "old"),
)
@pytest.mark.parametrize("middle", [MIDDLE, LONG, MIDDLE.replace(b"X-A", b"X_A")], ids=("small", "large", "odd"))
def test_requests(middle: bytes, edit: RequestEdit) -> None:
    for request_id in (b"one", b"two", b""):
        whole = b"GET /x%b%b\r\n\r\n" % (middle, request_id)
        assert edited_request(b"GET", b"/x", middle, request_id, (edit,)) == edit_request(whole, (edit,))


def read(text: bytes) -> ResponseHead:
    head = read_whole(b"HTTP/1.1 200 OK\r\nDate: now\r\nX-A: %b\r\nContent-Length: 1\r\n\r\n" % text, True)
    assert head is not None
    return head


@pytest.mark.parametrize("text", [b"1", b"1" * 5000], ids=("small", "large"))
def test_responses(text: bytes) -> None:
    for edit in (response_edit({b"X-B": b"1"}), response_edit(removed=[b"x-a", b"date"])):
        for _ in range(2):
            expected = dressed_head(read(text), lambda status, lines: edit_response(status, lines, (edit,)))  # noqa: B023
            assert edited_response(read(text), (edit,)) == expected


def test_a_date_that_an_edit_puts_in_is_the_only_one() -> None:
    undated = read_whole(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", True)
    assert undated is not None
    edited = edited_response(undated, (response_edit({b"Date": b"then"}),))
    wish = Wish(1, False, True, True, b"", NAMELESS)
    assert client_head(edited, wish, 1, b"now").data.lower().count(b"\ndate:") == 1


_OURS = (b"Server: own\r\n", b"")
_LINES = ("Server: x", "Server: y", "Strict-Transport-Security: a", "Strict-Transport-Security: b", "Date: d", "A: 1")
_EDITS = (
    (),
    (response_edit({b"Server": b"x"}),),
    (response_edit({b"Strict-Transport-Security": b"a"}),),
    (response_edit({b"Date": b"d"}),),
    (response_edit(removed=[b"a", b"date"]),),
    (response_edit({b"A": b"1"}), response_edit({b"Server": b"y", b"Strict-Transport-Security": b"b"})),
)
_HEADS = st.tuples(st.lists(st.sampled_from(_LINES), max_size=3), st.sampled_from(_EDITS))


@given(st.lists(_HEADS, min_size=2, max_size=8), st.sampled_from(_OURS), st.sampled_from(_OURS), st.booleans())
@example([(["Server: x"], _EDITS[4]), ([], _EDITS[1])], b"", b"", False)
@example(
    [(["Strict-Transport-Security: a"], _EDITS[4]), ([], _EDITS[2])], b"", b"Strict-Transport-Security: c\r\n", False
)
def test_what_clients_of_http2_are_told_is_the_same_with_a_memory_and_without(
    heads: list[tuple[list[str], tuple[ResponseEdit, ...]]], own: bytes, security: bytes, endpoints: bool
) -> None:
    naming = Naming(own, endpoints)
    remembering = Blocks(security, naming)
    for lines, edits in heads:
        text = "\r\n".join(("HTTP/1.1 200 OK", *lines, "Content-Length: 1", "", ""))
        read_ = read_whole(text.encode(), False)
        assert read_ is not None
        head = edited_response(read_, edits) if edits else read_
        assert remembering.block(head, b"now") == Blocks(security, naming).block(head, b"now")


def test_what_may_say_something_else_each_time_is_asked_each_time() -> None:
    times = iter((b"B: 1\r\n", b"B: 2\r\n"))
    edit = response_edit(change=lambda _status, lines: lines + next(times))
    assert [edited_response(read(b"1"), (edit,)).passed[-6:] for _ in range(2)] == [b"B: 1\r\n", b"B: 2\r\n"]
