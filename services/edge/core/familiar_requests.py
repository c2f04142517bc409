"""Headers of requests that begin as those before them on the same connection.

What is read here is what ``services.edge.core.request_head`` would read of it, only cheaper. Pure.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from services.edge.core import grammar
from services.edge.core.beginnings import alike
from services.edge.core.request_head import LINES, NOT_FORWARDED, RequestHeaders, one_taken, read_usual, usual_block

_LINES_AT_MOST: Final = grammar.COUNT_LIMIT // 4
"""How many lines a beginning may have: with all that ``_rest`` takes these are no more than a head may have."""

_rest = re.compile(rb"%b(?:%b(?:%b)?)?\r\n" % (LINES, one_taken(2), one_taken(5, 2))).match
"""What may follow a beginning, to the empty line: lines that go on, and among them at most two that are read."""

_ONCE: Final = (2, 3, 7, 8, 10, 11)
"""Groups of ``usual_block`` that hold a length or a request id: there may be one of each in a head."""


class FamiliarRequest(Struct, frozen=True, gc=False):
    """``text``: from the CRLF after the request line on, Host among it. ``headers``: what it says by itself."""

    text: bytes
    headers: RequestHeaders


def familiar_request(one: bytes, other: bytes) -> FamiliarRequest | None:
    """What two blocks of headers begin with alike; None: too little, or what the meaning of others may depend on."""
    text = alike(one, other)
    if not 2 <= text.count(b"\n") - 1 <= _LINES_AT_MOST:
        return None
    usual = usual_block(text + b"\r\n")
    if usual is None or any(group is not None for group in usual.group(*_ONCE)):
        return None
    return FamiliarRequest(text, read_usual(usual))


def read_on(known: FamiliarRequest, data: bytes, at: int) -> RequestHeaders | None:
    """The headers that begin at ``at``, in HTTP/1.1. None: they do not begin so, or have to be read as a whole."""
    text = known.text
    if not data.startswith(text, at):
        return None
    match = _rest(data, at + len(text))
    if match is None:
        return None
    before = known.headers
    length, request_id = 0, b""
    if match.lastindex == 1:  # nothing follows but lines that go on
        passed = before.passed + match[1]
    else:
        first, one, id_1, second, two, id_2, third = match.groups(b"")
        passed = b"".join((before.passed, first, second, third))
        if digits := one or two:
            length = int(digits)
            if not length:
                passed += b"Content-Length: 0\r\n"
        request_id = (id_1 or id_2).rstrip(b" \t")
    block = data[at : match.end()]
    host, authority = before.host, before.authority
    return RequestHeaders(block, 1, host, authority, length, True, False, b"", request_id, NOT_FORWARDED, passed)
