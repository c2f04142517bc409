"""Heads between the edge's own form (HTTP/1.1) and an endpoint's HTTP/2: requests out, responses in.

Owns which lines go on, and the memory of those that repeat: of a request's head only its line and its id differ from
the one before. Pure. Must not know streams.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from services.edge.core import grammar
from services.edge.core.http2 import encode_fields
from services.edge.core.http2.events import ResponseHead as Http2Head
from services.edge.core.response_head import BadResponseError, ResponseHead, read_whole

REMEMBERED: Final = 256
"""Different heads that a connection remembers, of either direction."""
REMEMBERED_BYTES: Final = 4 * 1024
"""Heads that are longer are made anew each time."""

_OF_HTTP1: Final = frozenset(
    (b"host", b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"te", b"trailer")
)
"""Names that mean nothing, or harm, in HTTP/2 (RFC 9113 section 8.2.2), or are said otherwise there."""

_TRAILERS: Final = (b"te", b"trailers")
"""gRPC asks every proxy to say that trailers reach the client."""

_SHORT: Final = 127
"""Strings of fewer bytes have a length of one byte (RFC 7541 section 5.2)."""
_LENGTHS: Final = tuple(bytes((length,)) for length in range(_SHORT))
_PATH: Final = encode_fields(((b":path", b""),))[:-1]
_ID: Final = encode_fields(((b"x-request-id", b""),))[:-1]
"""Fields up to the length of their values."""
_ID_LINE: Final = b"\r\nX-Request-ID: "

_REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus}

_host = re.compile(rb"\r\nhost:[\t ]*+([^\r]*+)\r", re.IGNORECASE).search


class RequestBlocks:
    """Makes blocks of requests' heads for connections that are made in one way. ``scheme``: of ``:scheme``."""

    __slots__ = ("_known", "_scheme")

    def __init__(self, scheme: bytes) -> None:
        self._scheme = scheme
        self._known: dict[tuple[bytes, bytes], tuple[bytes, bytes]] = {}

    def block(self, head: bytes) -> bytes:
        """The block of ``head``: a whole request's head as it would go to an endpoint that speaks HTTP/1.1."""
        line_end = head.find(b"\r\n")
        method, target, _ = head[:line_end].split(b" ")
        last = head.rfind(b"\r\n", line_end + 1, -4)  # the last line is the request's id, which nearly always differs
        if last < 0:
            last = len(head) - 4
        key = (method, head[line_end:last])
        known = self._known.get(key)
        if known is None:
            known = self._make(*key)
        begin, fields = known
        id_at = last + len(_ID_LINE)
        id_length = len(head) - id_at - 4
        if len(target) < _SHORT and id_length < _SHORT and head.startswith(_ID_LINE, last):
            told = (begin, _PATH, _LENGTHS[len(target)], target, fields, _ID, _LENGTHS[id_length], head[id_at:-4])
            return b"".join(told)
        path = encode_fields(((b":path", target),))
        return b"".join((begin, path, fields, encode_fields(_fields_of(head[last:-2]))))

    def _make(self, method: bytes, lines: bytes) -> tuple[bytes, bytes]:
        """(what comes before the path, what comes behind)."""
        whole = lines + b"\r\n"
        host = _host(whole)
        authority = host[1].rstrip(b" \t") if host is not None else b""
        pseudo = ((b":method", method), (b":scheme", self._scheme), (b":authority", authority))
        made = (encode_fields(pseudo), encode_fields((*_fields_of(whole), _TRAILERS)))
        if len(lines) <= REMEMBERED_BYTES:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[method, lines] = made
        return made


def _fields_of(lines: bytes) -> list[tuple[bytes, bytes]]:
    pairs = ((match[1].lower(), match[2].rstrip(b" \t")) for match in grammar.field.finditer(lines))
    return [pair for pair in pairs if pair[0] not in _OF_HTTP1]


class ResponseHeads:
    """Reads the heads of one connection's responses; a head that the engine knows again costs a look."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[Http2Head, ResponseHead] = {}

    def read(self, head: Http2Head) -> ResponseHead:
        """The same head in the form in which an endpoint that speaks HTTP/1.1 would have sent it. Raises
        BadResponseError."""
        known = self._known.get(head)
        if known is None:
            known = _read(head)
            if len(known.block) <= REMEMBERED_BYTES:
                if len(self._known) >= REMEMBERED:
                    self._known.clear()
                self._known[head] = known
        return known


def _read(head: Http2Head) -> ResponseHead:
    lines = [b"%b: %b\r\n" % pair for pair in head.fields if pair[0] not in _OF_HTTP1]
    if head.length >= 0:
        lines.append(b"Content-Length: %d\r\n" % head.length)
    start = b"HTTP/1.1 %d %b\r\n" % (head.status, _REASONS.get(head.status, b""))
    whole = b"%b%b\r\n" % (start, b"".join(lines))
    read = read_whole(whole, False)
    if read is None or read.block != whole or whole.count(b"\n") != len(lines) + 2:
        raise BadResponseError("a head that is none in HTTP/1.1")
    return read
