"""A client's connection speaking HTTP/2: many streams, one write per turn of the loop for all of them.

Owns how the connection lives and ends: waiting, back-pressure of the client as a whole, GOAWAY, draining. The protocol
is the engine's, a request its stream's. It is handed a transport by the event loop, or by ``services.edge.tls``, and
cannot tell which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

from services.edge.clients import Doing
from services.edge.core.forwarded import client_facts
from services.edge.core.generation import HEAD_TIME
from services.edge.core.http2 import ServerConnection
from services.edge.core.http2.errors import NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM
from services.edge.core.http2.events import (
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
)
from services.edge.core.http2_request import Requests
from services.edge.deadlines import NEVER, Timed
from services.edge.http2.common import Common
from services.edge.http2.responding import SEND_TIME
from services.edge.http2.stream import Stream
from services.edge.link import link_of

if TYPE_CHECKING:
    from services.edge.listener import Listener

FIRST_TIME: Final = 60.0
"""Seconds until the first request, before a generation says otherwise (nginx: client_header_timeout). PINGs do not
extend it, nor does a drip of CONTINUATIONs extend the time of a head."""
LINGER_TIME: Final = 2.0
"""Seconds to read on after the last word, so that the client gets to read it."""
LAST_WORD_TIME: Final = 1.0
"""Seconds after which the last stream is named though the client has not answered the PING that went before."""
WAITING_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of responses that may wait for the client's windows before it gets no more: it asks without making room."""
STREAMS_KEPT: Final = 32
"""Streams that are done and kept for the next requests of the same client."""

_FEW_LEFT: Final = (1 << 31) - 2_000
"""From this stream on a client is asked to open another connection, while it still has streams to do so."""
_LAST_CALL: Final = b"last one"
"""The PING behind the first GOAWAY: its answer tells that requests on their way have arrived."""

OPEN, LEAVING, LINGER, CLOSED = range(4)
"""Requests are taken; the last stream is named, the others go on; answered for the last time; over."""


class Http2Connection(asyncio.Protocol):
    """See the module. ``common``: what the listener's connections share; ``congested``: the client does not take what
    is written; ``waiting``: bytes for which it has no window; ``_announced``: it knows that there will be a last
    stream."""

    __slots__ = (
        "_announced",
        "_flushing",
        "_free",
        "_in_head",
        "_keep_alive",
        "_last_word",
        "_listener",
        "_made_at",
        "_requests",
        "_requests_at_most",
        "_state",
        "_streams",
        "_watched",
        "common",
        "congested",
        "deadline",
        "engine",
        "facts",
        "link",
        "requests",
        "serving",
        "transport",
        "waiting",
    )

    def __init__(self, listener: Listener, common: Common) -> None:
        self._listener = listener
        self.serving = listener.serving
        self.common = common
        limits = common.limits(self.serving.generation)
        self.engine = ServerConnection(limits)
        self._requests_at_most = common.requests_at_most
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.deadline = NEVER
        self.congested = False
        self.waiting = 0
        self._state = OPEN
        self._streams: dict[int, Stream] = {}
        self._free: list[Stream] = []
        self._requests = 0
        self._made_at = monotonic()
        self._in_head = False
        self._flushing = False
        self._announced = False
        self._last_word: asyncio.TimerHandle | None = None

    @property
    def doing(self) -> Doing:
        """What it does now; many requests at once count as one."""
        return "writing" if self._streams else "waiting"

    # --- from the event loop ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.facts = client_facts(
            str(peer[0]) if peer else "",
            self._listener.port,
            self._listener.tls,
            transport.get_extra_info("tls_peer"),
            by_https=bool(transport.get_extra_info("by_https")),
        )
        self.link = link_of(transport, self._listener.tls)
        self.requests = Requests(self.facts)
        self._watched: set[Timed] = self.serving.deadlines.watch(self)
        self._set_deadline(monotonic())
        self._listener.connections.add(self)
        self.flush_soon()
        if self._listener.draining:
            self.announce()

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
        for event in events:
            if event.__class__ is RequestReceived:
                self._request(event, now)
            else:
                _HANDLERS[event.__class__](self, event, now)
        self._flushing = flushing
        if engine.queued:
            self.flush_soon()
        if engine.reading_head is not self._in_head:
            self._watch_head(now)

    def eof_received(self) -> bool:
        """The client sends no more, nor can it open its window: it has left."""
        self._leave()
        return False

    def connection_lost(self, _error: Exception | None) -> None:
        """The client is gone."""
        self._state = CLOSED
        self._abandon()
        if self._last_word is not None:
            self._last_word.cancel()
        self._watched.discard(self)
        self._listener.connections.discard(self)

    def pause_writing(self) -> None:
        """The client takes bytes slower than they come: nothing more is read from it, nor for it."""
        self.congested = True
        if self._state >= LINGER:
            return
        self.deadline = monotonic() + SEND_TIME
        self.transport.pause_reading()
        for stream in self._streams.values():
            stream.congest()

    def resume_writing(self) -> None:
        """The client takes bytes again."""
        self.congested = False
        if self._state >= LINGER:
            return
        self._in_head = False
        self._set_deadline(monotonic())
        self.flush_soon()
        if not self.transport.is_closing():
            self.transport.resume_reading()
        for stream in list(self._streams.values()):
            stream.relieve()

    def expire(self, now: float) -> None:
        """Something took too long; what, the state tells."""
        if self._state >= LINGER:
            self._state = CLOSED
            self.transport.abort()
        elif self.congested:
            self._leave()
        elif self._in_head:
            self._fail(PROTOCOL_ERROR, "head-timeout")
        elif self._streams:
            self.deadline = NEVER
        else:
            self.engine.shutdown(NO_ERROR)
            self._end()

    # --- what comes ---------------------------------------------------------------------------------------------

    def _request(self, event: RequestReceived, now: float) -> None:
        if self.waiting > WAITING_LIMIT:
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
        if self._announced and event.payload == _LAST_CALL:
            self._say_last_word()

    def _failed(self, event: ConnectionFailed, _now: float) -> None:
        self._cut_off(event.reason)

    def _ignored(self, _event: Event, _now: float) -> None:
        """Nothing follows from it."""

    # --- streams ------------------------------------------------------------------------------------------------

    def release(self, stream_id: int, now: float) -> None:
        """A stream is done."""
        stream = self._streams.pop(stream_id)
        if len(self._free) < STREAMS_KEPT:
            self._free.append(stream)
        if not self._streams and self._state < LINGER:
            self._set_deadline(now)
            if self._state == LEAVING:
                self._end()

    def flush_soon(self) -> None:
        """Write what the engine has at the end of this turn of the loop, together with what other streams still have to
        say; at once, if there are none."""
        if self._flushing:
            return
        if len(self._streams) < 2:
            self._flush()
        else:
            self._flushing = True
            self.serving.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if not self.congested and self._state < LINGER:
            self._write()

    def _write(self) -> None:
        data = self.engine.data_to_send()
        if data:
            self.transport.write(data)

    # --- waiting ------------------------------------------------------------------------------------------------

    def _watch_head(self, now: float) -> None:
        self._in_head = self.engine.reading_head
        if self.congested:
            return
        if self._in_head:
            generation = self.serving.generation
            self.deadline = now + (HEAD_TIME if generation is None else generation.head_time)
        else:
            self._set_deadline(now)

    def _set_deadline(self, now: float) -> None:
        """How long it may go on as it is when no head has begun."""
        generation = self.serving.generation
        if self._streams:
            self.deadline = NEVER
        elif self._requests and generation is not None:
            self.deadline = now + generation.settings.keep_alive
        elif generation is not None:
            self.deadline = self._made_at + generation.settings.client_header_timeout
        else:
            self.deadline = self._made_at + FIRST_TIME

    # --- the end ------------------------------------------------------------------------------------------------

    def announce(self) -> None:
        """Say that there will be a last stream: a client that knows opens no more here (RFC 9113 section 6.8)."""
        if self._announced or self._state != OPEN:
            return
        self._announced = True
        self.engine.announce_shutdown()
        self.engine.ping(_LAST_CALL)
        self._last_word = self.serving.loop.call_later(LAST_WORD_TIME, self._say_last_word)
        self.flush_soon()

    def _say_last_word(self) -> None:
        """Name the last stream; the connection ends when those that are open have ended."""
        if self._state != OPEN:
            return
        self._announced = True
        self._state = LEAVING
        self.engine.shutdown(NO_ERROR)
        self.flush_soon()
        if not self._streams:
            self._end()

    def drain(self) -> None:
        """End when nothing is under way."""
        self.announce()

    def _fail(self, code: int, reason: str) -> None:
        """The client does not do what it has to."""
        self.engine.shutdown(code)
        self._cut_off(reason)

    def _cut_off(self, reason: str) -> None:
        self.serving.traffic.counters[f"http2-{reason}"] += 1
        self.common.broke_rule(self.facts.address, reason)
        self._abandon()
        self._end()

    def _end(self) -> None:
        """Send what there is, then read on a little: bytes unread at a close would destroy it on its way."""
        if self._state >= LINGER:
            return
        self._state = LINGER
        self.deadline = monotonic() + LINGER_TIME
        self._write()
        if self.congested:
            self.transport.close()
        elif self.transport.can_write_eof():
            self.transport.write_eof()

    def _leave(self) -> None:
        """The client has left, or takes nothing any more."""
        self._state = CLOSED
        self._abandon()
        self.transport.abort()

    def _abandon(self) -> None:
        now = monotonic()
        for stream in list(self._streams.values()):
            stream.abandon(now)


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
