"""A listening socket and the connections it brought.

Owns accepting and draining. Must not know what is served.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from time import monotonic
from typing import Final

from proto.resources import Stream
from services.edge.client import ClientConnection
from services.edge.clients import Arriving, Kept
from services.edge.connection import NEWCOMER_TIME
from services.edge.gate import AtAddress, Gate, TurnedAway, hand_over
from services.edge.http2.cleartext import Undecided
from services.edge.http2.common import Common
from services.edge.http2.connection import Http2Connection
from services.edge.proxied import Proxied, Refusals
from services.edge.serving import Serving
from services.edge.streams.account import Account, two
from services.edge.streams.splice import Splice
from services.edge.tls import TLSConnection

BACKLOG: Final = 4096


class Listener:
    """See the module. ``port`` is told to endpoints; ``draining``: every response is its connection's last;
    ``handshakes``: clients whose TLS, or protocol, is not settled yet, each in ``connections`` afterwards. ``h2c``:
    HTTP/2 is spoken without TLS too; ``turned_away``: those who are being told that there are too many; ``refusals``:
    of connections that bring no PROXY header."""

    def __init__(self, serving: Serving, port: int, tls: bool, h2c: bool = False) -> None:
        self.serving = serving
        self.port = port
        self.tls = tls
        self.draining = False
        self.accepted = 0
        self.connections: set[Kept] = set()
        self.handshakes: set[Arriving] = set()
        self.turned_away: set[TurnedAway] = set()
        self.refusals = Refusals()
        self._h2c = h2c
        self._common = Common(tls)
        self._servers: list[asyncio.Server] = []

    async def open(self, listening: socket.socket) -> None:
        """Accept on a bound socket."""
        server = await self.serving.loop.create_server(self._accept, sock=listening, backlog=BACKLOG)
        self._servers.append(server)

    def _accept(self) -> asyncio.BaseProtocol:
        generation = self.serving.newest
        bound = None if generation is None else generation.bound
        return self._let_in() if bound is None else AtAddress(self, self._let_in, bound)

    def _let_in(self) -> asyncio.BaseProtocol:
        self.accepted += 1
        serving = self.serving
        if serving.limits.full() or serving.overload.turns_away:
            serving.overload.shed()
            return TurnedAway(self)
        generation = serving.newest  # balancers say who the client is whether it is served or not
        if generation is not None and generation.settings.use_proxy_protocol:
            return Proxied(self, self._client)
        return Gate(self, self._client) if serving.limits.per_source else self._client()

    def _client(self) -> asyncio.Protocol | asyncio.BufferedProtocol:
        """What speaks with a client, from its first byte on."""
        if self._speaks_h2c():
            return Undecided(self, self._plain, self._multiplexed)
        if self.tls:
            return TLSConnection(self._plain, self._multiplexed, self.serving, self.handshakes, self._pass_on)
        return self._plain()

    def _plain(self) -> ClientConnection:
        return ClientConnection(self)

    def _pass_on(self, upstream: str, transport: asyncio.Transport, first: bytes) -> None:
        """Hand a connection on unopened (``ssl-passthrough``)."""
        peer, server = two(transport.get_extra_info("peername")), two(transport.get_extra_info("sockname"))
        account = Account(Stream("tls", upstream), peer, server, self.serving.ledger.ended)
        splice = Splice(self.serving, account, self.connections, None)
        hand_over(transport, splice.client)
        splice.begin(transport, first)

    def _speaks_h2c(self) -> bool:
        """Whether a client that comes now may begin with HTTP/2 in the clear."""
        if self.tls:
            return False
        generation = self.serving.newest
        return self._h2c or (generation is not None and generation.settings.http2_in_clear)

    def _multiplexed(self) -> Http2Connection:
        return Http2Connection(self, self._common)

    def close(self) -> None:
        """Accept no more; connections stay."""
        for server in self._servers:
            server.close()

    def drain(self) -> None:
        """Accept no more, end idle connections, and the others after the response under way; those that have just come
        may bring a request still."""
        self.draining = True
        self.close()
        for connection in list(self.connections):
            connection.drain()
        soon = monotonic() + NEWCOMER_TIME
        for handshake in self.handshakes:
            handshake.deadline = min(handshake.deadline, soon)

    def abort(self) -> None:
        """End what is left at once."""
        for connection in list(self.connections):
            connection.transport.abort()
        for arriving in (*self.handshakes, *self.turned_away):
            arriving.abort()


class Listeners:
    """Listeners drained together."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self.each = tuple(listeners)

    @property
    def connections(self) -> int:
        """How many connections of clients there are."""
        return sum(len(listener.connections) + len(listener.handshakes) for listener in self.each)

    def close(self) -> None:
        """Accept no more."""
        for listener in self.each:
            listener.close()

    def last_responses(self) -> None:
        """Accept no more; every response is its connection's last; idle connections may still bring a request."""
        for listener in self.each:
            listener.draining = True
            listener.close()
            for connection in list(listener.connections):
                connection.announce()

    async def drain(self, timeout: float) -> bool:
        """Let what is under way finish, at most ``timeout`` seconds, then end the rest; whether nothing was cut."""
        for listener in self.each:
            listener.drain()
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while self.connections and loop.time() < end:  # noqa: ASYNC110 - no request pays for saying it was the last
            await asyncio.sleep(0.02)
        whole = not self.connections
        for listener in self.each:
            listener.abort()
        return whole


async def listen(serving: Serving, sockets: Sequence[socket.socket], tls: bool, h2c: bool = False) -> Listeners:
    """Serve on bound sockets, http or https. ``h2c``: HTTP/2 on http too, for clients that begin with it."""
    listeners = []
    for listening in sockets:
        listener = Listener(serving, listening.getsockname()[1], tls, h2c)
        serving.overload.listeners.append(listener)
        await listener.open(listening)
        listeners.append(listener)
    serving.overload.watch()
    return Listeners(listeners)
