"""From bytes, as they come, to frames."""

from __future__ import annotations

from collections.abc import Iterator

from services.edge.core.http2.errors import FRAME_SIZE_ERROR, ConnectionFaultError
from services.edge.core.http2.frames import DEFAULT_FRAME, HEADER_LENGTH, MAX_STREAM, unpack_header

Frame = tuple[int, int, int, bytes]
"""(type, flags, stream, payload)."""


class FrameReader:
    """Owns the beginning of a frame that is not all there: never more than one, nor larger than we said we take."""

    __slots__ = ("_beginning", "_needed")

    def __init__(self) -> None:
        self._beginning = bytearray()
        self._needed = HEADER_LENGTH

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that ``data`` completes. Raises ConnectionFaultError at one that is too large, at once."""
        beginning = self._beginning
        if beginning:
            beginning += data
            if len(beginning) < self._needed:
                return
            data = bytes(beginning)
            beginning.clear()
        at, size = 0, len(data)
        self._needed = HEADER_LENGTH
        while size - at >= HEADER_LENGTH:
            word, flags, stream_id = unpack_header(data, at)
            length = word >> 8
            if length > DEFAULT_FRAME:
                raise ConnectionFaultError(FRAME_SIZE_ERROR, "frame-too-large")
            payload_at = at + HEADER_LENGTH
            end = payload_at + length
            if end > size:
                self._needed = HEADER_LENGTH + length
                break
            at = end
            yield word & 0xFF, flags, stream_id & MAX_STREAM, data[payload_at:end]
        if at < size:
            beginning += data[at:]

    def clear(self) -> None:
        """Nothing more is wanted."""
        self._beginning.clear()
