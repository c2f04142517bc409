"""What one connection (or session of datagrams) came to: what the log and the metrics say of it.

Owns the figures of one. Must not know how bytes get across.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from msgspec import Struct

from proto.resources import Stream
from services.edge.core.proxy_protocol import Header

Address = tuple[str, int]

OK = 200
BAD_CLIENT = 400
FAILED = 500
NO_ENDPOINT = 502
TOO_MANY = 503


class Try(Struct, frozen=True, gc=False):
    """An endpoint's turn: when it ``began``; bytes ``given`` to those before it and ``taken`` from them."""

    began: float
    given: int
    taken: int


class Account:
    """See the module. ``status``: nginx's for streams. ``peer``: where the connection came from; ``client``: whose it
    is, where a balancer told (``header``); ``server``: where it came to. ``received`` and ``sent``: bytes from and to
    the client, ``taken`` and ``given`` from and to endpoints, a PROXY header too. ``tried`` and ``tries``: the
    endpoints, in their order. Times as ``time.monotonic``, 0.0: not reached."""

    __slots__ = (
        "_over",
        "began",
        "client",
        "connected",
        "ended",
        "first_byte",
        "given",
        "header",
        "peer",
        "received",
        "sent",
        "server",
        "status",
        "stream",
        "taken",
        "tried",
        "tries",
    )

    def __init__(self, stream: Stream, peer: Address, server: Address, over: Callable[[Account], None]) -> None:
        self.stream = stream
        self.peer = self.client = peer
        self.server = server
        self.header: Header | None = None
        self.status = OK
        self.tried: list[str] = []
        self.tries: list[Try] = []
        self.received = self.sent = self.taken = self.given = 0
        self.began = monotonic()
        self.connected = self.first_byte = self.ended = 0.0
        self._over = over

    def turn(self, name: str) -> None:
        """It is the turn of the endpoint ``name``."""
        self.tried.append(name)
        self.tries.append(Try(monotonic(), self.given, self.taken))

    def end(self) -> None:
        """It is over; said once."""
        if not self.ended:
            self.ended = monotonic()
            self._over(self)


def two(address: object) -> Address:
    """Address and port of a socket's name, whatever family it is of; what has none gives empty ones."""
    if isinstance(address, tuple) and len(address) >= 2:
        return str(address[0]), int(address[1])
    return "", 0
