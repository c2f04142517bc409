"""An HTTP/2 connection to an endpoint, shared by as many requests as it lets us have under way.

Owns the connection's life: which streams are open, when it takes no more, when it ends. Must not know clients, nor who
picks it: its Sessions do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

from services.edge.core.http2 import ENDPOINT_LIMITS
from services.edge.core.http2.client import ClientConnection
from services.edge.core.http2.events import (
    PIECES,
    ConnectionFailed,
    DataReceived,
    Event,
    GoAwayReceived,
    InformationReceived,
    PingAnswered,
    ResponseReceived,
    SettingsReceived,
    StreamReset,
    TrailersReceived,
    WindowOpened,
    joined,
)
from services.edge.core.http2_forward import RequestBlocks, ResponseHeads
from services.edge.deadlines import Timed
from services.edge.http2_upstream.stream import EndpointStream

if TYPE_CHECKING:
    from services.edge.http2_upstream.sessions import Sessions
    from services.edge.pools import EndpointPool
    from services.edge.serving import Serving


class Session(asyncio.Protocol):
    """See the module. ``blocks`` and ``heads``: the memory of heads that repeat; ``congested``: the endpoint does not
    take what is written; ``requests``: how many it has carried; ``made_at``: when it was connected."""

    __slots__ = (
        "_flushing",
        "_idle_since",
        "_leaving",
        "_serving",
        "_sessions",
        "_streams",
        "_watched",
        "blocks",
        "closed",
        "congested",
        "deadline",
        "engine",
        "heads",
        "heard_at",
        "made_at",
        "pool",
        "requests",
        "transport",
    )

    def __init__(self, sessions: Sessions, pool: EndpointPool, serving: Serving) -> None:
        self._sessions = sessions
        self.pool = pool
        self._serving = serving
        self.engine = ClientConnection(ENDPOINT_LIMITS)
        self.blocks = RequestBlocks(b"http" if pool.transport.tls is None else b"https")
        self.heads = ResponseHeads()
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._streams: dict[int, EndpointStream] = {}
        self._watched: set[Timed] = set()
        self._flushing = False
        self._leaving = False
        self._idle_since = 0.0
        self.closed = False
        self.congested = False
        self.deadline = 0.0
        self.heard_at = self.made_at = 0.0
        self.requests = 0

    # --- from the event loop ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The endpoint took the connection."""
        self.transport = cast(asyncio.Transport, transport)
        self.made_at = self.heard_at = self._idle_since = monotonic()
        self._watched = self._serving.deadlines.watch(self)
        self._sessions.opened(self)
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Frames, whole or in part."""
        now = self.heard_at = monotonic()
        events = self.engine.receive(data, now)
        for event in joined(events) if len(events) > PIECES else events:
            _HANDLERS[type(event)](self, event, now)
        self.flush()
        if self.engine.closed:
            self._end()

    def eof_received(self) -> bool:
        """The endpoint sends no more."""
        return False

    def connection_lost(self, _error: Exception | None) -> None:
        """The connection is gone, and with it what was under way."""
        self.closed = True
        self._watched.discard(self)
        self._sessions.closed(self)
        self._lose_all()

    def pause_writing(self) -> None:
        """The endpoint takes bytes slower than they come."""
        self.congested = True
        for stream in list(self._streams.values()):
            stream.congest()

    def resume_writing(self) -> None:
        """The endpoint takes bytes again."""
        self.congested = False
        for stream in list(self._streams.values()):
            stream.relieve()

    def expire(self, now: float) -> None:
        """At each sweep: what waited too long, and whether the session has been idle for long enough."""
        if self.closed or self.transport.is_closing():
            self.transport.abort()
            return
        if self.pool.retired and not self._leaving:  # since before it was there: only who waited for it was served
            self.retire()
        late = [stream for stream in self._streams.values() if stream.deadline <= now]
        late = [stream for stream in late if not stream.is_still_taken(now)]
        for stream in late:
            if self.heard_at <= now - stream.read_timeout:  # the whole connection may be dead: nobody else gets it
                self._withdraw("silent")
            stream.expire()
        if late:
            self.flush()
        idle = not self._streams and now - self._idle_since >= self._serving.pools.settings.upstream_keepalive_timeout
        if idle or (self._leaving and not self._streams):
            self._end()

    # --- from streams -------------------------------------------------------------------------------------------

    def open_stream(self, stream: EndpointStream, block: bytes, body: bytes, ended: bool, bodiless: bool) -> int:
        """Send a request; returns the number of its stream."""
        stream_id = self.engine.request(block, body, ended, bodiless)
        self._streams[stream_id] = stream
        return stream_id

    def done(self, stream_id: int) -> None:
        """A stream has come to its end."""
        self._streams.pop(stream_id, None)
        if not self._streams:
            self._idle_since = monotonic()
            if self._leaving:
                self._serving.loop.call_soon(self._end)

    def cancel(self, stream_id: int, code: int) -> None:
        """Give up a stream."""
        if stream_id in self._streams:
            self.engine.reset(stream_id, code)
            self.flush_soon()
            self.done(stream_id)

    def flush_soon(self) -> None:
        """Write what there is at the end of this turn of the loop, for all streams at once."""
        if not self._flushing:
            self._flushing = True
            self._serving.loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what there is."""
        self._flushing = False
        data = self.engine.data_to_send()
        if data and not self.transport.is_closing():
            self.transport.write(data)

    def untaken(self) -> int:
        """Bytes that the endpoint's side has not taken yet."""
        return self.transport.get_write_buffer_size()

    # --- from its Sessions --------------------------------------------------------------------------------------

    @property
    def takes_requests(self) -> bool:
        """Whether another request may be sent here now."""
        return not self._leaving and not self.closed and self.engine.capacity > 0 and not self.transport.is_closing()

    def stream(self) -> EndpointStream:
        """A stream for one more request; it counts once that is sent."""
        self.requests += 1
        settings = self._serving.pools.settings
        if (
            self.requests >= settings.upstream_keepalive_requests
            or monotonic() - self.made_at >= settings.upstream_keepalive_time
            or settings.upstream_keepalive_connections <= 0
        ):
            self.retire()
        return EndpointStream(self)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is under way: then it may have ended without anybody noticing."""
        return not self._streams

    def drop(self) -> None:
        """End at once."""
        self.retire()
        self.transport.abort()

    def retire(self) -> None:
        """Take no further requests, and end when those under way are over."""
        self._leaving = True
        self._sessions.leaves(self)

    def end_if_idle(self) -> None:
        """The endpoint is not named any more."""
        self.retire()
        if not self._streams:
            self._end()

    # --- events -------------------------------------------------------------------------------------------------

    def _head(self, event: ResponseReceived, now: float) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.head(event, now)

    def _data(self, event: DataReceived, now: float) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.data(event, now)
        else:
            self.engine.took(event.stream_id, event.length)

    def _trailers(self, event: TrailersReceived, now: float) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.trailers(event, now)

    def _reset(self, event: StreamReset, _now: float) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            self.done(event.stream_id)
            stream.reset(event)

    def _opened(self, event: WindowOpened, _now: float) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.opened()

    def _interim(self, event: InformationReceived, _now: float) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.interim()

    def _going_away(self, _event: GoAwayReceived, _now: float) -> None:
        self._withdraw("goaway")
        if not self._streams:
            self._end()

    def _failed(self, event: ConnectionFailed, _now: float) -> None:
        """The endpoint broke the protocol: nothing of what it sends can be believed."""
        self._withdraw("invalid")
        streams = list(self._streams.values())
        self._streams.clear()
        for stream in streams:
            stream.broken(event.reason)

    def _withdraw(self, why: str) -> None:
        """Take no further requests for a reason that lies with the endpoint, which is counted once."""
        if not self._leaving:
            self._serving.traffic.counters[f"upstream-session-{why}"] += 1
        self.retire()

    def _nothing(self, _event: Event, _now: float) -> None:
        """The engine has taken note of it."""

    def _lose_all(self) -> None:
        streams = list(self._streams.values())
        self._streams.clear()
        for stream in streams:
            stream.lost()

    def _end(self) -> None:
        if self.closed or self.transport.is_closing():
            return
        self.retire()
        if not self.engine.closed:
            self.engine.shutdown()
        self.flush()
        self.transport.close()


_HANDLERS: Final[dict[type, Callable[[Session, Any, float], None]]] = {
    ResponseReceived: Session._head,
    DataReceived: Session._data,
    TrailersReceived: Session._trailers,
    StreamReset: Session._reset,
    WindowOpened: Session._opened,
    InformationReceived: Session._interim,
    GoAwayReceived: Session._going_away,
    ConnectionFailed: Session._failed,
    SettingsReceived: Session._nothing,
    PingAnswered: Session._nothing,
}
