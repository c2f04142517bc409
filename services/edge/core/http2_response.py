"""Responses of endpoints, and the edge's own, as heads for clients that speak HTTP/2.

Owns which lines go into a block, and the memory of blocks: endpoints repeat their heads, and an encoded block means the
same on each connection. Pure: bytes in, bytes out. Must not know streams.
"""

from __future__ import annotations

from typing import Final

from services.edge.core import grammar
from services.edge.core.http2 import encode_fields, encode_response
from services.edge.core.response_head import NAMELESS, Naming, ResponseHead, server_told

REMEMBERED: Final = 2048
"""Blocks that are remembered by a worker, for each set of lines of our own."""
REMEMBERED_BYTES: Final = 4 * 1024
"""Heads that are longer are encoded anew each time."""

_NOT_SENT: Final = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
"""Names that mean nothing, or harm, in HTTP/2 (RFC 9113 section 8.2.2)."""


def fields_of(lines: bytes) -> list[tuple[bytes, bytes]]:
    """The fields of header lines (each with its CRLF) that go on, names in lower case."""
    pairs = ((match[1].lower(), match[2].rstrip(b" \t")) for match in grammar.field.finditer(lines))
    return [pair for pair in pairs if pair[0] not in _NOT_SENT]


def block_of(status: int, lines: bytes) -> bytes:
    """The block of a head with these lines."""
    return encode_response(status, fields_of(lines))


class Blocks:
    """Blocks of responses' heads. ``security_line``: the Strict-Transport-Security line of ours, empty where there is
    none; ``naming``: what is told of the server."""

    __slots__ = ("_known", "_naming", "_security_line")

    def __init__(self, security_line: bytes, naming: Naming = NAMELESS) -> None:
        self._known: dict[bytes, bytes] = {}
        self._security_line = security_line
        self._naming = naming

    def says_the_same(self, other: Blocks) -> bool:
        """Whether the lines of our own are those of ``other``."""
        return self._security_line == other._security_line and self._naming == other._naming

    def block(self, head: ResponseHead, date: bytes) -> bytes:
        """The block of an endpoint's head; ``date``: for one that has none."""
        block = self._known.get(head.block) or self._encode(head)
        return block if head.dated else block + encode_fields(((b"date", date),))

    def _encode(self, head: ResponseHead) -> bytes:
        server = server_told(head, self._naming)
        line_end = head.passed.find(b"\n") + 1
        security = b"" if head.secured else self._security_line or head.security_line
        lines = b"".join((head.passed[line_end:], security, server))
        block = block_of(head.status, lines)
        if len(head.block) <= REMEMBERED_BYTES:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[head.block] = block
        return block
