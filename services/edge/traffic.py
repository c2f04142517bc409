"""What the worker saw of its traffic: records appended by requests, counted in batches.

A request appends one tuple and does nothing else here. Batches are folded into counters and histograms, a column at a
time in C (sort and bisect), so that a record costs well under a microsecond. Must not know Prometheus' text format:
``snapshot`` gives plain values which another module renders and merges over workers.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import compress
from operator import sub
from typing import Any, Final, NamedTuple

from msgspec import Struct

from services.edge.core.link import NO_LINK, Link
from services.edge.core.plan import RouteLabels
from services.edge.core.tried import Tried
from services.edge.options import DEFAULT_METRICS, MetricsOptions
from services.edge.strangers import Strangers

BATCH: Final = 128
"""How many records are worth a flush. Few make counting and logging run in cold caches each time; many hold on to the
bytes of their heads, which push what the next request needs out of the caches. Measured with ``bench.access_log``."""
_FOLD: Final = 256
"""How many requests of a series are worth folding."""
PENDING_AT_MOST: Final = 16_384
"""Requests of all series together that wait to be folded (300 bytes each); then those that began to wait first are."""
KINDS_AT_MOST: Final = 100
"""Series of one route (methods and statuses); endpoints choose statuses. Further ones count as the first of their class
(500 for 599)."""
_ABORTED: Final = 499


class Record(NamedTuple):
    """One request, in the order of the tuple that requests append (plain tuples are appended: these are its names).

    Times are of ``time.monotonic``; ``connected`` and ``answered`` are 0.0 where no endpoint was reached.
    ``endpoint``: ``address:port`` of the last one tried, ``chosen``: when; ``earlier``: those tried before it;
    ``block``: the headers as received. ``head_sent``: how much of ``sent`` was the head; ``answer``: the head of the
    response, if somebody wants to see it.
    """

    labels: RouteLabels
    method: bytes
    status: int
    started: float
    ended: float
    connected: float
    answered: float
    received: int
    sent: int
    client: str
    target: bytes
    minor: int
    block: bytes
    request_id: bytes
    endpoint: str
    upstream_status: int
    upstream_length: int
    earlier: tuple[Tried, ...] = ()
    chosen: float = 0.0
    head_sent: int = 0
    link: Link = NO_LINK
    answer: bytes = b""


LABELS: Final = Record._fields.index("labels")
TARGET: Final = Record._fields.index("target")


_Pending = list[tuple[float, float, float, float, int, int]]
Batch = Sequence[tuple[object, ...]]
Columns = Sequence[Sequence[Any]]
"""The same, turned by ninety degrees: a column per field of ``Record``."""


class Histogram(Struct, frozen=True, gc=False):
    """Cumulative-free buckets over ``bounds`` (the last count is what exceeds all), with sum and count."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float
    count: int


class Series(Struct, frozen=True, gc=False):
    """What one (route, method, status) saw."""

    labels: RouteLabels
    method: str
    status: int
    requests: int
    request_seconds: Histogram
    connect_seconds: Histogram
    header_seconds: Histogram
    response_seconds: Histogram
    request_bytes: Histogram
    response_bytes: Histogram
    sent_bytes: Histogram


class _Spread(Struct, frozen=True, gc=False):
    """Values spread over bounds: (index, how many) of each bucket that has some."""

    counts: Sequence[tuple[int, int]]
    total: float
    count: int


def _spread(values: Collection[float], bounds: tuple[float, ...]) -> _Spread:
    if not values:
        return _Spread((), 0.0, 0)
    count, total = len(values), sum(values)
    highest = bisect_left(bounds, max(values))
    lowest = bisect_left(bounds, min(values)) if highest else 0
    if lowest == highest:  # usual: most requests of a route are alike
        return _Spread(((highest, count),), total, count)
    ordered = sorted(values)
    counts = []
    before = 0
    for index in range(lowest, highest):
        upto = bisect_right(ordered, bounds[index], before)
        counts.append((index, upto - before))
        before = upto
    counts.append((highest, count - before))
    return _Spread(counts, total, count)


class _Distribution:
    __slots__ = ("bounds", "count", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.count = 0

    def add(self, spread: _Spread) -> None:
        """Count values that were spread over these very bounds."""
        for index, count in spread.counts:
            self.counts[index] += count
        self.total += spread.total
        self.count += spread.count

    def add_values(self, values: Collection[float]) -> None:
        """Count values."""
        self.add(_spread(values, self.bounds))

    def frozen(self) -> Histogram:
        return Histogram(self.bounds, tuple(self.counts), self.total, self.count)


class _Series:
    __slots__ = ("connect", "header", "pending", "request", "requests", "response", "sent", "sizes_in", "sizes_out")

    def __init__(self, options: MetricsOptions) -> None:
        self.requests = 0
        self.pending: _Pending = []
        self.request = _Distribution(options.time_buckets)
        self.connect = _Distribution(options.time_buckets)
        self.header = _Distribution(options.time_buckets)
        self.response = _Distribution(options.time_buckets)
        self.sizes_in = _Distribution(options.length_buckets)
        self.sizes_out = _Distribution(options.length_buckets)
        self.sent = _Distribution(options.size_buckets)

    def fold(self) -> None:
        """Count what is pending."""
        if self.pending:
            pending, self.pending = self.pending, []
            self.add(*zip(*pending, strict=True))

    def add(
        self,
        started: Sequence[float],
        ended: Sequence[float],
        connected: Sequence[float],
        answered: Sequence[float],
        received: Sequence[int],
        sent: Sequence[int],
    ) -> None:
        """Count requests, given as columns."""
        bounds = self.request.bounds
        self.requests += len(started)
        whole = _spread(list(map(sub, ended, started)), bounds)
        self.request.add(whole)
        if not all(answered):
            reached = [bool(at) for at in answered]
            started, ended, connected, answered = (
                tuple(compress(times, reached)) for times in (started, ended, connected, answered)
            )
            whole = _spread(list(map(sub, ended, started)), bounds)
        # Most requests go out at once on a kept connection, and most responses come in one piece: the same times again.
        at_once = connected == started
        self.connect.add(_at_once(len(started)) if at_once else _spread(list(map(sub, connected, started)), bounds))
        self.header.add(whole if answered == ended else _spread(list(map(sub, answered, started)), bounds))
        self.response.add(whole if at_once else _spread(list(map(sub, ended, connected)), bounds))
        self.sizes_in.add_values(received)
        self.sizes_out.add_values(sent)
        self.sent.add_values(sent)


def _at_once(count: int) -> _Spread:
    return _Spread(((0, count),) if count else (), 0.0, count)


def alike(values: Sequence[object]) -> bool:
    """Whether all are the same; there is one at least."""
    first = values[0]
    return values[-1] == first and values.count(first) == len(values)


_METHODS: Final = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"))
"""Methods that get a label of their own: a client cannot make series by inventing others."""


class Traffic:
    """See the module. Requests append to ``buffer`` (always the same list) and call ``flush`` at BATCH records."""

    __slots__ = (
        "_consumers",
        "_kinds",
        "_options",
        "_pending",
        "_series",
        "_strangers",
        "_unfolded",
        "buffer",
        "counters",
        "requests",
        "wants_answers",
    )

    def __init__(self, options: MetricsOptions = DEFAULT_METRICS) -> None:
        self._options = options
        self.requests = 0
        """How many there were, counted or not."""
        self._strangers = Strangers() if options.enabled and options.per_undefined_host else None
        self.buffer: list[tuple[object, ...]] = []
        self._series: dict[tuple[RouteLabels, bytes, int], _Series] = {}
        self._kinds: Counter[RouteLabels] = Counter()
        self._pending = 0
        self._unfolded: dict[_Series, None] = {}  # who has requests to fold, since longest first
        self._consumers: list[Callable[[Batch, Columns], None]] = []
        self.wants_answers = False
        """Whether records are to hold heads of responses."""
        self.counters: Counter[str] = Counter()
        """Named events: requests refused by reason, upstream failures, retries, timeouts, aborted clients."""

    def on_batch(self, consumer: Callable[[Batch, Columns], None]) -> None:
        """Give every batch of records to ``consumer`` too, as rows and as columns; it must not block."""
        self._consumers.append(consumer)

    def flush(self) -> None:
        """Fold what was recorded."""
        buffer = self.buffer
        if not buffer:
            return
        batch = buffer[:]
        buffer.clear()
        columns: Columns = tuple(zip(*batch, strict=True))
        for consumer in self._consumers:
            consumer(batch, columns)
        self.requests += len(batch)
        if not self._options.enabled:
            return
        if self._strangers is not None:
            self._count(self._strangers.named(batch))
        elif alike(columns[0]) and alike(columns[1]) and alike(columns[2]):
            self._series_of(*batch[0][:3]).add(*columns[3:9])  # type: ignore[arg-type]
        else:
            self._count(batch)

    def _count(self, batch: Batch) -> None:
        """Count requests of several series."""
        groups: dict[tuple[int, object, object], _Series] = {}
        for record in batch:
            key = (id(record[0]), record[1], record[2])  # labels are the same object for all requests of a route
            found = groups.get(key)
            if found is None:
                found = groups[key] = self._series_of(*record[:3])  # type: ignore[arg-type]
            found.pending.append(record[3:9])  # type: ignore[arg-type]
        self._pending += len(batch)
        for found in groups.values():
            if len(found.pending) >= _FOLD:
                self._fold(found)
            else:
                self._unfolded[found] = None
        while self._pending > PENDING_AT_MOST:
            self._fold(next(iter(self._unfolded)))

    def _fold(self, found: _Series) -> None:
        self._pending -= len(found.pending)
        self._unfolded.pop(found, None)
        found.fold()

    def _series_of(self, labels: RouteLabels, method: bytes, status: int) -> _Series:
        key = (labels, method if method in _METHODS else b"other", status)
        found = self._series.get(key)
        return self._new(*key) if found is None else found

    def _new(self, labels: RouteLabels, method: bytes, status: int) -> _Series:
        if self._kinds[labels] >= KINDS_AT_MOST and status % 100:
            return self._series_of(labels, method, status // 100 * 100)
        self._kinds[labels] += 1
        found = self._series[labels, method, status] = _Series(self._options)
        return found

    @property
    def series(self) -> int:
        """How many series there are."""
        return len(self._series)

    def snapshot(self) -> list[Series]:
        """Everything counted so far."""
        self.flush()
        result = []
        for found in list(self._unfolded):
            self._fold(found)
        for (labels, method, status), found in self._series.items():
            result.append(
                Series(
                    labels,
                    method.decode("latin-1"),
                    status,
                    found.requests,
                    found.request.frozen(),
                    found.connect.frozen(),
                    found.header.frozen(),
                    found.response.frozen(),
                    found.sizes_in.frozen(),
                    found.sizes_out.frozen(),
                    found.sent.frozen(),
                )
            )
        return result

    def forget(self, known: Callable[[RouteLabels], bool]) -> None:
        """Drop the series of routes that are there no more, so that memory follows the table; those of strangers are
        bounded by themselves."""
        self.flush()
        for found in list(self._unfolded):
            self._fold(found)
        strangers = self._strangers
        self._series = {
            key: found
            for key, found in self._series.items()
            if known(key[0]) or (strangers is not None and strangers.knows(key[0]))
        }
        self._kinds = Counter(labels for labels, _, _ in self._series)
