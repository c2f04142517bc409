"""Heads of endpoints' responses, read as strictly as requests, and how their bodies are framed (RFC 9112 section 6.3).

Must not know what the client wants. A head that does not fit raises BadResponseError, which is answered as 502.
"""

from __future__ import annotations

import re

from msgspec import Struct

from services.edge.core import grammar

CHUNKED = -1
UNTIL_CLOSE = -2
"""``length`` of a body in chunks, and of one that ends with the connection."""


class BadResponseError(Exception):
    """A response that is not read: the endpoint is at fault."""


class ResponseHead(Struct, frozen=True, gc=False):
    """A response's head.

    ``block``: as received. ``length``: of the body as the headers say it (see the constants). ``passed``: status line
    and the headers that go on as they came, each line with its CRLF; ``framing``: the Content-Length line, or empty.
    ``ready``: the head as it goes to a client that needs nothing added, and ``begun`` the same without what concerns
    transport security and without its end; both empty where something must be added.
    ``persistent``: the endpoint keeps the connection. ``dated``: it carries Date.
    """

    block: bytes
    status: int
    length: int
    ready: bytes
    begun: bytes
    persistent: bool
    passed: bytes
    framing: bytes
    upgrade: bytes
    server_line: bytes
    security_line: bytes
    dated: bool


_special = re.compile(
    rb"\r\n(?=[CKPSTU])"
    rb"(content-length|connection|server|transfer-encoding|keep-alive|upgrade|trailer|proxy-connection"
    rb"|strict-transport-security)"
    rb":[\t ]*+([^\r]*+)",
    re.IGNORECASE,
).finditer
_date = re.compile(rb"\r\ndate:", re.IGNORECASE).search
_digits = re.compile(rb"[0-9]{1,18}").fullmatch


def read_response(match: re.Match[bytes]) -> ResponseHead:
    """The head that matched ``grammar.response_head``. Raises BadResponseError."""
    block = match[0]
    minor = match[1]
    length: bytes | None = None
    chunked = False
    connection = b""
    upgrade = server = security = b""
    pieces: list[bytes] = []
    start = 0
    for found in _special(block):
        name = found[1].lower()
        at = found.start() + 2
        if at > start:
            pieces.append(block[start:at])
        start = found.end() + 2
        value = found[2].rstrip(b" \t")
        if name == b"content-length":
            if length is not None and length != value:
                raise BadResponseError("two lengths")
            length = value
        elif name == b"connection":
            connection = connection + b"," + value.lower() if connection else value.lower()
        elif name == b"server":
            server = b"Server: %b\r\n" % value
        elif name == b"transfer-encoding":
            if chunked or value.lower() != b"chunked" or minor == b"0":
                raise BadResponseError("transfer coding")
            chunked = True
        elif name == b"upgrade":
            upgrade = value
        elif name == b"strict-transport-security":
            security = b"Strict-Transport-Security: %b\r\n" % value
    pieces.append(block[start:-2])
    passed = b"".join(pieces) if start else block[:-2]
    status = int(match[2])
    persistent = minor == b"1"
    if connection and (connection != b"keep-alive" or not persistent):
        tokens = [token.strip(b" \t") for token in connection.split(b",")]
        persistent = b"close" not in tokens if persistent else b"keep-alive" in tokens
        if named := [token for token in tokens if token not in _KNOWN_TOKENS]:
            passed = _without(passed, named)
    dated = b"\r\nDate: " in block or _date(block) is not None
    if minor == b"0":
        passed = b"HTTP/1.1" + passed[8:]
    framing = b""
    if chunked:
        if length is not None:
            raise BadResponseError("both framings")
        size = CHUNKED
    elif length is None:
        size = UNTIL_CLOSE
    else:
        if _digits(length) is None:
            raise BadResponseError("content length")
        size = int(length)
        framing = b"Content-Length: " + length + b"\r\n"
    if status in (204, 304):  # no body whatever the headers say; a 304 may tell the length it would have
        size = 0
        framing = framing if status == 304 else b""
    begun = passed + framing if dated and size >= 0 else b""
    ready = b"%b%b\r\n" % (begun, security) if begun else b""
    return ResponseHead(
        block, status, size, ready, begun, persistent, passed, framing, upgrade, server, security, dated
    )


_KNOWN_TOKENS = frozenset((b"", b"close", b"keep-alive", b"upgrade", b"content-length", b"transfer-encoding", b"date"))


def _without(passed: bytes, named: list[bytes]) -> bytes:
    line_end = passed.find(b"\r\n") + 2
    kept = (line[0] for line in grammar.field.finditer(passed, line_end) if line[1].lower() not in named)
    return passed[:line_end] + b"".join(kept)


class ResponseReader:
    """Collects a response head that comes in pieces."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> tuple[ResponseHead, bytes] | None:
        """(head, what follows it), or None while it is not complete. Raises BadResponseError."""
        buffer = self._data
        before = len(buffer)
        buffer += data
        if buffer.find(b"\r\n\r\n", max(0, before - 3)) < 0:
            if len(buffer) > grammar.RESPONSE_LIMIT:
                raise BadResponseError("head is too large")
            if not b"HTTP/1.".startswith(buffer[:7]):
                raise BadResponseError("not a response")
            return None
        whole = bytes(buffer)
        match = grammar.response_head(whole)
        if match is None:
            raise BadResponseError("not a response")
        if match.end() > grammar.RESPONSE_LIMIT:
            raise BadResponseError("head is too large")
        return read_response(match), whole[match.end() :]
