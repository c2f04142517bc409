"""A TCP port whose connections are handed on: who is let in, and the PROXY header that they may have to bring first.

Owns the listening sockets of one port. What the port leads to may change while it is open: connections go by what
holds when they come. Must not know how ports come and go.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from proto.resources import Stream
from services.edge.clients import Arriving, Kept
from services.edge.core.forwarded import believes_balancer
from services.edge.core.proxy_protocol import Header, HeaderReader, NotProxiedError
from services.edge.deadlines import Timed
from services.edge.gate import hand_over
from services.edge.streams.account import BAD_CLIENT, TOO_MANY, Account, two
from services.edge.streams.splice import Splice

if TYPE_CHECKING:
    from services.edge.serving import Serving


BACKLOG: Final = 4096


class Port:
    """See the module. ``stream``: what holds for whoever comes now. ``connections`` and ``handshakes`` (those whose
    header is awaited) as of any listener."""

    def __init__(self, serving: Serving, stream: Stream) -> None:
        self.serving = serving
        self.stream = stream
        self.connections: set[Kept] = set()
        self.handshakes: set[Arriving] = set()
        self._servers: list[asyncio.Server] = []
        self._closed = False

    @property
    def open(self) -> int:
        """Connections that there are."""
        return len(self.connections) + len(self.handshakes)

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Accept on bound sockets."""
        for bound in sockets:
            server = await self.serving.loop.create_server(lambda: _Newcomer(self), sock=bound, backlog=BACKLOG)
            if self._closed:
                server.close()
            else:
                self._servers.append(server)

    def close(self) -> None:
        """Accept no more; connections stay."""
        self._closed = True
        for server in self._servers:
            server.close()
        self._servers.clear()

    def abort(self) -> None:
        """End what is left at once."""
        for connection in list(self.connections):
            connection.transport.abort()
        for arriving in list(self.handshakes):
            arriving.abort()

    def splice(self, transport: asyncio.Transport, account: Account, first: bytes) -> None:
        """Have a connection handed on; ``first``: what it said already."""
        told = None
        if account.stream.writes_proxy:
            header = account.header
            server = (header.server, header.server_port) if header is not None else account.server
            told = Header(*account.client, *server)
        splice = Splice(self.serving, account, self.connections, told)
        hand_over(transport, splice.client)
        splice.begin(transport, first)


class _Newcomer(asyncio.Protocol):
    """A connection that has just come; with ``reads_proxy`` until its header is there."""

    __slots__ = ("_account", "_port", "_reader", "_transport", "_watched", "deadline")

    def __init__(self, port: Port) -> None:
        self._port = port
        self._reader: HeaderReader | None = None
        self._transport = cast(asyncio.Transport, None)
        self._watched: set[Timed] | None = None
        self.deadline = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in, unless there are too many."""
        port, serving = self._port, self._port.serving
        self._transport = real = cast(asyncio.Transport, transport)
        peer, server = two(real.get_extra_info("peername")), two(real.get_extra_info("sockname"))
        self._account = Account(port.stream, peer, server, serving.ledger.ended)
        newest = serving.newest
        if newest is not None and newest.bound is not None and not newest.bound.takes(server[0]):
            serving.traffic.counters["refused-address"] += 1
            self.abort()
        elif serving.limits.full() or serving.overload.turns_away:
            serving.overload.shed()
            self._refuse(TOO_MANY)
        elif port.stream.reads_proxy:
            seconds = 0.0 if newest is None else newest.settings.proxy_protocol_header_timeout
            self._reader = HeaderReader()
            self.deadline = monotonic() + seconds
            self._watched = serving.deadlines.watch(self)
            port.handshakes.add(self)
        else:
            self._let_in(b"")

    def data_received(self, data: bytes) -> None:
        """Bytes of the header; the end of it is the beginning of the client's."""
        if self._reader is None:
            return
        try:
            header = self._reader.feed(data)
        except NotProxiedError as error:
            self._port.serving.traffic.counters[f"proxy-protocol-{str(error).replace(' ', '-')}"] += 1
            self._refuse(BAD_CLIENT)
            return
        if header is None:
            return
        account, newest = self._account, self._port.serving.newest
        if header.address and newest is not None and believes_balancer(newest.trust, account.peer[0]):
            account.header, account.client = header, (header.address, header.port)
        self._let_in(self._reader.rest)

    def eof_received(self) -> bool:
        """It says no more: a balancer only looked whether we are there."""
        return False

    def connection_lost(self, _error: Exception | None) -> None:
        """It went before it was anybody."""
        self._unwatch()

    def expire(self, _now: float) -> None:
        """The header took too long."""
        self._port.serving.traffic.counters["proxy-protocol-timeout"] += 1
        self._refuse(BAD_CLIENT)

    def abort(self) -> None:
        """Close at once."""
        self._unwatch()
        self._transport.abort()

    def _let_in(self, first: bytes) -> None:
        self._unwatch()
        if self._port.serving.limits.admit(self._account.client[0], self._transport):
            self._port.splice(self._transport, self._account, first)
        else:
            self._refuse(TOO_MANY)

    def _refuse(self, status: int) -> None:
        self._reader = None
        self._account.status = status
        self.abort()
        self._account.end()

    def _unwatch(self) -> None:
        if self._watched is not None:
            self._watched.discard(self)
        self._port.handshakes.discard(self)
