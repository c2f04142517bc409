"""FastCGI 1.0 as a web server speaks it: one request on a connection, from and to the heads of HTTP/1.1.

Owns the framing in records, and what a script's own head (RFC 3875 section 6) is as one of HTTP. Pure: bytes in, bytes
out. A line ``(NAME): value`` of a head is a parameter for the script; no client can send one, for that is no header.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from struct import Struct as Layout
from typing import Final

from services.edge.core import grammar

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR = range(1, 8)
_PIECE: Final = 0xFFF8
"""Bytes of a record, a multiple of 8."""
_HEAD_AT_MOST: Final = grammar.RESPONSE_LIMIT
_header: Final = Layout(">BBHHBx")
_RESPONDER: Final = b"\0\1\0\0\0\0\0\0"
_REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus}
_NOT_PASSED: Final = frozenset((b"connection", b"upgrade", b"transfer-encoding", b"keep-alive", b"proxy"))
_head_end = re.compile(rb"\r?\n\r?\n").search
_line = re.compile(rb"(%b++):[\t ]*+(%b*+)" % (grammar.TOKEN, grammar.VALUE)).fullmatch
_status = re.compile(rb"([2-5][0-9]{2})(?: (%b*+))?" % grammar.VALUE).fullmatch
_digits = re.compile(rb"[0-9]{1,18}").fullmatch


class FastCGIError(Exception):
    """The endpoint does not speak it, or what its script says is no response."""


def record(kind: int, content: bytes) -> bytes:
    """A record of the one request."""
    padding = -len(content) % 8
    return b"%b%b%b" % (_header.pack(1, kind, 1, len(content), padding), content, bytes(padding))


def stream(kind: int, content: bytes) -> bytes:
    """``content`` in records; none for nothing."""
    return b"".join([record(kind, content[at : at + _PIECE]) for at in range(0, len(content), _PIECE)])


def request(head: bytes) -> tuple[bytes, int]:
    """(the records that begin a request with this head, the length of its body, which follows as STDIN)."""
    first, *lines = head[:-4].split(b"\r\n")
    parameters: dict[bytes, bytes] = {}
    headers: dict[bytes, bytes] = {}
    length = 0
    for text in lines:
        name, _, value = text.partition(b":")
        value = value.strip(b" \t")
        if name.startswith(b"("):
            parameters[name[1:-1]] = value
        elif name.lower() == b"content-length":
            length = int(value)
        elif name.lower() not in _NOT_PASSED:
            key = b"HTTP_" + name.upper().replace(b"-", b"_")
            headers[key] = b"%b, %b" % (headers[key], value) if key in headers else value
    method, target, _ = first.split(b" ")
    told = {
        b"REQUEST_METHOD": method,
        b"QUERY_STRING": target.partition(b"?")[2],
        b"CONTENT_TYPE": headers.get(b"HTTP_CONTENT_TYPE", b""),
        b"CONTENT_LENGTH": b"%d" % length if length else b"",
    }
    encoded = _pairs((told | headers | parameters).items())
    return record(BEGIN, _RESPONDER) + stream(PARAMS, encoded) + record(PARAMS, b""), length


def _pairs(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join([b"%b%b%b%b" % (_size(name), _size(value), name, value) for name, value in pairs])


def _size(text: bytes) -> bytes:
    size = len(text)
    return bytes((size,)) if size < 128 else (size | 1 << 31).to_bytes(4)


class ResponseReader:
    """The response to one request, from records to HTTP/1.1. ``bodiless``: its body is not wanted (HEAD)."""

    __slots__ = ("_bodiless", "_chunked", "_data", "_head", "_over")

    def __init__(self, bodiless: bool) -> None:
        self._data = bytearray()
        self._head: bytearray | None = bytearray()
        self._bodiless = bodiless
        self._chunked = False
        self._over = False

    def feed(self, data: bytes) -> bytes:
        """What there is of the response. Raises FastCGIError."""
        buffer = self._data
        buffer += data
        found = []
        while len(buffer) >= _header.size:
            version, kind, number, size, padding = _header.unpack_from(buffer)
            if version != 1 or number not in (0, 1):
                raise FastCGIError("it does not speak FastCGI")
            end = _header.size + size + padding
            if len(buffer) < end:
                break
            content = bytes(buffer[_header.size : _header.size + size])
            del buffer[:end]
            if self._over:
                raise FastCGIError("something follows the end")
            if kind == STDOUT:
                found.append(self._said(content))
            elif kind == END:
                found.append(self._ended(content))
        return b"".join(found)

    def _said(self, content: bytes) -> bytes:
        if self._head is None:
            return self._framed(content)
        self._head += content
        end = _head_end(self._head)
        if end is None:
            if len(self._head) > _HEAD_AT_MOST:
                raise FastCGIError("the head is too large")
            return b""
        head, rest = bytes(self._head[: end.start()]), bytes(self._head[end.end() :])
        self._head = None
        return self._converted(head) + self._framed(rest)

    def _converted(self, head: bytes) -> bytes:
        status, reason, length = 200, b"", b""
        lines = []
        for text in head.split(b"\n"):
            found = _line(text.removesuffix(b"\r"))
            if found is None:
                raise FastCGIError("the head is none")
            name, value = found[1].lower(), found[2].rstrip(b" \t")
            if name == b"status":
                said = _status(value)
                if said is None:
                    raise FastCGIError("the status is none")
                status, reason = int(said[1]), said[2] or b""
            elif name == b"content-length":
                if length or _digits(value) is None:
                    raise FastCGIError("the length is none")
                length = value
            elif name not in _NOT_PASSED:
                lines.append(b"%b: %b\r\n" % (found[1], value))
                if name == b"location" and status == 200:
                    status = 302
        self._bodiless = self._bodiless or status in (204, 304)
        self._chunked = not (length or self._bodiless)
        framing = (
            b"Content-Length: %b\r\n" % length
            if length
            else b"Transfer-Encoding: chunked\r\n"
            if self._chunked
            else b""
        )
        start = b"HTTP/1.1 %d %b\r\n" % (status, reason or _REASONS.get(status, b""))
        return b"".join((start, *lines, framing, b"Connection: close\r\n\r\n"))

    def _framed(self, content: bytes) -> bytes:
        if not content or self._bodiless:
            return b""
        return b"%x\r\n%b\r\n" % (len(content), content) if self._chunked else content

    def _ended(self, content: bytes) -> bytes:
        self._over = True
        if self._head is not None or len(content) < 8 or content[4] != 0:
            raise FastCGIError("the request was not answered")
        return b"0\r\n\r\n" if self._chunked else b""
