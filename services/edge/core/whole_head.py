"""Whole heads of requests: the line, then the headers, at once or as they come in pieces.

Owns which forms of a request line are taken, and how early a head that comes in pieces is refused. What the headers say
is ``request_head``'s. Must not know where the bytes come from.
"""

from __future__ import annotations

from msgspec import Struct

from services.edge.core import grammar
from services.edge.core.request_head import (
    USUAL_LIMITS,
    HeadLimits,
    RefusedError,
    RequestHeaders,
    check_size,
    ordinary,
    read_headers,
)


class RequestLine(Struct, frozen=True, gc=False):
    """A request line; ``authority`` is empty unless the target came in absolute form; ``*`` stays."""

    method: bytes
    target: bytes
    minor: int
    authority: bytes = b""


def read_line(method: bytes, target: bytes, minor: int) -> RequestLine:
    """The request line of any form. Raises RefusedError."""
    if method.upper() in (b"CONNECT", b"TRACE"):  # a method's case matters, but not to everybody
        raise RefusedError(405, "method")
    if target.startswith(b"/"):
        return RequestLine(method, target, minor)
    if target == b"*":
        if method != b"OPTIONS":
            raise RefusedError(400, "target")
        return RequestLine(method, target, minor)
    match = grammar.absolute_form(target)
    if match is None:
        raise RefusedError(400, "target")
    return RequestLine(method, (match[2] or b"/") + (match[3] or b""), minor, match[1])


class Head(Struct, frozen=True, gc=False):
    """A whole head and where the body begins."""

    line: RequestLine
    headers: RequestHeaders
    end: int


def read_head(data: bytes, limits: HeadLimits = USUAL_LIMITS) -> Head:
    """The head that ``data`` starts with, in any form; ``data`` holds an empty line. Raises RefusedError."""
    line_end = data.find(b"\r\n")
    if line_end > limits.line:
        raise RefusedError(414, "request-line-too-large")
    match = grammar.any_request_line(data)
    if match is None:
        raise RefusedError(400, "request-line")
    block_match = grammar.plain_block(data, match.end()) or grammar.any_block(data, match.end())
    if block_match is None:
        raise RefusedError(400, "header")
    line = read_line(match[1], match[2], 1 if match[3] == b"1" else 0)
    block = block_match[0]
    if len(block) > 4 * grammar.COUNT_LIMIT:
        check_size(block, limits)
    if grammar.plain_block(block) is None:
        block = ordinary(block, limits)
    return Head(line, read_headers(block, line.minor, line.authority, limits), block_match.end())


class HeadReader:
    """Collects a head that comes in pieces; refuses early what can no longer become one."""

    __slots__ = ("_data", "_limits", "_line", "_scanned")

    def __init__(self, limits: HeadLimits = USUAL_LIMITS) -> None:
        self._limits = limits
        self._data = bytearray()
        self._scanned = 0
        self._line = True

    def __len__(self) -> int:
        return len(self._data)

    def feed(self, data: bytes) -> tuple[Head, bytes] | None:
        """(head, what follows it), or None while it is not complete. Raises RefusedError."""
        buffer = self._data
        buffer += data
        if self._line and self._scanned == 0:
            if buffer == b"\r":
                return None
            if buffer.startswith(b"\r\n"):  # one empty line before a request is tolerated (RFC 9112 section 2.2)
                if len(buffer) == 2:
                    return None
                if buffer.startswith(b"\r\n\r\n"):
                    raise RefusedError(400, "request-line")
                del buffer[:2]
        end = buffer.find(b"\r\n\r\n", max(0, self._scanned - 4))
        if end >= 0:
            whole = bytes(buffer)
            head = read_head(whole, self._limits)
            return head, whole[head.end :]
        self._check_beginning()
        return None

    def _check_beginning(self) -> None:
        buffer = self._data
        limits = self._limits
        while (end := buffer.find(b"\r\n", self._scanned)) >= 0:
            line = bytes(buffer[self._scanned : end])
            if self._line:
                if len(line) > limits.line:
                    raise RefusedError(414, "request-line-too-large")
                if grammar.any_request_line(line + b"\r\n") is None:
                    raise RefusedError(400, "request-line")
                self._line = False
            elif grammar.field.fullmatch(line + b"\r\n") is None:
                raise RefusedError(400, "header")
            self._scanned = end + 2
        rest = bytes(buffer[self._scanned :])
        if self._line:
            if len(rest) > limits.line:
                raise RefusedError(414, "request-line-too-large")
            if grammar.beginning_of_line(rest) is None:
                raise RefusedError(400, "request-line")
        else:
            if len(rest) > limits.line or len(buffer) > limits.block + limits.line:
                raise RefusedError(431, "headers-too-large")
            if grammar.beginning_of_field(rest) is None:
                raise RefusedError(400, "header")
