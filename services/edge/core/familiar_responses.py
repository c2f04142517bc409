"""Heads of responses that begin as those before them on the same connection.

What is read here is what ``services.edge.core.response_head`` would read of it, only cheaper. Pure.
"""

from __future__ import annotations

import re

from msgspec import Struct

from services.edge.core import grammar
from services.edge.core.beginnings import alike
from services.edge.core.response_head import LINES, ResponseHead, is_dated, usual, usual_head, usual_lines

_rest = re.compile(rb"(%b)%b\r\n" % (LINES, usual_lines(3, 2))).match
"""What may follow a beginning, to the empty line: lines that go on, and among them at most three that are read."""


class FamiliarResponse(Struct, frozen=True, gc=False):
    """``text``: the status line and more. ``passed``: what of it goes on; ``length``: what it says the body has, if it
    does; ``dated``: Date is among it. ``size``, ``framing``: the length as a number and as the line at the end of what
    goes on, empty where that takes more than a look."""

    text: bytes
    status: int
    passed: bytes
    length: bytes
    dated: bool
    size: int
    framing: bytes


def familiar_response(one: bytes, other: bytes) -> FamiliarResponse | None:
    """What two heads begin with alike; None: too little, or what the meaning of others may depend on."""
    text = alike(one, other)
    match = usual_head(text + b"\r\n") if text.count(b"\n") >= 2 else None
    if match is None:
        return None
    start, code, one, first, two, second, three, third, four, fourth = match.groups(b"")
    passed = b"".join((start, first, second, third, fourth))
    status, length = int(code), one or two or three or four
    framing = b"Content-Length: %b\r\n" % length if length and status not in (204, 304) else b""
    return FamiliarResponse(text, status, passed, length, is_dated(text), int(length or 0), framing)


def read_on(known: FamiliarResponse, data: bytes) -> ResponseHead | None:
    """The head that ``data`` begins with. None: it does not begin so, or has to be read as a whole."""
    text = known.text
    if not data.startswith(text):
        return None
    match = _rest(data, len(text))
    if match is None:
        return None
    end = match.end()
    if end > grammar.RESPONSE_LIMIT:
        return None
    block = data[:end]
    dated = known.dated or is_dated(block)
    length = known.length
    if match.lastindex == 1:  # nothing follows but lines that go on
        if known.framing:
            passed = b"".join((known.passed, match[1], known.framing))
            return ResponseHead(block, known.status, known.size, passed, True, dated, True, dated)
        passed = known.passed + match[1]
    else:
        first, one, second, two, third, three, fourth = match.groups(b"")
        passed = b"".join((known.passed, first, second, third, fourth))
        more = one or two or three
        if more:
            if length:
                return None
            length = more
    return usual(block, known.status, length, passed, dated)
