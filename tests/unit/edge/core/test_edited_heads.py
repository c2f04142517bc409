"""Heads after their edits: what is remembered of them is what they would have become anew."""

from __future__ import annotations

import pytest

from services.edge.core.edited_heads import edited_request, edited_response
from services.edge.core.edits import RequestEdit, edit_request, edit_response, request_edit, response_edit
from services.edge.core.response_head import ResponseHead, dressed_head, read_whole

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


def test_what_may_say_something_else_each_time_is_asked_each_time() -> None:
    times = iter((b"B: 1\r\n", b"B: 2\r\n"))
    edit = response_edit(change=lambda _status, lines: lines + next(times))
    assert [edited_response(read(b"1"), (edit,)).passed[-6:] for _ in range(2)] == [b"B: 1\r\n", b"B: 2\r\n"]
