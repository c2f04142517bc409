"""A UDP port: datagrams of each client go to one endpoint, and its datagrams back, as long as they belong together.

Owns the socket of one port and the sessions: one for each client's address, with a socket of its own towards the
endpoint. A session ends when the endpoint has said what was expected of it (``proxy-stream-responses`` for each of the
client's datagrams), when nothing comes for ``proxy-stream-timeout``, or when the port goes.
"""

from __future__ import annotations

import socket
from struct import Struct
from time import monotonic
from typing import TYPE_CHECKING, Final

from proto.resources import Stream
from services.edge.deadlines import NEVER, Timed
from services.edge.streams.account import NO_ENDPOINT, OK, TOO_MANY, Account, two
from services.edge.streams.splice import allowed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.edge.pools import EndpointPool
    from services.edge.serving import Serving

SESSIONS_AT_MOST: Final = 8192
"""Sessions of one port in a worker; each has a descriptor."""
AT_ONCE: Final = 64
"""Datagrams that are taken before others have their turn."""
LARGEST: Final = 65535
_IP_PKTINFO: Final = 8
"""Linux: which of our addresses a datagram came to; the answer has to come from there."""
_info: Final = Struct("=i4s4s")
_CONTROL: Final = 64

Control = tuple[tuple[int, int, bytes], ...]


class DatagramPort:
    """See the module. ``stream``: what holds for new sessions."""

    def __init__(self, serving: Serving, stream: Stream) -> None:
        self.serving = serving
        self.stream = stream
        self.sessions: dict[tuple[object, Control], _Session] = {}
        self._sockets: list[socket.socket] = []
        self._closed = False

    @property
    def open(self) -> int:
        """Sessions that there are."""
        return len(self.sessions)

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Take datagrams from bound sockets."""
        for bound in sockets:
            if self._closed:
                bound.close()
                continue
            if bound.family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                bound.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            self._sockets.append(bound)
            self.serving.loop.add_reader(bound, self._readable, bound)

    def close(self) -> None:
        """End all sessions and the port: while its socket is there, the kernel sends it what another worker would
        take."""
        self._closed = True
        for session in list(self.sessions.values()):
            session.end()
        for bound in self._sockets:
            self.serving.loop.remove_reader(bound)
            bound.close()
        self._sockets.clear()

    def abort(self) -> None:
        """Nothing is left."""

    def _readable(self, bound: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                data, control, _, client = bound.recvmsg(LARGEST, _CONTROL)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an answer to somebody could not be delivered: that is nobody's who asks now
            self._take(bound, data, client, _from_there(control))

    def _take(self, bound: socket.socket, data: bytes, client: object, back: Control) -> None:
        session = self.sessions.get((client, back))
        if session is None:
            serving = self.serving
            if not self._lets_in(bound, back):
                serving.traffic.counters["refused-address"] += 1
                return
            account = Account(self.stream, two(client), two(bound.getsockname()), serving.ledger.ended)
            if (
                len(self.sessions) >= SESSIONS_AT_MOST
                or serving.limits.full_of_sessions()
                or serving.overload.turns_away
            ):
                serving.traffic.counters["stream-sessions-refused"] += 1
                account.status = TOO_MANY
                account.end()
                return
            session = _Session(self, bound, client, back, account)
            self.sessions[client, back] = session
            serving.limits.sessions += 1
        session.ask(data)

    def _lets_in(self, bound: socket.socket, back: Control) -> bool:
        """Whether clients are let in at the address that was asked (``bind-address``)."""
        newest = self.serving.newest
        if newest is None or newest.bound is None:
            return True
        address = two(bound.getsockname())[0]
        for level, _, data in back:
            if level == socket.IPPROTO_IPV6:
                address = socket.inet_ntop(socket.AF_INET6, data[:16])
            else:
                address = socket.inet_ntop(socket.AF_INET, _info.unpack_from(data)[1])
        return newest.bound.takes(address)


class _Session:
    """What one client and one endpoint say to each other. ``back``: from which of our addresses answers are sent."""

    __slots__ = (
        "_account",
        "_asked",
        "_back",
        "_bound",
        "_client",
        "_heard",
        "_last",
        "_pool",
        "_port",
        "_responses",
        "_socket",
        "_timeout",
        "_tries",
        "_until",
        "_watched",
        "deadline",
    )

    def __init__(
        self, port: DatagramPort, bound: socket.socket, client: object, back: Control, account: Account
    ) -> None:
        self._port = port
        self._bound = bound
        self._client = client
        self._back = back
        self._account = account
        self._socket: socket.socket | None = None
        self._pool: EndpointPool | None = None
        self._last = b""
        self._asked = self._heard = self._tries = self._responses = 0
        self._until = NEVER
        self._timeout = 0.0
        self.deadline = NEVER
        self._watched: set[Timed] = port.serving.deadlines.watch(self)

    def ask(self, data: bytes) -> None:
        """The client says ``data``."""
        self._asked += 1
        self._account.received += len(data)
        if self._socket is None and not self._connect():
            self._fail()
            return
        self._say(data)

    def expire(self, _now: float) -> None:
        """Nothing came for too long."""
        if self._heard < self._responses * self._asked:
            self._account.status = NO_ENDPOINT
        self.end()

    def end(self) -> None:
        """It is over."""
        self._watched.discard(self)
        del self._port.sessions[self._client, self._back]
        self._port.serving.limits.sessions -= 1
        self._disconnect()
        self._account.end()

    def _connect(self) -> bool:
        """Choose an endpoint, another one than before if possible; whether there is one."""
        serving, account = self._port.serving, self._account
        generation = serving.newest
        upstream = None if generation is None else generation.upstream(account.stream.upstream)
        if generation is None or upstream is None:
            return False
        balancer = serving.pools.balancer(account.stream.upstream, upstream)
        if not account.tried:
            self._timeout = generation.settings.proxy_stream_timeout
            self._responses = generation.settings.proxy_stream_responses
            self._tries, self._until = allowed(generation.settings, len(balancer.pools))
        while len(account.tried) < self._tries and monotonic() < self._until:
            pool = balancer.other(account.tried)
            account.turn(pool.name)
            family = socket.AF_INET6 if ":" in pool.address else socket.AF_INET
            made = None
            try:
                made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                made.connect((pool.address, pool.port))
            except (OSError, UnicodeError):
                if made is not None:
                    made.close()
                continue
            self._socket, self._pool = made, pool
            pool.open += 1
            account.connected = monotonic()
            serving.loop.add_reader(made, self._readable)
            return True
        return False

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._port.serving.loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        if self._pool is not None:
            self._pool.open -= 1
            self._pool = None

    def _say(self, data: bytes) -> None:
        assert self._socket is not None
        self.deadline = monotonic() + self._timeout
        self._last = data
        try:
            self._socket.send(data)
        except BlockingIOError:
            self._port.serving.traffic.counters["stream-datagrams-dropped"] += 1
        except OSError:
            self._refused()
            return
        else:
            self._account.given += len(data)
        if not self._responses:
            self.end()

    def _readable(self) -> None:
        for _ in range(AT_ONCE):
            if self._socket is None:
                return
            try:
                data = self._socket.recv(LARGEST)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._refused()
                return
            self._answer(data)

    def _answer(self, data: bytes) -> None:
        account = self._account
        self.deadline = monotonic() + self._timeout
        if not account.taken:
            account.first_byte = monotonic()
        account.taken += len(data)
        self._heard += 1
        try:
            self._bound.sendmsg([data], self._back, 0, self._client)  # type: ignore[arg-type]
            account.sent += len(data)
        except OSError:  # also: its buffer is full. Datagrams may be lost, and clients know
            self._port.serving.traffic.counters["stream-datagrams-dropped"] += 1
        if self._heard >= self._responses * self._asked:
            self.end()

    def _refused(self) -> None:
        """Nobody listens at the endpoint: another one is asked, if none has answered yet."""
        self._port.serving.traffic.counters["stream-connect-failed"] += 1
        self._disconnect()
        if self._heard or not self._connect():
            self._fail()
        else:
            self._say(self._last)

    def _fail(self) -> None:
        self._account.status = OK if self._heard else NO_ENDPOINT
        self.end()


def _from_there(control: list[tuple[int, int, bytes]]) -> Control:
    """What has to be sent along so that an answer comes from the address that was asked."""
    for level, kind, data in control:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO and len(data) >= _info.size:
            _, local, _ = _info.unpack_from(data)
            return ((level, kind, _info.pack(0, local, bytes(4))),)
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            return ((level, kind, data),)
    return ()
