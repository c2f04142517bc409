"""Requests that came over HTTP/2 as the HTTP/1.1 that endpoints speak: one strict head, nothing that reads two ways.

Owns the way from a decoded head to the block that ``request_head`` reads, so that every rule about headers holds for
both protocols alike. Pure. Must not know frames or HPACK; that a head obeys RFC 9113 was checked where it was decoded,
and what could tear an HTTP/1.1 head apart is checked here once more.
"""

from __future__ import annotations

import re
from typing import Final

from services.edge.core import grammar
from services.edge.core.forwarded import ClientFacts
from services.edge.core.generation import Generation
from services.edge.core.http2.events import NO_LENGTH, RequestHead
from services.edge.core.prepared import Prepared, Standing, prepare
from services.edge.core.request_head import (
    USUAL_LIMITS,
    HeadLimits,
    RefusedError,
    ordinary,
    read_block,
    read_headers,
)
from services.edge.core.whole_head import read_line

REMEMBERED: Final = 32
"""Different heads that a connection remembers."""
REMEMBERED_BYTES: Final = 4 * 1024
"""Heads that are longer are read anew each time, so that what is remembered of a client stays small."""
REMEMBERED_IN_ALL: Final = 32 * 1024
"""Bytes of heads that a connection remembers; then it forgets them."""

_NOT_TAKEN: Final = frozenset((b"CONNECT", b"TRACE"))
"""Methods that are refused in any case of letters."""

_names = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9a-z-]++\n)*+").fullmatch
_target = re.compile(rb"/[\x21\x22\x24-\x7e]*+").fullmatch


def block_of(head: RequestHead, ended: bool) -> bytes:
    """The block of headers that an HTTP/1.1 client would have sent for ``head``. Raises RefusedError.

    ``ended``: the request has no body; otherwise a body of unknown length is announced in chunks.
    """
    names = b"".join([b"%b\n" % name for name, _ in head.fields])
    lines = b"".join([b"%b: %b\r\n" % pair for pair in head.fields])
    framing = b""
    if head.length != NO_LENGTH:
        framing = b"Content-Length: %d\r\n" % head.length
    elif not ended:
        framing = b"Transfer-Encoding: chunked\r\n"
    block = b"\r\nHost: %b\r\n%b%b\r\n" % (head.authority, lines, framing)
    if _names(names) is None or block.count(b"\n") != len(head.fields) + (4 if framing else 3):
        raise RefusedError(400, "header")
    return block


def check_target(method: bytes, target: bytes, limits: HeadLimits) -> None:
    """Refuse what ``request_line`` of the grammar would not take. Raises RefusedError."""
    if len(target) > limits.line:
        raise RefusedError(414, "request-line-too-large")
    if method.upper() in _NOT_TAKEN or _target(target) is None:
        if grammar.any_request_line(b"%b %b HTTP/1.1\r\n" % (method, target)) is None:
            raise RefusedError(405 if method == b"CONNECT" else 400, "request-line")
        read_line(method, target, 1)


class Requests:
    """The requests of one connection: what follows from a head is worked out once while the client repeats it.

    Owns that memory, which is bounded, and forgotten when another generation is in force.
    """

    __slots__ = ("_ended", "_facts", "_generation", "_size", "_standing", "_unended")

    def __init__(self, facts: ClientFacts) -> None:
        self._facts = facts
        self._generation: Generation | None = None
        self._ended: dict[RequestHead, Prepared] = {}
        self._unended: dict[RequestHead, Prepared] = {}
        self._standing: Standing | None = None
        self._size = 0

    def forget(self) -> None:
        """Remember nothing for requests to come."""
        self._generation = self._standing = None
        self._clear()

    def _clear(self) -> None:
        self._ended.clear()
        self._unended.clear()
        self._size = 0

    def prepare(self, head: RequestHead, ended: bool, generation: Generation) -> Prepared:
        """What follows from ``head``. ``ended``: no body follows. Raises RefusedError."""
        if generation is not self._generation:
            self._generation = generation
            self._clear()
        known = self._ended if ended else self._unended
        prepared = known.get(head)
        if prepared is None:
            prepared = self._prepare(head, ended, generation)
            size = len(prepared.headers.block)
            if size <= REMEMBERED_BYTES:
                self._make_room(known, size)
                known[head] = prepared
        return prepared

    def _make_room(self, known: dict[RequestHead, Prepared], size: int) -> None:
        self._size += size
        while known and (len(known) >= REMEMBERED or self._size > REMEMBERED_IN_ALL):
            oldest = known.pop(next(iter(known)))
            self._size -= len(oldest.headers.block)
        if self._size > REMEMBERED_IN_ALL:
            self._clear()
            self._size = size

    def _prepare(self, head: RequestHead, ended: bool, generation: Generation) -> Prepared:
        block = block_of(head, ended)
        limits = generation.head_limits
        is_small = len(block) <= min(limits.line, USUAL_LIMITS.line)
        headers = read_block(block, 0, 1, True) if is_small else None
        if headers is None:
            if grammar.any_block(block) is None:
                raise RefusedError(400, "header")
            headers = read_headers(ordinary(block, limits), 1, b"", limits)
        prepared = prepare(self._facts, headers, generation, self._standing)
        self._standing = prepared.standing
        return prepared
