"""The body of a request on its way: how far it has come, what it may be, and how it is framed for the endpoint.

Owns the framing of requests' bodies. What leaves is framed anew: another's chunks never go on. Pure.
"""

from __future__ import annotations

from typing import Final

from services.edge.core.chunked import ChunkedDecoder

SLOWEST: Final = 240
"""Bytes a second below which, on the whole, a body that is collected comes too slowly to be waited for: each pause may
be as long as ``client-body-timeout``, but not all of them."""

_CHUNKED_LINE: Final = b"\r\nTransfer-Encoding: chunked\r\n"


class RequestBody:
    """The body of an HTTP/1.1 request as it comes.

    ``received``: bytes taken from the client; ``rest``: what came behind the end.
    """

    __slots__ = ("_decoder", "_left", "received", "rest")

    def __init__(self, length: int) -> None:
        """``length``: of the body, negative for chunks."""
        self._left = length
        self._decoder = ChunkedDecoder() if length < 0 else None
        self.received = 0
        self.rest = b""

    def take(self, data: bytes) -> tuple[bytes, bool]:
        """(what ``data`` holds of the body, without framing; whether that was the end). Raises FramingError."""
        decoder = self._decoder
        if decoder is None:
            left = self._left - len(data)
            if left < 0:
                self.rest = data[left:]
                data = data[:left]
            self._left = max(left, 0)
            self.received += len(data)
            return data, left <= 0
        payload = decoder.feed(data)
        self.received += len(data)
        if not decoder.done:
            return payload, False
        self.rest = decoder.rest
        self.received -= len(decoder.rest)
        return payload, True


def with_length(head: bytes, size: int) -> bytes:
    """The ``head`` for an endpoint, made for a body in chunks, for one of ``size`` bytes (as nginx writes it once it
    has the whole body). No other line can look like the one that is replaced: clients' own are taken out."""
    return head.replace(_CHUNKED_LINE, b"\r\nContent-Length: %d\r\n" % size, 1)


def due(started: float, now: float, size: int, pause: float) -> float:
    """When more of a body that is collected has to have come. ``size``: bytes that came since ``started``; ``pause``:
    the longest pause between two reads."""
    return min(now + pause, started + pause + size / SLOWEST)
