"""The server half: clients' streams, their requests, and the end of a connection in two steps."""

from __future__ import annotations

from typing import Final

from services.edge.core.http2 import frames
from services.edge.core.http2.connection import Connection
from services.edge.core.http2.errors import (
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
    ConnectionFaultError,
    StreamFaultError,
)
from services.edge.core.http2.events import HeadTooLarge, RequestReceived
from services.edge.core.http2.head_reader import TooLargeError
from services.edge.core.http2.limits import Limits
from services.edge.core.http2.streams import Stream

_LAST_STREAMS: Final = frames.MAX_STREAM - 2_000
"""From here on a client is told to open another connection, while it still has streams to do so."""

_SKIPPED_RANGES: Final = 16


class ServerConnection(Connection):
    """A connection with a client. See the package."""

    _may_push = True

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._highest = 0
        self._refused_above = frames.MAX_STREAM
        self._announced = False
        self._skipped: list[range] = []
        self._preface = frames.PREFACE
        announced = {
            frames.MAX_CONCURRENT_STREAMS: limits.streams,
            frames.INITIAL_WINDOW_SIZE: limits.stream_window,
            frames.MAX_HEADER_LIST_SIZE: limits.header_bytes,
        }
        self._flow.control(frames.settings(announced))
        if limits.connection_window > frames.DEFAULT_WINDOW:
            self._flow.control(frames.window_update(0, limits.connection_window - frames.DEFAULT_WINDOW))

    def announce_shutdown(self) -> None:
        """GOAWAY that still takes what is on its way (RFC 9113 section 6.8); ``shutdown`` follows a moment later."""
        if not self._announced:
            self._announced = True
            self._flow.control(frames.goaway(frames.MAX_STREAM, NO_ERROR))

    def shutdown(self, code: int = NO_ERROR) -> None:
        """GOAWAY with the last stream that was taken; later ones are refused."""
        self._refused_above = self._highest
        super().shutdown(code)

    def _read(self, data: bytes) -> None:
        if self._preface:
            expected = self._preface[: len(data)]
            if not data.startswith(expected):
                raise ConnectionFaultError(PROTOCOL_ERROR, "preface")
            self._preface = self._preface[len(expected) :]
            data = data[len(expected) :]
        super()._read(data)

    def _head(self, stream_id: int, block: bytes, ended: bool) -> None:
        if stream_id <= self._highest:
            self._late_head(stream_id, block, ended)
            return
        if not stream_id & 1:
            raise ConnectionFaultError(PROTOCOL_ERROR, "even-stream")
        if stream_id != self._highest + 2:
            self._skip(stream_id)
        if stream_id > _LAST_STREAMS:
            self.announce_shutdown()
        self._highest = stream_id
        flow = self._flow
        stream = Stream(stream_id, flow.initial_window, self._limits.stream_window, True, ended)
        try:
            head, path = self._reader.request(block)
        except TooLargeError:
            self._refuse_if_full(stream_id)
            stream.headed, stream.discarded = False, True
            self._streams[stream_id] = stream
            self._events.append(HeadTooLarge(stream_id, ended))
            self._spend(self._budgets.resets_sent, "heads-too-large")
            return
        if len(self._streams) >= self._limits.streams or stream_id > self._refused_above:
            self._refuse_if_full(stream_id)
        length = head.length
        if length >= 0:
            if ended and length:
                raise StreamFaultError(PROTOCOL_ERROR, "content-length-differs")
            stream.expected = length
        self._streams[stream_id] = stream
        self._events.append(RequestReceived(stream_id, head, path, ended))

    def _refuse_if_full(self, stream_id: int) -> None:
        if stream_id > self._refused_above:
            raise StreamFaultError(REFUSED_STREAM, "shutdown")
        if len(self._streams) >= self._limits.streams:
            raise StreamFaultError(REFUSED_STREAM, "streams")

    def _late_head(self, stream_id: int, block: bytes, ended: bool) -> None:
        """A block on a stream that was opened before, or never will be."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._trailers(stream, block, ended)
            return
        if not stream_id & 1 or any(stream_id in skipped for skipped in self._skipped):
            raise ConnectionFaultError(PROTOCOL_ERROR, "stream-order")
        if stream_id not in self._flow.was_reset:
            raise ConnectionFaultError(STREAM_CLOSED, "headers-on-closed-stream")
        self._spend(self._budgets.idle_frames, "headers-after-reset")
        self._reader.skip(block)

    def _skip(self, stream_id: int) -> None:
        """Streams that the client passed over are closed unused (RFC 9113 section 5.1.1)."""
        if stream_id > self._highest + 2 and len(self._skipped) < _SKIPPED_RANGES:
            self._skipped.append(range(self._highest + 1, stream_id))

    def _is_idle(self, stream_id: int) -> bool:
        return stream_id > self._highest or not stream_id & 1

    def _last_stream_id(self) -> int:
        return self._highest

    def _going_away(self, last_stream_id: int) -> None:
        """The client opens no more streams; those that it has go on."""
