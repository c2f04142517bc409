"""How a client's connection lives and ends, whatever it says: waiting, back-pressure, half-close, draining, lingering.

Owns the state, the deadline and the flow of reading. Must not know heads or bodies: ``services.edge.client`` adds them.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from services.edge.clients import NOBODY, Doing
from services.edge.core.forwarded import facts_of
from services.edge.core.link import link_of
from services.edge.deadlines import NEVER, Timed

if TYPE_CHECKING:
    from services.edge.core.generation import Generation
    from services.edge.exchange import Exchange
    from services.edge.listener import Listener

FIRST_TIME: Final = 60.0
"""Seconds until the first byte of the first request, while nobody says how many (``client-header-timeout``)."""
SEND_TIME: Final = 60.0
"""Seconds that a client may take none of the bytes sent to it (nginx: send_timeout)."""
LINGER_TIME: Final = 30.0
"""Seconds to read on after a refused request, so that the client gets to read the answer (nginx: lingering_time) …"""
LINGER_PAUSE: Final = 5.0
"""… as long as it sends more within this time (nginx: lingering_timeout) …"""
LINGER_DRAINING: Final = 2.0
"""… and at most for this one when the worker leaves."""
HALF_CLOSED_TIME: Final = 1.0
"""Seconds without progress after which a client that sends no more is taken to have left."""
NEWCOMER_TIME: Final = 1.0
"""Seconds in which a client that came just before draining began may still settle TLS, and then bring a request."""
PIPELINE_LIMIT: Final = 64 * 1024
"""Bytes of further requests that are read ahead."""

FIRST, IDLE, HEAD, BODY, WAIT, NEXT, STALLED, TUNNEL, LINGER, CLOSED = range(10)
"""Nothing came yet; between requests; in a head; in a body (an endpoint may be at work); an endpoint is at work;
between requests, with bytes that came ahead and go first; the same, but the client has to take responses before; bytes
both ways; answered for the last time; over."""

_FLOWING: Final = frozenset((BODY, WAIT, STALLED, TUNNEL))
"""States in which it may be the client, slow to take bytes, that is waited for."""


class Connection(asyncio.Protocol):
    """See the module. ``_persistent``: stays after this response; ``_lingers``: ends with reading on for a little;
    ``_responding``: some of the response was written; ``_congested``: the client does not take what is written."""

    __slots__ = (
        "_congested",
        "_ending",
        "_exchange",
        "_facts",
        "_generation",
        "_half_closed",
        "_linger_end",
        "_lingers",
        "_listener",
        "_pending",
        "_persistent",
        "_plain",
        "_progress",
        "_reading",
        "_requests",
        "_responding",
        "_serving",
        "_state",
        "_watched",
        "deadline",
        "transport",
    )

    def __init__(self, listener: Listener, exchange: Exchange) -> None:
        self._listener = listener
        self._serving = listener.serving
        self._exchange = exchange
        self._generation: Generation | None = None
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.deadline = NEVER
        self._state = FIRST
        self._pending = b""
        self._reading = True
        self._half_closed = False
        self._congested = False
        self._progress = 0
        self._persistent = True
        self._requests = 0
        self._responding = False
        self._lingers = False
        self._linger_end = 0.0
        self._plain = False
        self._ending = b""

    @abstractmethod
    def _too_slow(self) -> None:
        """A head or a body took too long."""

    @abstractmethod
    def _let_go(self) -> None:
        """The request is over, however it ended: nothing of it is needed any more."""

    @abstractmethod
    def _forget(self) -> None:
        """Let go of what is only remembered for the next request, and of the generation of the last one."""

    @abstractmethod
    def _rest(self) -> None:
        """The same, and of the last request itself."""

    @abstractmethod
    def data_received(self, data: bytes) -> None:
        """Bytes came."""

    @property
    def doing(self) -> Doing:
        """What it does now."""
        if self._state in (FIRST, IDLE):
            return "waiting"
        return "reading" if self._state == HEAD else "writing"

    # --- from the event loop ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self.transport = cast(asyncio.Transport, transport)
        link = self._exchange.link = link_of(transport, self._listener.tls)
        self._facts = facts_of(link, self._listener.port)
        self._exchange.address = self._facts.address
        self._watched: set[Timed] = self._serving.deadlines.watch(self)
        self.deadline = monotonic() + (NEWCOMER_TIME if self._listener.draining else first_time(self._listener))
        self._listener.connections.add(self)

    def eof_received(self) -> bool:
        """The client sends no more; it may still read."""
        self._half_closed = True
        state = self._state
        if state == WAIT:
            self._progress = -1
            self.deadline = monotonic() + HALF_CLOSED_TIME
            return True
        if state in (NEXT, STALLED):
            return True
        if state in (BODY, TUNNEL):
            self._leave()
        else:
            self._end()
        return False

    def connection_lost(self, _error: Exception | None) -> None:
        """The client is gone."""
        if self._state in (BODY, WAIT, TUNNEL):
            self._abandon()
        self._state = CLOSED
        self._watched.discard(self)
        self._listener.connections.discard(self)
        self._serving.outflow.forget(self)
        self._exchange.police(NOBODY, None)

    def pause_writing(self) -> None:
        """The client takes bytes slower than they come."""
        self._congested = True
        self._serving.outflow.note(self)
        if self._state in _FLOWING:
            self._exchange.pause_upstream()
            self.deadline = monotonic() + SEND_TIME

    def resume_writing(self) -> None:
        """The client takes bytes again."""
        self._congested = False
        self._serving.outflow.forget(self)
        state = self._state
        if state not in _FLOWING:  # what it waits for has a deadline of its own, which runs on
            return
        self.deadline = monotonic() + SEND_TIME if state == BODY and self._reading else NEVER
        self._exchange.resume_upstream()
        if state == STALLED:
            self._state = WAIT
            self._go_on()

    def untaken(self) -> int:
        """Bytes that the client has not taken yet (outflow.Slow)."""
        return self.transport.get_write_buffer_size()

    def give_up(self) -> None:
        """There is no room for what the client does not take (outflow.Slow)."""
        if self._state in (LINGER, CLOSED):
            self.transport.abort()
        else:
            self._leave()

    def expire(self, now: float) -> None:
        """Something took too long; what, the state tells."""
        state = self._state
        if self._congested and state not in (LINGER, CLOSED):
            self._leave()
        elif state == HEAD or (state == BODY and self._reading):
            self._too_slow()
        elif state == WAIT and self._half_closed:
            if self._progress == self._exchange.sent:
                self._leave()
            else:
                self._progress = self._exchange.sent
                self.deadline = now + HALF_CLOSED_TIME
        elif state in (BODY, WAIT, TUNNEL):
            self.deadline = NEVER  # it is the endpoint that is waited for: its connection has a deadline of its own
        elif state == CLOSED:
            self.transport.abort()
        elif state != IDLE or not self._stays():
            self._end()

    @property
    def lasts_until(self) -> float:
        """When it ends, while nothing comes."""
        return self.deadline + self._unrested()

    def _unrested(self) -> float:
        """Seconds that are left of ``keep-alive`` when it is time to rest; 0.0: it rests already."""
        generation = self._generation
        if generation is None or self._state != IDLE:
            return 0.0
        return generation.settings.keep_alive - generation.rests_after

    def _stays(self) -> bool:
        """Whether an idle connection stays for longer; it keeps as little as it can from now on."""
        left = self._unrested()
        if left <= 0.0:
            return False
        self.deadline += left
        self._rest()
        return True

    # --- between requests, and the end --------------------------------------------------------------------------

    def _go_on(self) -> None:
        """After a response: the next request if the connection stays, else one of the ways to end it."""
        if self._persistent and self._congested:
            self._state = STALLED
        elif self._persistent and (self._pending or not self._half_closed):
            self._state = NEXT
            self.deadline = monotonic() + SEND_TIME
            self._serving.loop.call_soon(self._next)
        elif self._lingers or self._state == BODY or self._ends_early():
            self._linger()
        else:
            self._end()

    def _next(self) -> None:
        """Read the request that came ahead."""
        if self._state != NEXT:
            return
        self._state = IDLE
        data, self._pending = self._pending, b""
        self._read(True)
        if data:
            self.data_received(data)
        if len(self._pending) > PIPELINE_LIMIT:
            self._read(False)
        if self._half_closed and self._state in (IDLE, HEAD):
            self._end()
        elif self._half_closed and self._state == BODY:
            self._leave()

    def _ends_early(self) -> bool:
        """Whether it is we who keep the connection no longer: the client may have sent more in good faith."""
        generation = self._generation
        return self._listener.draining or (generation is not None and self._requests >= generation.requests_at_most)

    def announce(self) -> None:
        """Nothing: the next response says that it is the last."""

    def drain(self) -> None:
        """End when nothing is under way; a response under way is the last."""
        if self._state == FIRST:
            self.deadline = min(self.deadline, monotonic() + NEWCOMER_TIME)
        elif self._state == IDLE or (self._state == NEXT and not self._pending):
            self._end()
        elif self._state == LINGER:
            self._linger_end = min(self._linger_end, monotonic() + LINGER_DRAINING)
            self.deadline = min(self.deadline, self._linger_end)
        else:
            self._persistent = False

    def cut(self) -> None:
        """The response broke off: so does the connection."""
        self._let_go()
        self._exchange.record(monotonic())
        self._state = CLOSED
        self.transport.abort()

    def _read(self, flows: bool) -> None:
        if flows is not self._reading and not self.transport.is_closing():
            self._reading = flows
            if flows:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def _end(self) -> None:
        self._state = CLOSED
        self.deadline = monotonic() + SEND_TIME
        self.transport.close()

    def _linger(self) -> None:
        """Send what is written, then read on a little: bytes unread at a close would destroy the answer on its way."""
        self._state = LINGER
        now = monotonic()
        self._linger_end = now + (LINGER_DRAINING if self._listener.draining else LINGER_TIME)
        self.deadline = min(now + LINGER_PAUSE, self._linger_end)
        self._pending = b""
        self._read(True)
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _still_sends(self) -> None:
        """Bytes that nobody wants any more: they are thrown away for a while."""
        self.deadline = min(monotonic() + LINGER_PAUSE, self._linger_end)

    def _leave(self) -> None:
        """The client has left, or takes nothing any more."""
        self._abandon()
        self._state = CLOSED
        self.transport.abort()

    def _abandon(self) -> None:
        exchange = self._exchange
        exchange.abort()
        if self._state in (BODY, WAIT):
            self._serving.traffic.counters["client-aborted"] += 1
            if not self._responding:
                exchange.status = 499
                exchange.sent = 0
        self._let_go()
        if self._state in (BODY, WAIT, TUNNEL):
            exchange.record(monotonic())


def first_time(listener: Listener) -> float:
    """Seconds that a client has until the first byte of its first request."""
    generation = listener.serving.generation
    return FIRST_TIME if generation is None else generation.settings.client_header_timeout
