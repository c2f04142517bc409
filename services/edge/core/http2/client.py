"""The client half: requests to an endpoint over one connection, and their responses."""

from __future__ import annotations

from services.edge.core.http2 import frames
from services.edge.core.http2.connection import Connection
from services.edge.core.http2.errors import (
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    StreamFaultError,
)
from services.edge.core.http2.events import InformationReceived, ResponseReceived, StreamReset
from services.edge.core.http2.flow import MisuseError
from services.edge.core.http2.limits import Limits
from services.edge.core.http2.streams import Stream


class ClientConnection(Connection):
    """A connection with an endpoint. See the package."""

    _may_push = False

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._next = 1
        self._leaving = False
        announced = {
            frames.ENABLE_PUSH: 0,
            frames.INITIAL_WINDOW_SIZE: limits.stream_window,
            frames.MAX_HEADER_LIST_SIZE: limits.header_bytes,
        }
        self._flow.control(frames.PREFACE + frames.settings(announced))
        if limits.connection_window > frames.DEFAULT_WINDOW:
            self._flow.control(frames.window_update(0, limits.connection_window - frames.DEFAULT_WINDOW))

    @property
    def capacity(self) -> int:
        """How many requests may be sent now; until the endpoint's settings came, a hundred are taken for granted."""
        if self._leaving or self.closed or self._next > frames.MAX_STREAM:
            return 0
        return max(0, self._peer.streams - len(self._streams))

    def request(self, block: bytes, body: bytes = b"", ended: bool = False, bodiless: bool = False) -> int:
        """Open a stream and send its head with what there is of the body; returns its id.

        ``ended``: that is all. ``bodiless``: the response has no body, whatever its length (HEAD).
        """
        if not self.capacity:
            raise MisuseError("a request without capacity")
        stream_id = self._next
        self._next += 2
        stream = Stream(stream_id, self._flow.initial_window, self._limits.stream_window, False, False)
        stream.bodiless = bodiless
        self._streams[stream_id] = stream
        self.send_head(stream_id, block, body, ended)
        return stream_id

    def _head(self, stream_id: int, block: bytes, ended: bool) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            self._reader.skip(block)
            self._gone(stream_id, "headers")
            return
        if stream.headed:
            self._trailers(stream, block, ended)
            return
        head = self._reader.response(block)
        if head.status < 200:
            if ended:
                raise StreamFaultError(PROTOCOL_ERROR, "information-with-end")
            self._events.append(InformationReceived(stream_id, head))
            return
        stream.headed = True
        if stream.bodiless or head.status in (204, 304):
            stream.expected = 0
        elif head.length >= 0:
            if ended and head.length:
                raise StreamFaultError(PROTOCOL_ERROR, "content-length-differs")
            stream.expected = head.length
        self._events.append(ResponseReceived(stream_id, head, ended))
        if ended:
            self._remote_end(stream)

    def _is_idle(self, stream_id: int) -> bool:
        return stream_id >= self._next or not stream_id & 1

    def _last_stream_id(self) -> int:
        return 0  # endpoints open no streams

    def _going_away(self, last_stream_id: int) -> None:
        self._leaving = True
        for stream in [stream for stream in self._streams.values() if stream.id > last_stream_id]:
            self._flow.forget(stream)
            self._events.append(StreamReset(stream.id, REFUSED_STREAM, True, "going-away"))
