"""HTTP/2 in the clear, for clients that know beforehand that it is spoken here (RFC 9113 section 3.3).

Owns a connection until its first bytes tell which protocol it is; then another one takes over. Must not know either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final

from services.edge.connection import first_time
from services.edge.core.generation import head_time
from services.edge.waiting import Waiting

if TYPE_CHECKING:
    from services.edge.listener import Listener

_BEGINNING: Final = b"PRI * HTTP/2.0\r\n"
"""What begins so is the preface of HTTP/2: no request of HTTP/1.1 does."""


class Undecided(Waiting):
    """See the module. ``plain`` and ``multiplexed`` make the connection for HTTP/1.1 and HTTP/2."""

    __slots__ = ("_multiplexed", "_plain", "_received")

    def __init__(
        self,
        listener: Listener,
        plain: Callable[[], asyncio.Protocol],
        multiplexed: Callable[[], asyncio.Protocol],
    ) -> None:
        super().__init__(listener, listener.handshakes, monotonic() + first_time(listener))
        self._plain = plain
        self._multiplexed = multiplexed
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Its first bytes: as soon as they tell, they are somebody else's."""
        if not self._received:  # whichever it is, it has begun
            now = monotonic()
            self.deadline = min(self.deadline, now + head_time(self._listener.serving.generation))
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
