"""Endpoints as a worker knows them: idle connections kept for the next request, and whose turn it is.

Owns pools by address (they survive swaps) and the turn of each Upstream. Must not know requests' contents. A pool is
shared by all Upstreams that name its endpoint; the limit on idle connections is the worker's, as nginx's is.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from proto.resources import Settings, Upstream

if TYPE_CHECKING:
    from services.edge.upstream import UpstreamConnection


class EndpointPool:
    """The connections to one address and port. ``idle``: the most recently used last; ``balancers``: how many name it;
    ``retired``: none does any more, and no connection is kept."""

    __slots__ = ("address", "balancers", "idle", "name", "open", "port", "retired")

    def __init__(self, address: str, port: int) -> None:
        self.address = address
        self.port = port
        self.name = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        self.idle: list[UpstreamConnection] = []
        self.open = 0
        self.balancers = 0
        self.retired = False


class Balancer:
    """Round robin over the endpoints of one Upstream; made anew when the Upstream changes, beginning anywhere."""

    __slots__ = ("_at", "pools", "upstream")

    def __init__(self, upstream: Upstream, pools: list[EndpointPool]) -> None:
        self.upstream = upstream
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

    ``balancers``: by Upstream, those that have been asked for, each right for the generation in force. ``resting``: the
    idle connections of all pools, the one that has been idle longest first.
    """

    __slots__ = ("_addresses", "_pools", "balancers", "resting", "settings")

    def __init__(self) -> None:
        self._pools: dict[tuple[str, int], EndpointPool] = {}
        self.balancers: dict[str, Balancer] = {}
        self._addresses: dict[str, tuple[str, ...]] = {}
        self.resting: OrderedDict[UpstreamConnection, None] = OrderedDict()
        self.settings = Settings()

    @property
    def idle(self) -> int:
        """How many connections are idle."""
        return len(self.resting)

    def balancer(self, name: str, upstream: Upstream) -> Balancer:
        """The balancer of an Upstream; it may have no endpoints."""
        balancer = self.balancers.get(name)
        if balancer is None or balancer.upstream is not upstream:
            balancer = self._renew(name, upstream, balancer)
        return balancer

    def resolved(self, name: str, addresses: tuple[str, ...]) -> None:
        """An ExternalName's name has these addresses from now on."""
        self._addresses[name] = addresses
        for upstream_name, balancer in list(self.balancers.items()):
            upstream = balancer.upstream
            if upstream.dns and any(endpoint.address == name for endpoint in upstream.endpoints):
                self._renew(upstream_name, upstream, balancer)

    def follow(self, upstream_of: Callable[[str], Upstream | None]) -> None:
        """Go by another generation's Upstreams. Idle connections to endpoints that nobody names any more end."""
        for name, balancer in list(self.balancers.items()):
            upstream = upstream_of(name)
            if upstream is None:
                self._drop_unused(self.balancers.pop(name))
            elif upstream is not balancer.upstream:
                self._renew(name, upstream, balancer)

    def _renew(self, name: str, upstream: Upstream, before: Balancer | None) -> Balancer:
        keys: dict[tuple[str, int], None] = {}
        for endpoint in upstream.endpoints:
            addresses = self._addresses.get(endpoint.address, ()) if upstream.dns else (endpoint.address,)
            for address in addresses:
                keys[(address, endpoint.port)] = None
        pools = []
        for key in keys:
            pool = self._pools.get(key)
            if pool is None:
                pool = self._pools[key] = EndpointPool(*key)
            pool.balancers += 1
            pools.append(pool)
        balancer = self.balancers[name] = Balancer(upstream, pools)
        if before is not None:
            self._drop_unused(before)
        return balancer

    def _drop_unused(self, gone: Balancer) -> None:
        """Close what is idle towards endpoints that no balancer names any more; busy connections end by themselves."""
        for pool in gone.pools:
            pool.balancers -= 1
            if pool.balancers:
                continue
            self._pools.pop((pool.address, pool.port), None)
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


async def open_connection(loop: asyncio.AbstractEventLoop, connection: UpstreamConnection, timeout: float) -> None:
    """Connect ``connection`` to its pool's endpoint. Raises ConnectTimeoutError, OSError."""
    pool = connection.pool
    try:
        async with asyncio.timeout(timeout):
            await loop.create_connection(lambda: connection, pool.address, pool.port)
    except TimeoutError:
        raise ConnectTimeoutError(pool.name) from None
    connection.made_at = monotonic()
