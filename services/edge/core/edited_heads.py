"""Heads after their edits, remembered for a while: what a client and an endpoint send is mostly what they sent before.

Pure. What is remembered is bounded, and found by all that it was made of, so that it holds for nothing else.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from services.edge.core.edits import RequestEdit, ResponseEdit, edit_request, edit_response
from services.edge.core.response_head import ResponseHead, dressed_head

_REMEMBERED: Final = 256
"""Heads of each kind."""
_SMALL: Final = 2048
"""Bytes of one that is remembered, at most."""
_ID: Final = b"\0request-id\0"
"""Stands for a request's id in what is remembered: no head that was let in has a NUL."""


def edited_request(
    method: bytes, target: bytes, middle: bytes, request_id: bytes, edits: tuple[RequestEdit, ...]
) -> bytes:
    """A whole head for an endpoint with ``edits`` in their order. ``middle``: from behind the target to the id;
    ``request_id``: empty where ``middle`` has it."""
    if not request_id or len(middle) > _SMALL:
        return edit_request(b"".join((method, b" ", target, middle, request_id, b"\r\n\r\n")), edits)
    before, after = _around_id(middle, edits)
    return b"".join((method, b" ", target, before, request_id if after else b"", after))


@lru_cache(_REMEMBERED)
def _around_id(middle: bytes, edits: tuple[RequestEdit, ...]) -> tuple[bytes, bytes]:
    """What stands before the id and behind it; nothing behind it: an edit took it out."""
    before, _, after = edit_request(b"%b%b\r\n\r\n" % (middle, _ID), edits).partition(_ID)
    return before, after


def edited_response(head: ResponseHead, edits: tuple[ResponseEdit, ...]) -> ResponseHead:
    """``head`` with ``edits`` in their order."""
    if len(head.block) > _SMALL:
        return _edited(head, edits)
    for edit in edits:
        if edit.change is not None:  # it may say something else each time
            return _edited(head, edits)
    return _remembered(head, edits)


def _edited(head: ResponseHead, edits: tuple[ResponseEdit, ...]) -> ResponseHead:
    return dressed_head(head, lambda status, lines: edit_response(status, lines, edits))


_remembered = lru_cache(_REMEMBERED)(_edited)
