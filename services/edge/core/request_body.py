"""The body of a request on its way: how far it has come, and the bytes that go to the endpoint for it.

Owns the framing of requests' bodies. A body of known length goes on as it comes; chunks are read and written anew.
"""

from __future__ import annotations

from services.edge.core.chunked import LAST, ChunkedDecoder, frame


class RequestBody:
    """See the module. ``received``: bytes taken from the client; ``size``: bytes of the body in them; ``rest``: what
    came behind the end."""

    __slots__ = ("_decoder", "_left", "received", "rest", "size")

    def __init__(self, length: int) -> None:
        """``length``: of the body, negative for chunks."""
        self._left = length
        self._decoder = ChunkedDecoder() if length < 0 else None
        self.received = self.size = 0
        self.rest = b""

    @property
    def chunked(self) -> bool:
        """Whether the length is only known at the end."""
        return self._decoder is not None

    def take(self, data: bytes) -> tuple[bytes, bool]:
        """(what goes to the endpoint for ``data``; whether that was the end). Raises FramingError."""
        decoder = self._decoder
        if decoder is None:
            left = self._left - len(data)
            if left < 0:
                self.rest = data[left:]
                data = data[:left]
            self._left = max(left, 0)
            self.received += len(data)
            self.size = self.received
            return data, left <= 0
        payload = decoder.feed(data)
        self.size += len(payload)
        self.received += len(data)
        framed = frame(payload) if payload else b""
        if not decoder.done:
            return framed, False
        self.rest = decoder.rest
        self.received -= len(decoder.rest)
        return framed + LAST, True
