"""Endpoints as a worker knows them: idle connections kept for the next request, and whose turn it is.

Owns pools by address (they survive swaps) and the turn of each Upstream. Must not know requests' contents. A pool is
shared by all Upstreams that name its endpoint; the limit on idle connections is the worker's, as nginx's is.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from proto.resources import Settings, Upstream
from services.edge.core.transport import PLAIN, Transport, lane_of

if TYPE_CHECKING:
    from services.edge.upstream import UpstreamConnection


class EndpointPool:
    """The connections to one address and port that are spoken to in one way (``transport``). ``idle``: the most
    recently used last; ``balancers``: how many name it; ``retired``: none does any more, and no connection is kept."""

    __slots__ = ("address", "balancers", "idle", "name", "open", "port", "retired", "transport")

    def __init__(self, address: str, port: int, transport: Transport = PLAIN) -> None:
        self.address = address
        self.port = port
        self.transport = transport
        self.name = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        self.idle: list[UpstreamConnection] = []
        self.open = 0
        self.balancers = 0
        self.retired = False


class Balancer:
    """Round robin over the endpoints of the Upstream ``name``, spoken to in one way; made anew when the Upstream
    changes, beginning anywhere."""

    __slots__ = ("_at", "name", "pools", "transport", "upstream")

    def __init__(self, name: str, upstream: Upstream, transport: Transport, pools: list[EndpointPool]) -> None:
        self.name = name
        self.upstream = upstream
        self.transport = transport
        self.pools = pools
        self._at = int.from_bytes(os.urandom(2)) % len(pools) if pools else 0

    def next(self) -> EndpointPool:
        """The endpoint whose turn it is; there is at least one."""
        pools = self.pools
        if len(pools) == 1:
            return pools[0]
        self._at = at = (self._at + 1) % len(pools)
        return pools[at]


class Pools:
    """All pools and balancers of a worker.

    ``balancers``: by lane (``transport.lane_of``), those that have been asked for, each right for the generation in
    force. ``resting``: the idle connections of all pools, the one that has been idle longest first.
    """

    __slots__ = ("_addresses", "_pools", "balancers", "resting", "settings")

    def __init__(self) -> None:
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
        for endpoint in upstream.endpoints:
            addresses = self._addresses.get(endpoint.address, ()) if upstream.dns else (endpoint.address,)
            for address in addresses:
                keys[(address, endpoint.port, transport.name)] = None
        pools = []
        for key in keys:
            pool = self._pools.get(key)
            if pool is None:
                pool = self._pools[key] = EndpointPool(key[0], key[1], transport)
            pool.balancers += 1
            pools.append(pool)
        balancer = self.balancers[lane] = Balancer(name, upstream, transport, pools)
        if before is not None:
            self._drop_unused(before)
        return balancer

    def _drop_unused(self, gone: Balancer) -> None:
        """Close what is idle towards endpoints that no balancer names any more; busy connections end by themselves."""
        for pool in gone.pools:
            pool.balancers -= 1
            if pool.balancers:
                continue
            self._pools.pop((pool.address, pool.port, pool.transport.name), None)
            pool.retired = True
            for connection in list(pool.idle):
                connection.drop()

    def keep(self, connection: UpstreamConnection, now: float) -> None:
        """Put a connection that is ready for another request back, unless it is old or the worker keeps enough."""
        settings = self.settings
        pool = connection.pool
        if (
            connection.requests >= settings.upstream_keepalive_requests
            or now - connection.made_at >= settings.upstream_keepalive_time
            or settings.upstream_keepalive_connections <= 0
            or pool.retired
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

    def counts(self) -> dict[str, int]:
        """Connections to endpoints by state."""
        everything = sum(pool.open for pool in self._pools.values())
        return {"idle": self.idle, "active": everything - self.idle}


class ConnectTimeoutError(Exception):
    """An endpoint did not take the connection in time."""
