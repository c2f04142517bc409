"""HTTP/2 in the clear, for clients that know beforehand that it is spoken here (RFC 9113 section 3.3).

Owns a connection until its first bytes tell which protocol it is; then another one takes over. Must not know either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from services.edge.deadlines import Timed

if TYPE_CHECKING:
    from services.edge.listener import Listener

FIRST_TIME: Final = 60.0
"""Seconds until the first bytes (nginx: client_header_timeout)."""

_BEGINNING: Final = b"PRI * HTTP/2.0\r\n"
"""What begins so is the preface of HTTP/2: no request of HTTP/1.1 does."""


class Undecided(asyncio.Protocol):
    """See the module. ``plain`` and ``multiplexed`` make the connection for HTTP/1.1 and HTTP/2."""

    __slots__ = ("_listener", "_multiplexed", "_plain", "_received", "_transport", "_watched", "deadline")

    def __init__(
        self,
        listener: Listener,
        plain: Callable[[], asyncio.Protocol],
        multiplexed: Callable[[], asyncio.Protocol],
    ) -> None:
        self._listener = listener
        self._plain = plain
        self._multiplexed = multiplexed
        self._received = b""
        self._transport = cast(asyncio.Transport, None)
        self.deadline = monotonic() + FIRST_TIME

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self._transport = cast(asyncio.Transport, transport)
        self._watched: set[Timed] = self._listener.serving.deadlines.watch(self)
        self._listener.handshakes.add(self)

    def data_received(self, data: bytes) -> None:
        """Its first bytes: as soon as they tell, they are somebody else's."""
        self._received += data
        received = self._received
        if _BEGINNING.startswith(received):
            if len(received) < len(_BEGINNING):
                return
            self._hand_over(self._multiplexed())
        else:
            self._hand_over(self._multiplexed() if received.startswith(_BEGINNING) else self._plain())

    def _hand_over(self, protocol: asyncio.Protocol) -> None:
        self._unwatch()
        transport = self._transport
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(self._received)

    def eof_received(self) -> bool:
        """The client sends no more, and has said nothing."""
        return False

    def connection_lost(self, _error: Exception | None) -> None:
        """It is gone."""
        self._unwatch()

    def expire(self, _now: float) -> None:
        """Nothing came for too long."""
        self.abort()

    def abort(self) -> None:
        """Close at once."""
        self._unwatch()
        self._transport.abort()

    def _unwatch(self) -> None:
        self._watched.discard(self)
        self._listener.handshakes.discard(self)
