"""A client's connection and one to an endpoint, joined: what one end says the other hears, no more read than is taken.

Owns both ends from the first byte to the last: finding an endpoint (nginx: ``proxy_next_upstream`` of streams), the
PROXY header that is sent to it, back-pressure, ends one direction at a time, the time without a byte
(``proxy_timeout``). Must not know where connections come from, nor what their bytes mean.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from proto.resources import Settings
from services.edge.clients import Doing
from services.edge.core.proxy_protocol import Header, line_for
from services.edge.deadlines import NEVER, Timed
from services.edge.health import is_ours
from services.edge.streams.account import FAILED, NO_ENDPOINT, Account

if TYPE_CHECKING:
    from services.edge.clients import Kept
    from services.edge.pools import EndpointPool
    from services.edge.serving import Serving

CONNECT_TIME: Final = 60.0
"""Seconds for one endpoint to take a connection (nginx: ``proxy_connect_timeout`` of streams)."""
EARLY_AT_MOST: Final = 64 * 1024
"""Bytes of a client that wait while there is no endpoint yet."""


_NOBODYS = cast("Splice", None)
"""Nothing is heard by an end that is gone."""


def allowed(settings: Settings, endpoints: int) -> tuple[int, float]:
    """How many of so many endpoints may be tried, and until when (``proxy-stream-next-upstream*``)."""
    if not settings.proxy_stream_next_upstream:
        return min(1, endpoints), NEVER
    tries = min(settings.proxy_stream_next_upstream_tries or endpoints, endpoints)
    return tries, monotonic() + (settings.proxy_stream_next_upstream_timeout or NEVER)


class _Half(asyncio.Protocol):
    """One end; ``other``: the opposite one, once there is one. ``ended``: it says no more; ``gone``: nor hears it."""

    __slots__ = ("_splice", "ended", "gone", "other", "transport")

    def __init__(self, splice: Splice) -> None:
        self._splice = splice
        self.transport = cast(asyncio.Transport, None)
        self.other: _Half | None = None
        self.ended = self.gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def pause_writing(self) -> None:
        """It takes no more for now."""
        self._splice.weigh()
        if self.other is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """It takes more."""
        self._splice.weigh()
        if self.other is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        """It says no more, and may still hear."""
        self.ended = True
        self._splice.half_closed(self)
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """It is gone."""
        self.ended = self.gone = True
        self._splice.lost(error)
        self._splice, self.other = _NOBODYS, None  # they know each other: neither would go by itself


class ClientHalf(_Half):
    """The client's end."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        splice, account = self._splice, self._splice.account
        splice.touch()
        account.received += len(data)
        if self.other is None:
            splice.early(data)
        else:
            account.given += len(data)
            self.other.transport.write(data)


class EndpointHalf(_Half):
    """The endpoint's end."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Joined at once: some endpoints speak first."""
        super().connection_made(transport)
        self._splice.join(self)

    def data_received(self, data: bytes) -> None:
        splice, account = self._splice, self._splice.account
        splice.touch()
        if not account.taken:
            account.first_byte = monotonic()
        account.taken += len(data)
        account.sent += len(data)
        cast(_Half, self.other).transport.write(data)


class Splice:
    """See the module. A client as its listener knows it (``Kept``), in ``among`` while it lasts. ``told``: what the
    endpoint is told of the client, None: nothing; ``transport``: the client's."""

    __slots__ = (
        "_among",
        "_connecting",
        "_early",
        "_pool",
        "_serving",
        "_timeout",
        "_told",
        "_watched",
        "account",
        "client",
        "deadline",
        "endpoint",
        "transport",
    )

    def __init__(self, serving: Serving, account: Account, among: set[Kept], told: Header | None) -> None:
        self._serving = serving
        self._among = among
        self._told = told
        self._timeout = 0.0
        self._early: list[bytes] = []
        self._connecting: asyncio.Task[None] | None = None
        self._pool: EndpointPool | None = None
        self._watched: set[Timed] | None = None
        self.account = account
        self.client = ClientHalf(self)
        self.endpoint: EndpointHalf | None = None
        self.deadline = NEVER
        self.transport = cast(asyncio.Transport, None)

    # --- as its listener knows it -------------------------------------------------------------------------------

    @property
    def doing(self) -> Doing:
        """Nobody knows whether it is idle, so it never is."""
        return "writing"

    @property
    def lasts_until(self) -> float:
        """When it ends, if nothing is said."""
        return self.deadline

    def announce(self) -> None:
        """Nothing can be said to it."""

    def drain(self) -> None:
        """It ends when its ends want that."""

    def untaken(self) -> int:
        """Bytes that wait for either end (outflow.Slow)."""
        ends = (self.client, self.endpoint)
        return sum(half.transport.get_write_buffer_size() for half in ends if half is not None)

    def give_up(self) -> None:
        """There is no room for them."""
        self.abort()

    def weigh(self) -> None:
        """An end takes no more, or takes more."""
        self._serving.outflow.note(self)

    # --- the way to an endpoint ---------------------------------------------------------------------------------

    def begin(self, transport: asyncio.Transport, first: bytes = b"") -> None:
        """The client is there; ``first``: what it said already. The connection must be ``client``'s to hear."""
        self.transport = transport
        self._among.add(self)
        newest = self._serving.newest
        self._timeout = NEVER if newest is None else newest.settings.proxy_stream_timeout
        self._watched = self._serving.deadlines.watch(self)
        if first:
            self.client.data_received(first)
        self._connecting = self._serving.spawn(self._connect())

    def early(self, data: bytes) -> None:
        """The client spoke before there was an endpoint."""
        self._early.append(data)
        if self.account.received >= EARLY_AT_MOST:
            self.client.transport.pause_reading()

    async def _connect(self) -> None:
        try:
            await self._find()
        except Exception:  # a defect: told by whoever spawned this
            self._fail(FAILED)
            raise
        finally:
            self._connecting = None
        if self.endpoint is None:
            self._fail(NO_ENDPOINT)

    async def _find(self) -> None:
        """Join the first endpoint that takes a connection."""
        serving, account = self._serving, self.account
        generation = serving.newest
        upstream = None if generation is None else generation.upstream(account.stream.upstream)
        if generation is None or upstream is None:
            return
        balancer = serving.pools.balancer(account.stream.upstream, upstream)
        tries, until = allowed(generation.settings, len(balancer.pools))
        while self.endpoint is None and len(account.tried) < tries and monotonic() < until:
            pool = balancer.other(account.tried)
            account.turn(pool.name)
            try:
                async with asyncio.timeout(CONNECT_TIME):
                    await serving.loop.create_connection(lambda: EndpointHalf(self), pool.address, pool.port)
            except (OSError, UnicodeError) as error:  # a timeout is one too; manifests in files may name anything
                serving.traffic.counters["stream-connect-failed"] += 1
                if not is_ours(error):
                    serving.health.took_no_connection(pool, timed_out=isinstance(error, TimeoutError))
            else:
                self._hold(pool)

    def _hold(self, pool: EndpointPool) -> None:
        """The connection counts as one of the endpoint's as long as it lasts."""
        if not self.account.ended:
            pool.open += 1
            self._pool = pool

    def join(self, endpoint: EndpointHalf) -> None:
        """An endpoint took a connection."""
        client, account = self.client, self.account
        if account.ended:
            endpoint.transport.abort()
            return
        account.connected = monotonic()
        self.endpoint = endpoint
        client.other, endpoint.other = endpoint, client
        self.touch()
        client.transport.resume_reading()
        if self._told is not None:
            header = line_for(self._told)
            account.given += len(header)
            endpoint.transport.write(header)
        for data in self._early:
            account.given += len(data)
            endpoint.transport.write(data)
        self._early.clear()
        if client.ended:
            self.half_closed(client)

    # --- the end ------------------------------------------------------------------------------------------------

    def touch(self) -> None:
        """A byte went some way."""
        self.deadline = monotonic() + self._timeout

    def half_closed(self, half: _Half) -> None:
        """One end says no more: the other is told, and when both do not, it is over."""
        other = half.other
        if other is None:
            return  # there is no endpoint yet: it is told when there is
        if other.ended:
            half.transport.close()
            other.transport.close()
        elif other.transport.can_write_eof() and not other.transport.is_closing():
            other.transport.write_eof()

    def lost(self, error: Exception | None) -> None:
        """An end is gone: so is the other, which hears what was meant for it unless something broke. It is over when
        that is heard: whoever takes it slowly has no more time than before."""
        if error is not None:
            self.abort()
            return
        if self._connecting is not None:
            self._connecting.cancel()
        ends = [half for half in (self.client, self.endpoint) if half is not None and not half.gone]
        for half in ends:
            half.transport.close()
        if not ends:
            self._end()

    def _fail(self, status: int) -> None:
        """There is nobody to talk to."""
        self.account.status = status
        self.client.transport.close()
        self._end()

    def expire(self, _now: float) -> None:
        """Nothing was said for too long."""
        self._serving.traffic.counters["stream-timeout"] += 1
        self.abort()

    def abort(self) -> None:
        """End it at once."""
        if self._connecting is not None:
            self._connecting.cancel()
        for half in (self.client, self.endpoint):
            if half is not None and half.transport is not None:
                half.transport.abort()
        self._end()

    def _end(self) -> None:
        if self.account.ended:
            return
        self._among.discard(self)
        self._serving.outflow.forget(self)
        if self._watched is not None:
            self._watched.discard(self)
        if self._pool is not None:
            self._pool.open -= 1
            self._pool = None
        self.account.end()
