"""What clients ask of Ingresses with limits, counted by all workers of an edge together (nginx: the zones of
``limit_req`` and ``limit_conn`` are memory that its workers share).

Owns two tables in memory that the supervisor makes before it forks. Nobody locks: a worker never waits for another, and
one that dies leaves nothing held. Two that write the same row at the same moment may forget one request; what a worker
has under way stands in a column of its own, which its successor clears. Must not know policies.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from services.edge.core.networks import numbered
from services.edge.core.policies.limits import MayAsk, MayEnter

WAYS: Final = 4
"""Rows that one address may stand in; who has not asked for longest gives way."""
RATE_ROWS: Final = 1 << 17
ENTRY_ROWS: Final = 1 << 15

_REQUEST: Final = 1000
"""One request: everything is counted in thousandths of one, as ``leaky_buckets`` does."""
_KEY, _THEN, _EXCESS, _RATE_WIDTH = range(4)
_KEY_WIDTH: Final = 4
"""Numbers of 16 bits that a key takes."""
_MOST: Final = (1 << 16) - 1

_Place = tuple[str, tuple[int, int]]


class SharedCounts:
    """The tables. To be made before the workers are forked."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.secret = os.urandom(16)
        self.rates = memoryview(mmap.mmap(-1, RATE_ROWS * _RATE_WIDTH * 8)).cast("Q")
        self.width = _KEY_WIDTH + -(-workers // _KEY_WIDTH) * _KEY_WIDTH
        entries = mmap.mmap(-1, ENTRY_ROWS * self.width * 2)
        self.columns = memoryview(entries).cast("H")
        self.keys = memoryview(entries).cast("Q")

    def clear(self, worker: int) -> None:
        """Nothing is under way in a worker that begins."""
        nothing = memoryview(bytes(2 * ENTRY_ROWS)).cast("H")
        self.columns[_KEY_WIDTH + worker :: self.width] = nothing


class SharedClientRates:
    """``ClientRates`` of a worker that shares its counts. ``clock``: seconds since the machine began."""

    def __init__(self, clock: Callable[[], float], counts: SharedCounts, worker: int) -> None:
        self._clock = clock
        self._counts = counts
        self._column = _KEY_WIDTH + worker
        self._under_way: dict[_Place, tuple[int, int]] = {}
        counts.clear(worker)

    def may_ask(self, question: MayAsk) -> bool:
        """Whether one more request may pass, which is counted then."""
        address = numbered(question.address)
        now = int(self._clock() * 1000)
        rates = self._counts.rates
        filled: list[tuple[int, int, int, int]] = []
        for bucket in question.buckets:
            key = self._key(bucket.zone, address)
            at = self._rate_row(key)
            excess, then = 0, now
            if rates[at + _KEY] == key:
                then = max(now, rates[at + _THEN])
                leaked = bucket.rate * (then - rates[at + _THEN]) // 1000
                excess = max(0, rates[at + _EXCESS] - leaked + _REQUEST)
                if excess > bucket.burst:
                    return False
            filled.append((at, key, then, excess))
        for at, key, then, excess in filled:
            rates[at + _KEY] = key
            rates[at + _THEN] = then
            rates[at + _EXCESS] = excess
        return True

    def may_enter(self, question: MayEnter) -> Callable[[], None] | None:
        """What is to be called once when the request is over; None: too many are under way already."""
        place = (question.zone, numbered(question.address))
        key = self._key(*place)
        row, count = self._under_way.get(place) or (self._entry_row(key), 0)
        if self._elsewhere(row, key) + count >= question.at_most:
            return None
        if row >= 0 and not count:
            self._counts.keys[row * self._counts.width // _KEY_WIDTH] = key
        self._put_down(place, row, count + 1)
        return lambda: self._leave(place)

    def _leave(self, place: _Place) -> None:
        row, count = self._under_way[place]
        self._put_down(place, row, count - 1)

    def _put_down(self, place: _Place, row: int, count: int) -> None:
        if row >= 0:
            self._counts.columns[row * self._counts.width + self._column] = min(count, _MOST)
        if count:
            self._under_way[place] = (row, count)
        else:
            del self._under_way[place]

    def _elsewhere(self, row: int, key: int) -> int:
        """How many are under way in other workers."""
        counts = self._counts
        if row < 0 or counts.keys[row * counts.width // _KEY_WIDTH] != key:
            return 0
        first = row * counts.width
        everywhere = sum(counts.columns[first + _KEY_WIDTH : first + _KEY_WIDTH + counts.workers])
        return everywhere - counts.columns[first + self._column]

    def _rate_row(self, key: int) -> int:
        """Where the row of ``key`` begins, or that which gives way to it."""
        rates = self._counts.rates
        first = key % (RATE_ROWS // WAYS) * WAYS * _RATE_WIDTH
        oldest = first
        for at in range(first, first + WAYS * _RATE_WIDTH, _RATE_WIDTH):
            if rates[at + _KEY] == key:
                return at
            if rates[at + _THEN] < rates[oldest + _THEN]:
                oldest = at
        return oldest

    def _entry_row(self, key: int) -> int:
        """The row of ``key``, or one in which nothing is under way; -1: there is none, and only this worker counts."""
        counts = self._counts
        first = key % (ENTRY_ROWS // WAYS) * WAYS
        free = -1
        for row in range(first, first + WAYS):
            if counts.keys[row * counts.width // _KEY_WIDTH] == key:
                return row
            begin = row * counts.width + _KEY_WIDTH
            if free < 0 and not any(counts.columns[begin : begin + counts.workers]):
                free = row
        return free

    def _key(self, zone: str, address: tuple[int, int]) -> int:
        said = f"{address[0]} {address[1]} {zone}".encode()
        return int.from_bytes(blake2b(said, digest_size=8, key=self._counts.secret).digest(), "little") or 1
