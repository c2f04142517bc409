"""Endpoints as a worker knows them: idle connections kept for the next request, and whose turn it is.

Owns pools by address (they survive swaps) and the turn of each Upstream. Must not know requests' contents. A pool is
shared by all Upstreams that name its endpoint; the limit on idle connections is the worker's, as nginx's is.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from proto.resources import Endpoint, Settings, Upstream
from services.edge.core.retries import RetryBudget
from services.edge.core.transport import PLAIN, Transport, lane_of

if TYPE_CHECKING:
    from services.edge.choosing import Places
    from services.edge.http2_upstream.sessions import Sessions
    from services.edge.upstream import UpstreamConnection


class EndpointPool:
    """The connections to one address and port that are spoken to in one way (``transport``). ``idle``: the most
    recently used last; ``homes``: the balancers that name it; ``retired``: none does any more, and no connection is
    kept. ``sessions``: those of HTTP/2, once one was asked for.

    ``resting``: why it is left out for a while (``refusing``, ``slow``), empty while it is not; ``timeouts``: requests
    that timed out with none answered between them, the last at ``timed_out_at``; ``noted``: it is retired, or there are
    such (one look tells that nothing is to be done). ``latency``: in seconds, as of ``latency_at``, where requests
    choose by it (``choosing``).
    """

    __slots__ = (
        "address",
        "homes",
        "idle",
        "latency",
        "latency_at",
        "name",
        "noted",
        "open",
        "port",
        "resting",
        "retired",
        "sessions",
        "timed_out_at",
        "timeouts",
        "transport",
    )

    def __init__(self, address: str, port: int, transport: Transport = PLAIN) -> None:
        self.address = address
        self.port = port
        self.transport = transport
        self.name = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        self.idle: list[UpstreamConnection] = []
        self.sessions: Sessions | None = None
        self.open = 0
        self.homes: set[Balancer] = set()
        self.retired = False
        self.noted = False
        self.resting = ""
        self.timeouts = 0
        self.timed_out_at = 0.0
        self.latency = self.latency_at = 0.0

    def answers(self) -> bool:
        """The endpoint does answer (to be said while it is ``noted``); whether its connections are kept no more."""
        self.timeouts = 0
        self.noted = self.retired
        return self.retired


class Balancer:
    """Round robin over the endpoints of the Upstream ``name``, spoken to in one way; made anew when the Upstream
    changes, beginning anywhere. ``turn``: the endpoints that are not left out; ``retries``: what failures may cost;
    ``places``: what choosing by hash needs, once it was asked for."""

    __slots__ = ("_at", "name", "places", "pools", "retries", "transport", "turn", "upstream")

    def __init__(
        self, name: str, upstream: Upstream, transport: Transport, pools: list[EndpointPool], retries: RetryBudget
    ) -> None:
        self.name = name
        self.upstream = upstream
        self.transport = transport
        self.pools = pools
        self.turn = pools
        self.retries = retries
        self.places: Places | None = None
        self._at = int.from_bytes(os.urandom(2)) % len(pools) if pools else 0

    def next(self) -> EndpointPool:
        """The endpoint whose turn it is; there is at least one."""
        turn = self.turn
        if len(turn) == 1:
            return turn[0]
        self._at = at = (self._at + 1) % len(turn)
        return turn[at]

    def other(self, tried: Collection[str]) -> EndpointPool:
        """The next one whose name is not in ``tried``; anyone if all are."""
        pool = self.next()
        for _ in self.turn:
            if pool.name not in tried:
                break
            pool = self.next()
        return pool

    def arrange(self) -> None:
        """Leave out the endpoints that rest.

        Those that were only slow at most until half of all are left out: it may be the requests that are slow. Where
        nobody would be left, those that were slow stay, and where there are none, everybody.
        """
        refusing = [pool for pool in self.pools if pool.resting == "refusing"]
        slow = [pool for pool in self.pools if pool.resting == "slow"]
        out = {*refusing, *slow[: max(0, len(self.pools) // 2 - len(refusing))]}
        self.turn = [pool for pool in self.pools if pool not in out] or slow or self.pools


class Pools:
    """All pools and balancers of a worker.

    ``balancers``: by lane (``transport.lane_of``), those that have been asked for, each right for the generation in
    force. ``zone``: where this edge is, empty: nobody knows. ``resting``: the idle connections of all pools, the one
    that has been idle longest first.
    """

    __slots__ = ("_addresses", "_pools", "balancers", "resting", "settings", "zone")

    def __init__(self) -> None:
        self.zone = ""
        self._pools: dict[tuple[str, int, str], EndpointPool] = {}
        self.balancers: dict[str, Balancer] = {}
        self._addresses: dict[str, tuple[str, ...]] = {}
        self.resting: OrderedDict[UpstreamConnection, None] = OrderedDict()
        self.settings = Settings()

    @property
    def idle(self) -> int:
        """How many connections are idle."""
        return len(self.resting)

    def balancer(self, name: str, upstream: Upstream, transport: Transport = PLAIN) -> Balancer:
        """The balancer of an Upstream whose endpoints are spoken to in this way; it may have no endpoints."""
        lane = lane_of(name, transport)
        balancer = self.balancers.get(lane)
        if balancer is None or balancer.upstream is not upstream:
            balancer = self._renew(lane, name, upstream, transport, balancer)
        return balancer

    def resolved(self, name: str, addresses: tuple[str, ...]) -> None:
        """An ExternalName's name has these addresses from now on."""
        self._addresses[name] = addresses
        for lane, balancer in list(self.balancers.items()):
            upstream = balancer.upstream
            if upstream.dns and any(endpoint.address == name for endpoint in upstream.endpoints):
                self._renew(lane, balancer.name, upstream, balancer.transport, balancer)

    def follow(self, upstream_of: Callable[[str], Upstream | None]) -> None:
        """Go by another generation's Upstreams. Idle connections to endpoints that nobody names any more end."""
        for lane, balancer in list(self.balancers.items()):
            upstream = upstream_of(balancer.name)
            if upstream is None:
                self._drop_unused(self.balancers.pop(lane))
            elif upstream is not balancer.upstream:
                self._renew(lane, balancer.name, upstream, balancer.transport, balancer)

    def _renew(
        self, lane: str, name: str, upstream: Upstream, transport: Transport, before: Balancer | None
    ) -> Balancer:
        keys: dict[tuple[str, int, str], None] = {}
        for endpoint in near(upstream, self.zone):
            addresses = self._addresses.get(endpoint.address, ()) if upstream.dns else (endpoint.address,)
            for address in addresses:
                keys[(address, endpoint.port, transport.name)] = None
        pools = []
        for key in keys:
            pool = self._pools.get(key)
            if pool is None:
                pool = self._pools[key] = EndpointPool(key[0], key[1], transport)
            pools.append(pool)
        retries = RetryBudget() if before is None else before.retries
        balancer = self.balancers[lane] = Balancer(name, upstream, transport, pools, retries)
        for pool in pools:
            pool.homes.add(balancer)
        if any(pool.resting for pool in pools):
            balancer.arrange()
        if before is not None:
            self._drop_unused(before)
        return balancer

    def _drop_unused(self, gone: Balancer) -> None:
        """Close what is idle towards endpoints that no balancer names any more; busy connections end by themselves."""
        for pool in gone.pools:
            pool.homes.discard(gone)
            if pool.homes:
                continue
            self._pools.pop((pool.address, pool.port, pool.transport.name), None)
            pool.retired = pool.noted = True
            for connection in list(pool.idle):
                connection.drop()
            if pool.sessions is not None:
                pool.sessions.retire()

    def keep(self, connection: UpstreamConnection, now: float) -> None:
        """Put a connection that is ready for another request back, unless it is old or the worker keeps enough, or the
        endpoint answered without taking the request: the next one would wait behind the rest of that."""
        settings = self.settings
        pool = connection.pool
        if (
            connection.requests >= settings.upstream_keepalive_requests
            or now - connection.made_at >= settings.upstream_keepalive_time
            or settings.upstream_keepalive_connections <= 0
            or connection.congested
            or (pool.noted and pool.answers())
        ):
            connection.drop()
            return
        connection.deadline = now + settings.upstream_keepalive_timeout
        pool.idle.append(connection)
        resting = self.resting
        resting[connection] = None
        if len(resting) > settings.upstream_keepalive_connections:
            next(iter(resting)).drop()

    def left(self, connection: UpstreamConnection) -> None:
        """A connection that ends is no longer idle."""
        if connection in self.resting:
            del self.resting[connection]
            connection.pool.idle.remove(connection)

    def open(self) -> int:
        """Connections to endpoints."""
        return sum(pool.open for pool in self._pools.values())

    def counts(self) -> dict[str, int]:
        """Connections to endpoints by state."""
        return {"idle": self.idle, "active": self.open() - self.idle}


def near(upstream: Upstream, zone: str) -> Iterable[Endpoint]:
    """The endpoints that are meant for edges in ``zone``; all where nothing is said of it, or none is."""
    if not zone or not upstream.zones:
        return upstream.endpoints
    meant = [endpoint for endpoint, zones in zip(upstream.endpoints, upstream.zones, strict=False) if zone in zones]
    return meant or upstream.endpoints


class ConnectTimeoutError(Exception):
    """An endpoint did not take the connection in time."""
