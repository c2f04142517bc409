"""How often an address may ask: nginx's leaky bucket (``limit_req … nodelay``), in its own whole numbers.

Owns the buckets of addresses, a zone for each limit; a zone is bounded as nginx's of 5 MiB is. Pure: the time is given.
Source of the rule: contract section 1.17, ngx_http_limit_req_module.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

ADDRESSES_AT_MOST: Final = 40_000
"""In one zone; who has not asked for longest is forgotten first."""
ZONES_AT_MOST: Final = 10_000
ALL_AT_MOST: Final = 200_000
"""Addresses in all zones together (300 bytes each); a zone that has more than its share forgets its own first, else the
one that was asked for longest ago does."""

_STALE: Final = 60_000
"""Milliseconds after which a bucket that has run empty is forgotten."""
_REQUEST: Final = 1000
"""One request: everything is counted in thousandths of one."""


class Bucket(Struct, frozen=True, gc=False):
    """A limit. ``zone``: its name; ``rate``: thousandths of a request a second; ``burst``: how many thousandths may be
    in the bucket."""

    zone: str
    rate: int
    burst: int


def per_second(zone: str, limit: int, burst: int) -> Bucket:
    """``limit`` requests a second, ``burst`` more at once."""
    return Bucket(zone, limit * 1000, burst * 1000)


def per_minute(zone: str, limit: int, burst: int) -> Bucket:
    """``limit`` requests a minute."""
    return Bucket(zone, limit * 1000 // 60, burst * 1000)


_Zone = OrderedDict[object, tuple[int, int]]
"""By address: what is in its bucket, and when that was so; who asked last stands last."""


class LeakyBuckets:
    """See the module. ``now`` is in milliseconds and never goes back."""

    def __init__(self) -> None:
        self._zones: OrderedDict[str, _Zone] = OrderedDict()
        self._count = 0

    def take(self, address: object, buckets: Iterable[Bucket], now: int) -> bool:
        """Whether a request may pass all of ``buckets``; if one is full, nothing is put into any."""
        filled: list[tuple[_Zone, int]] = []
        for bucket in buckets:
            zone = self._zone(bucket.zone)
            known = zone.get(address)
            excess = 0
            if known is None:
                self._count -= _forget(zone, bucket.rate, now)
            else:
                excess = max(0, known[0] - bucket.rate * (now - known[1]) // 1000 + _REQUEST)
                if excess > bucket.burst:
                    return False
            filled.append((zone, excess))
        for zone, excess in filled:
            self._count -= len(zone)
            zone[address] = (excess, now)
            self._count += len(zone)
            zone.move_to_end(address)
            if self._count > ALL_AT_MOST:
                self._make_room(zone)
        return True

    def _make_room(self, zone: _Zone) -> None:
        if len(zone) * len(self._zones) < ALL_AT_MOST:
            zone = next(each for each in self._zones.values() if each)
        zone.popitem(last=False)
        self._count -= 1

    def _zone(self, name: str) -> _Zone:
        zone = self._zones.get(name)
        if zone is None:
            zone = self._zones[name] = OrderedDict()
            if len(self._zones) > ZONES_AT_MOST:
                self._count -= len(self._zones.popitem(last=False)[1])
        self._zones.move_to_end(name)
        return zone


def _forget(zone: _Zone, rate: int, now: int) -> int:
    """Make room for one more: two buckets that have long been empty, or the oldest one if there is no room; how many
    were forgotten."""
    for forgotten in range(2):
        if not zone:
            return forgotten
        address, (excess, then) = next(iter(zone.items()))
        stale = now - then >= _STALE and excess - rate * (now - then) // 1000 <= 0
        if not stale and len(zone) < ADDRESSES_AT_MOST:
            return forgotten
        del zone[address]
    return 2
