"""Consistent hashing: keys fall to names so that few move when a name comes or goes.

Pure. Every name has points on a ring; a key belongs to the name of the next point.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from struct import unpack
from typing import Final

_ROUNDS: Final = 10
_POINTS_AT_ONCE: Final = 16
"""Points of 4 bytes in one digest: 160 for a name, as ketama has them."""
_MANY: Final = 100
"""Names beyond which each has fewer points: a ring is made between requests."""


class Ring:
    """The ring of some names, by their numbers; there is at least one."""

    __slots__ = ("_count", "_owners", "_points")

    def __init__(self, names: Sequence[str]) -> None:
        self._count = len(names)
        rounds = _ROUNDS if len(names) <= _MANY else max(1, _ROUNDS * _MANY // len(names))
        placed: list[tuple[int, int]] = []
        for number, name in enumerate(names):
            text = name.encode()
            for turn in range(rounds):
                points = unpack(f">{_POINTS_AT_ONCE}I", blake2b(text, digest_size=64, salt=bytes((turn,))).digest())
                placed.extend((point, number) for point in points)
        placed.sort()
        self._points = [point for point, _ in placed]
        self._owners = [number for _, number in placed]

    def find(self, key: bytes) -> int:
        """Whom ``key`` belongs to."""
        return self._owners[self._at(key)]

    def others(self, key: bytes) -> Iterator[int]:
        """All, each once, in the order in which they would come to have ``key`` if those before were gone."""
        seen: set[int] = set()
        owners, start = self._owners, self._at(key)
        for step in range(len(owners)):
            number = owners[(start + step) % len(owners)]
            if number not in seen:
                seen.add(number)
                yield number
                if len(seen) == self._count:
                    return

    def _at(self, key: bytes) -> int:
        (point,) = unpack(">I", blake2b(key, digest_size=4).digest())
        at = bisect_left(self._points, point)
        return at if at < len(self._points) else 0


def groups_of(count: int, size: int) -> list[tuple[int, ...]]:
    """The numbers below ``count`` in groups of ``size``, the last one filled up from the beginning (contract 1.17)."""
    size = max(1, min(size, count))
    return [tuple((start + step) % count for step in range(size)) for start in range(0, count, size)]
