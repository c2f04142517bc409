"""A client's connection speaking HTTP/2: many streams, one write per turn of the loop for all of them.

Owns the streams, and which of them an event is for; how the connection lives and ends is its base's, the protocol the
engine's. It is handed a transport by the event loop, or by ``services.edge.tls``, and cannot tell which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

from services.edge.clients import NOBODY, Doing
from services.edge.core.forwarded import facts_of
from services.edge.core.http2.errors import REFUSED_STREAM
from services.edge.core.http2.events import (
    PIECES,
    ConnectionFailed,
    DataReceived,
    Event,
    GoAwayReceived,
    HeadTooLarge,
    PingAnswered,
    RequestReceived,
    SettingsReceived,
    StreamReset,
    TrailersReceived,
    WindowOpened,
    joined,
)
from services.edge.core.http2_request import Requests
from services.edge.core.link import link_of
from services.edge.deadlines import NEVER
from services.edge.http2.common import Common
from services.edge.http2.lasting import LAST_CALL, LEAVING, LINGER, Lasting
from services.edge.http2.stream import Stream

if TYPE_CHECKING:
    from services.edge.listener import Listener

WAITING_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of responses that may wait for the client's windows before it gets no more: it asks without making room."""
STREAMS_KEPT: Final = 32
"""Streams that are done and kept for the next requests of the same client."""

_FEW_LEFT: Final = (1 << 31) - 2_000
"""From this stream on a client is asked to open another connection, while it still has streams to do so."""


class Http2Connection(Lasting):
    """See the module. ``_free``: streams that are done and wait for another request."""

    __slots__ = ("_free", "_requests_at_most", "link", "requests")

    def __init__(self, listener: Listener, common: Common) -> None:
        super().__init__(listener, common)
        self._requests_at_most = common.requests_at_most
        self._free: list[Stream] = []

    @property
    def doing(self) -> Doing:
        """What it does now; many requests at once count as one."""
        return "writing" if self._streams else "waiting"

    # --- from the event loop ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self.transport = cast(asyncio.Transport, transport)
        self.link = link_of(transport, self._listener.tls)
        self.facts = facts_of(self.link, self._listener.port)
        self.requests = Requests(self.facts)
        self._watched = self.serving.deadlines.watch(self)
        self._set_deadline(monotonic())
        self._listener.connections.add(self)
        self.flush_soon()
        if self._listener.draining:
            self.announce()

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone."""
        super().connection_lost(error)
        self._forget_streams()

    def _forget_streams(self) -> None:
        for stream in self._free:
            stream.exchange.police(NOBODY, None)
        self._free.clear()

    def _rest(self) -> None:
        self._forget_streams()
        self.requests.forget()
        self.engine.forget()

    def data_received(self, data: bytes) -> None:
        """Frames, whole or in part."""
        if self._state >= LINGER:
            return
        now = monotonic()
        engine = self.engine
        flushing, self._flushing = self._flushing, True  # what follows from one read is written together
        events = engine.receive(data, now)
        if len(events) > 1:
            events = self._without_withdrawn(events)
            if len(events) > PIECES:
                events = joined(events)
        for event in events:
            try:
                if event.__class__ is RequestReceived:
                    self._request(event, now)
                else:
                    _HANDLERS[event.__class__](self, event, now)
            except Exception as error:  # the other streams are not to suffer for it
                self._defect(event, error)
        self._flushing = flushing
        if self.full and not self.congested and not engine.exhausted:
            self._relieve_with_window()
        if engine.queued:
            self.flush_soon()
        if engine.reading_head is not self._in_head:
            self._watch_head(now)

    def _defect(self, event: Event, error: Exception) -> None:
        """A defect of ours was met on the stream that ``event`` is for."""
        stream = self._streams.get(getattr(event, "stream_id", 0))
        if stream is None:
            self.serving.defects.note(error)
        else:
            stream.exchange.defect(error)

    # --- what comes ---------------------------------------------------------------------------------------------

    def _request(self, event: RequestReceived, now: float) -> None:
        if self.full and self.engine.waiting > WAITING_LIMIT:
            self.serving.traffic.counters["http2-untaken"] += 1
            self.engine.reset(event.stream_id, REFUSED_STREAM)
            return
        stream = self._open(event.stream_id)
        stream.begin(event, now)

    def _open(self, stream_id: int) -> Stream:
        stream = self._free.pop() if self._free else Stream(self)
        streams = self._streams
        streams[stream_id] = stream
        if len(streams) == 1:
            self.deadline = NEVER
        self._requests += 1
        if self._requests >= self._requests_at_most or stream_id > _FEW_LEFT:
            self.announce()
        return stream

    def _without_withdrawn(self, events: list[Event]) -> list[Event]:
        """The events without requests that were reset in the same breath: no endpoint need hear of them."""
        resets = {event.stream_id for event in events if event.__class__ is StreamReset}
        if not resets:
            return events
        withdrawn = resets - self._streams.keys()
        self.serving.traffic.counters["http2-withdrawn"] += len(withdrawn)
        return [e for e in events if e.__class__ is StreamReset or getattr(e, "stream_id", 0) not in withdrawn]

    def _too_large(self, event: HeadTooLarge, now: float) -> None:
        self._open(event.stream_id).refuse_large(event.stream_id, event.ended, now)

    def _data(self, event: DataReceived, now: float) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.take(event, now)

    def _trailers(self, event: TrailersReceived, now: float) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.request_trailers(now)

    def _stream_reset(self, event: StreamReset, now: float) -> None:
        if not event.remote:
            self.serving.traffic.counters[f"http2-{event.reason}"] += 1
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.abandon(now)

    def _window_opened(self, event: WindowOpened, now: float) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.opened(now)

    def _answered(self, event: PingAnswered, _now: float) -> None:
        if self._announced and event.payload == LAST_CALL:
            self._say_last_word()

    def _failed(self, event: ConnectionFailed, _now: float) -> None:
        self._cut_off(event.reason)

    def _ignored(self, _event: Event, _now: float) -> None:
        """Nothing follows from it."""

    # --- streams ------------------------------------------------------------------------------------------------

    def release(self, stream_id: int, now: float) -> None:
        """A stream is done."""
        stream = self._streams.pop(stream_id)
        if len(self._free) < STREAMS_KEPT and self._state < LINGER:
            self._free.append(stream)
        else:
            stream.exchange.police(NOBODY, None)
        if not self._streams and self._state < LINGER:
            self._set_deadline(now)
            if self._state == LEAVING:
                self._end()


_Handler = Callable[[Http2Connection, Any, float], None]
_HANDLERS: Final[dict[type, _Handler]] = {
    DataReceived: Http2Connection._data,
    TrailersReceived: Http2Connection._trailers,
    HeadTooLarge: Http2Connection._too_large,
    StreamReset: Http2Connection._stream_reset,
    WindowOpened: Http2Connection._window_opened,
    PingAnswered: Http2Connection._answered,
    SettingsReceived: Http2Connection._ignored,
    GoAwayReceived: Http2Connection._ignored,  # of streams that we would open: the client ends the connection itself
    ConnectionFailed: Http2Connection._failed,
}
