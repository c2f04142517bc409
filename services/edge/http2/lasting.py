"""How a client's HTTP/2 connection lives and ends, whatever its streams do: waiting, back-pressure, GOAWAY, draining.

Owns its state, its deadline and the writing of what the engine has to say. Must not know events:
``services.edge.http2.connection`` adds them.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from services.edge.core.forwarded import ClientFacts
from services.edge.core.generation import head_time
from services.edge.core.http2 import ServerConnection
from services.edge.core.http2.errors import NO_ERROR, PROTOCOL_ERROR
from services.edge.deadlines import NEVER, Timed
from services.edge.http2.common import Common
from services.edge.http2.responding import SEND_TIME
from services.edge.http2.stream import Stream

if TYPE_CHECKING:
    from services.edge.listener import Listener

LINGER_TIME: Final = 2.0
"""Seconds to read on after the last word, so that the client gets to read it; as long again while it has not taken
all that is written, SEND_TIME at most."""
LAST_WORD_TIME: Final = 1.0
"""Seconds after which the last stream is named though the client has not answered the PING that went before."""

HELD_AT_MOST: Final = 1024 * 1024
"""Bytes of responses that may wait for the client's windows before no endpoint is read whose bytes would wait too."""

LAST_CALL: Final = b"last one"
"""The PING behind the first GOAWAY: its answer tells that requests on their way have arrived."""

OPEN, LEAVING, LINGER, CLOSED = range(4)
"""Requests are taken; the last stream is named, the others go on; answered for the last time; over."""


class Lasting(asyncio.Protocol):
    """See the module. ``common``: what the listener's connections share; ``congested``: the client does not take what
    is written; ``_announced``: it knows that there will be a last stream; ``_flushing``: what there is to write will be
    written; ``_in_head``: a head has begun."""

    __slots__ = (
        "_announced",
        "_ends_at",
        "_flushing",
        "_gone_at",
        "_in_head",
        "_last_word",
        "_listener",
        "_made_at",
        "_requests",
        "_state",
        "_streams",
        "_watched",
        "common",
        "congested",
        "deadline",
        "engine",
        "facts",
        "full",
        "serving",
        "transport",
    )

    def __init__(self, listener: Listener, common: Common) -> None:
        self._listener = listener
        self.serving = listener.serving
        self.common = common
        self.engine = ServerConnection(common.limits(self.serving.generation))
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.facts: ClientFacts
        self.deadline = self._ends_at = NEVER
        self.congested = False
        self.full = False
        self._state = OPEN
        self._streams: dict[int, Stream] = {}
        self._requests = 0
        self._made_at = monotonic()
        self._in_head = False
        self._flushing = False
        self._gone_at = 0.0
        self._announced = False
        self._last_word: asyncio.TimerHandle | None = None
        self._watched: set[Timed] = set()

    # --- from the event loop ------------------------------------------------------------------------------------

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
        self.serving.outflow.forget(self)

    def pause_writing(self) -> None:
        """The client takes bytes slower than they come: nothing more is read from it, nor for it."""
        self.congested = True
        self.serving.outflow.note(self)
        if self._state >= LINGER:
            return
        self.deadline = monotonic() + SEND_TIME
        self.transport.pause_reading()
        for stream in self._streams.values():
            stream.congest()

    def resume_writing(self) -> None:
        """The client takes bytes again."""
        self.congested = False
        self.weigh()
        if self._state >= LINGER:
            return
        self._in_head = False
        self._set_deadline(monotonic())
        self.flush_soon()
        if not self.transport.is_closing():
            self.transport.resume_reading()
        self._relieve()

    # --- what waits (outflow.Slow) ------------------------------------------------------------------------------

    def untaken(self) -> int:
        """Bytes that the client has not taken, or has no window for."""
        engine = self.engine
        held = engine.waiting + self.transport.get_write_buffer_size()
        return held + engine.queued if self.congested else held

    def give_up(self) -> None:
        """There is no room for what the client does not take."""
        self._leave()

    def weigh(self) -> None:
        """More waits for the client's windows than before, or less."""
        waiting = self.engine.waiting
        if waiting or self.congested:
            self.serving.outflow.note(self)
        else:
            self.serving.outflow.forget(self)
        if waiting > HELD_AT_MOST:
            if not self.full:
                self.full = True
                for stream in list(self._streams.values()):
                    stream.hold()
        elif self.full and waiting <= HELD_AT_MOST // 2:
            self.full = False
            if not self.congested:
                self._relieve()

    def _relieve(self) -> None:
        for stream in list(self._streams.values()):
            if not self.full:
                stream.relieve()

    def _relieve_with_window(self) -> None:
        """Though it is full, streams of which nothing waits go on: what had stopped them may have been the window of
        them all, and the client has opened that."""
        for stream in list(self._streams.values()):
            if not stream.waits:
                stream.relieve()

    def expire(self, now: float) -> None:
        """Something took too long; what, the state tells."""
        if self._state == LINGER and now < self._gone_at and self.transport.get_write_buffer_size():
            self.deadline = now + LINGER_TIME
        elif self._state >= LINGER:
            self._state = CLOSED
            self.transport.abort()
        elif self.congested:
            self._leave()
        elif self._in_head:
            self._fail(PROTOCOL_ERROR, "head-timeout")
        elif self._streams:
            self.deadline = NEVER
        elif self.deadline < self._ends_at:
            self.deadline = self._ends_at
            self._rest()
        else:
            self.engine.shutdown(NO_ERROR)
            self._end()

    # --- writing ------------------------------------------------------------------------------------------------

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

    def flush_now(self) -> None:
        """The same without waiting for the others."""
        if not self.congested and self._state < LINGER:
            self._write()

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
            self.deadline = now + head_time(self.serving.generation)
        else:
            self._set_deadline(now)

    def _set_deadline(self, now: float) -> None:
        """How long it may go on as it is when no head has begun."""
        generation = self.serving.generation
        if self._streams:
            self.deadline = NEVER
        elif self._requests and generation is not None:
            self.deadline = now + generation.rests_after
            self._ends_at = now + generation.settings.keep_alive
        else:
            self.deadline = self._ends_at = self._made_at + head_time(generation)

    @property
    def lasts_until(self) -> float:
        """When it ends, while nothing comes."""
        return self._ends_at

    @abstractmethod
    def _rest(self) -> None:
        """Let go of what is only remembered for requests to come."""

    # --- the end ------------------------------------------------------------------------------------------------

    def announce(self) -> None:
        """Say that there will be a last stream: a client that knows opens no more here (RFC 9113 section 6.8)."""
        if self._announced or self._state != OPEN:
            return
        self._announced = True
        self.engine.announce_shutdown()
        self.engine.ping(LAST_CALL)
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
        now = monotonic()
        self.deadline = now + LINGER_TIME
        self._gone_at = now + SEND_TIME  # what is written is as much of a response as what came before it
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
