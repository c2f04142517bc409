"""Who of an Upstream's endpoints takes a request that does not simply go to the next one.

Owns the choosing by hash, by cookie and by latency. What that is based on stands with what it speaks of, and lasts as
long: rings with a Balancer (made anew when the Upstream changes), latencies with an EndpointPool (it survives swaps).
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection
from hashlib import md5
from random import choice as any_of
from random import sample
from time import monotonic, time
from typing import TYPE_CHECKING, Final, Protocol

from services.edge.core.choices import ByHash, ByLatency, Choice, Sticky, upstream_id
from services.edge.core.plan import name_in_lines
from services.edge.core.rings import Ring, groups_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.edge.core.retries import RetryBudget
    from services.edge.pools import Balancer, EndpointPool

DECAY: Final = 10.0
"""Seconds in which what was seen of an endpoint's latency counts for less, by the factor e (contract section 1.17)."""
DRAWS: Final = 20
"""Keys that are tried for one whose endpoint did not fail just now."""


class Chooser(Protocol):
    """What is asked for endpoints: a Balancer, or one for a single request."""

    @property
    def pools(self) -> Sequence[EndpointPool]:
        """All endpoints."""

    @property
    def retries(self) -> RetryBudget:
        """What failures may cost."""

    def next(self) -> EndpointPool:
        """The endpoint for a request."""

    def other(self, tried: Collection[str]) -> EndpointPool:
        """One whose name is not in ``tried``; anyone if all are."""


class Places:
    """What choosing by hash needs to know of a Balancer's endpoints; each made when it is first asked for."""

    __slots__ = ("_groups", "_hashes", "_names", "_rings", "upstream", "upstream_id")

    def __init__(self, balancer: Balancer) -> None:
        self._names = [pool.name for pool in balancer.pools]
        self._rings: dict[int, Ring] = {}
        self._groups: dict[int, list[tuple[int, ...]]] = {}
        self._hashes: dict[bytes, int] = {}
        self.upstream = name_in_lines(balancer.name)
        self.upstream_id = upstream_id(self.upstream)

    def ring(self) -> Ring:
        """Of the endpoints, by their names."""
        ring = self._rings.get(0)
        if ring is None:
            ring = self._rings[0] = Ring(self._names)
        return ring

    def grouped(self, size: int) -> tuple[Ring, list[tuple[int, ...]]]:
        """Of groups of endpoints, with whom each group has."""
        ring = self._rings.get(size)
        if ring is None:
            groups = self._groups[size] = groups_of(len(self._names), size)
            ring = self._rings[size] = Ring([f"set{number}" for number in range(len(groups))])
        return ring, self._groups[size]

    def hashes(self) -> dict[bytes, int]:
        """The endpoints by what cookies call them (``affinity-mode: persistent``)."""
        if not self._hashes:
            for number, name in enumerate(self._names):
                self._hashes[self.called(name)] = number
        return self._hashes

    def called(self, name: str) -> bytes:
        """What cookies call an endpoint."""
        return md5(self.upstream + name.encode(), usedforsecurity=False).hexdigest().encode()


def chosen(choice: Choice, balancer: Balancer) -> Chooser:
    """Who chooses among the endpoints of ``balancer``, of which there is one at least, for a request."""
    if isinstance(choice, ByLatency):
        return _ByLatency(choice, balancer)
    places = balancer.places
    if places is None:
        places = balancer.places = Places(balancer)
    return _ByHash(choice, balancer, places) if isinstance(choice, ByHash) else _Sticky(choice, balancer, places)


class _Chooser:
    __slots__ = ("_balancer", "pools", "retries")

    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer
        self.pools: Sequence[EndpointPool] = balancer.pools
        self.retries = balancer.retries

    def _serves(self, pool: EndpointPool, tried: Collection[str]) -> bool:
        """It was not tried yet, and is not left out for a while."""
        return pool.name not in tried and (not pool.resting or pool in self._balancer.turn)


class _ByHash(_Chooser):
    __slots__ = ("_choice", "_places")

    def __init__(self, choice: ByHash, balancer: Balancer, places: Places) -> None:
        super().__init__(balancer)
        self._choice = choice
        self._places = places

    def next(self) -> EndpointPool:
        return self.other(())

    def other(self, tried: Collection[str]) -> EndpointPool:
        choice, pools = self._choice, self._balancer.pools
        if choice.group:
            ring, groups = self._places.grouped(choice.group)
            for number in ring.others(choice.key):
                able = [pools[member] for member in groups[number] if self._serves(pools[member], tried)]
                if able:
                    return any_of(able)  # noqa: S311 - nobody gains by guessing it
        else:
            for number in self._places.ring().others(choice.key):
                if self._serves(pools[number], tried):
                    return pools[number]
        return self._balancer.other(tried)


class _Sticky(_Chooser):
    """A client that brings a cookie stays; where its endpoint fails, others serve it, and only where the route says so
    it stays with them (contract section 1.10)."""

    __slots__ = ("_choice", "_places")

    def __init__(self, choice: Sticky, balancer: Balancer, places: Places) -> None:
        super().__init__(balancer)
        self._choice = choice
        self._places = places

    def next(self) -> EndpointPool:
        key = self._choice.key
        pool = self._pool_of(key) if key else None
        if pool is None:
            return self._anew(())
        return pool if self._serves(pool, ()) else self._instead((pool.name,))

    def other(self, tried: Collection[str]) -> EndpointPool:
        return self._instead(tried)

    def _instead(self, tried: Collection[str]) -> EndpointPool:
        choice = self._choice
        return self._balancer.other(tried) if choice.held and not choice.form.changes else self._anew(tried)

    def _pool_of(self, key: bytes) -> EndpointPool | None:
        pools = self._balancer.pools
        if not self._choice.form.persistent:
            return pools[self._places.ring().find(key)]
        number = self._places.hashes().get(key)
        return None if number is None else pools[number]

    def _anew(self, tried: Collection[str]) -> EndpointPool:
        """An endpoint that the client stays with from now on."""
        choice, places = self._choice, self._places
        if choice.form.persistent:
            able = [pool for pool in self._balancer.pools if self._serves(pool, tried)]
            pool = any_of(able) if able else self._balancer.other(tried)  # noqa: S311 - as above
            key = places.called(pool.name)
        else:
            for _ in range(DRAWS):
                key = f"{time():.3f}.{os.getpid()}.{int.from_bytes(os.urandom(4))}".encode()
                pool = self._balancer.pools[places.ring().find(key)]
                if self._serves(pool, tried):
                    break
        choice.key, choice.held = key, False
        value = b"%b|%b" % (key, places.upstream_id)
        choice.told = choice.form.line(value, time(), tls=choice.tls, browser=choice.browser)
        return pool


class _ByLatency(_Chooser):
    __slots__ = ("_choice",)

    def __init__(self, choice: ByLatency, balancer: Balancer) -> None:
        super().__init__(balancer)
        self._choice = choice

    def next(self) -> EndpointPool:
        return self.other(())

    def other(self, tried: Collection[str]) -> EndpointPool:
        now = monotonic()
        turn = self._balancer.turn
        able = [pool for pool in turn if pool.name not in tried] if tried else turn
        able = able or turn
        two = able if len(able) < 3 else sample(able, 2)
        pool = min(two, key=lambda one: self._latency(one, now))
        self._choice.endpoint, self._choice.since = pool, now
        return pool

    def _latency(self, pool: EndpointPool, now: float) -> float:
        if pool.latency_at == 0.0:  # a new one begins as the others are, so that not all run to it
            known = [other.latency for other in self._balancer.pools if other.latency_at]
            pool.latency, pool.latency_at = (sum(known) / len(known) if known else 0.0), now
        return pool.latency * math.exp((pool.latency_at - now) / DECAY)


def ended(choice: ByLatency, endpoint: str, connected_at: float) -> None:
    """A request that chose by latency is over; ``endpoint``: the name of who had it last, ``connected_at``: since when
    it had a connection, 0.0: never."""
    pool, choice.endpoint = choice.endpoint, None  # a decision leads to no pool for longer than its request
    if pool is None or pool.name != endpoint:
        return
    now = monotonic()
    connecting = connected_at - choice.since if connected_at > choice.since else 0.0
    weight = math.exp((pool.latency_at - now) / DECAY)
    seen = now - choice.since + connecting
    pool.latency = pool.latency * weight + seen * (1.0 - weight)
    pool.latency_at = now
