"""Who is not let in: the place of a connection that comes while there are too many.

Owns the answer to such a client, early and cheap: 503 where it can be read, else an end. Must not know requests: none
is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from services.edge.core import pages
from services.edge.waiting import Waiting

if TYPE_CHECKING:
    from services.edge.core.bound import Bound
    from services.edge.listener import Listener

LINGER_TIME: Final = 2.0
"""Seconds in which the answer may be read."""
LINGERING_AT_MOST: Final = 64
"""Clients who get an answer at a time; others are ended without a word."""


class TurnedAway(Waiting):
    """A client that is told to come again later. What it sends is thrown away: unread, it would destroy the answer."""

    __slots__ = ()

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener, listener.turned_away, monotonic() + LINGER_TIME)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer, if it can be read."""
        listener = self._listener
        unheard = listener.tls or len(listener.turned_away) >= LINGERING_AT_MOST
        super().connection_made(transport)
        if unheard:
            self.abort()
            return
        self._transport.write(pages.page(503, date=listener.serving.date(), persistent=False, bare=False))
        self._transport.write_eof()

    def data_received(self, data: bytes) -> None:
        """Nobody reads it."""


class Gate(asyncio.Protocol):
    """Lets a client in unless its source has too many connections: ``inner`` makes what it then is."""

    __slots__ = ("_inner", "_listener")

    def __init__(self, listener: Listener, inner: Callable[[], asyncio.Protocol | asyncio.BufferedProtocol]) -> None:
        self._listener = listener
        self._inner = inner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came; nothing was read of it yet."""
        peer = transport.get_extra_info("peername")
        admitted = self._listener.serving.limits.admit(str(peer[0]) if peer else "", transport)
        hand_over(cast(asyncio.Transport, transport), self._inner() if admitted else TurnedAway(self._listener))


class AtAddress(asyncio.Protocol):
    """Lets a client in if it came to an address at which clients are let in; ends it without a word if not, as if
    nobody listened there."""

    __slots__ = ("_bound", "_inner", "_listener")

    def __init__(self, listener: Listener, inner: Callable[[], asyncio.BaseProtocol], bound: Bound) -> None:
        self._listener = listener
        self._inner = inner
        self._bound = bound

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came; nothing was read of it yet."""
        real = cast(asyncio.Transport, transport)
        if self._bound.takes(str((real.get_extra_info("sockname") or ("",))[0])):
            hand_over(real, cast(asyncio.Protocol, self._inner()))
        else:
            self._listener.serving.traffic.counters["refused-address"] += 1
            real.abort()


def hand_over(
    real: asyncio.Transport,
    protocol: asyncio.Protocol | asyncio.BufferedProtocol,
    shown: asyncio.BaseTransport | None = None,
) -> None:
    """Give a connection to another protocol, which sees it as ``shown``."""
    real.pause_reading()  # event loops decide when reading begins how a protocol takes bytes
    real.set_protocol(protocol)
    protocol.connection_made(shown or real)
    if not real.is_closing():
        real.resume_reading()
