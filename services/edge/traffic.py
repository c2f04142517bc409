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
from typing import Final, NamedTuple

from msgspec import Struct

from services.edge.core.plan import RouteLabels
from services.edge.core.tried import Tried
from services.edge.link import NO_LINK, Link
from services.edge.options import DEFAULT_METRICS, MetricsOptions
from services.edge.strangers import Strangers

BATCH: Final = 128
"""How many records are worth a flush. Few make counting and logging run in cold caches each time; many hold on to the
bytes of their heads, which push what the next request needs out of the caches. Measured with ``bench.access_log``."""
_FOLD: Final = 256
"""How many requests of a series are worth folding."""
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


class _Distribution:
    __slots__ = ("bounds", "count", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.count = 0

    def add(self, values: Collection[float]) -> None:
        if not values:
            return
        bounds = self.bounds
        lowest, highest = bisect_left(bounds, min(values)), bisect_left(bounds, max(values))
        if lowest == highest:  # usual: most requests of a route are alike
            self.counts[lowest] += len(values)
        else:
            ordered = sorted(values)
            before = 0
            for index in range(lowest, highest):
                upto = bisect_right(ordered, bounds[index], before)
                self.counts[index] += upto - before
                before = upto
            self.counts[highest] += len(values) - before
        self.total += sum(values)
        self.count += len(values)

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
        if not self.pending:
            return
        started, ended, connected, answered, received, sent = zip(*self.pending, strict=True)
        self.requests += len(self.pending)
        self.pending = []
        self.request.add(list(map(sub, ended, started)))
        if not all(answered):
            reached = [bool(at) for at in answered]
            started, ended, connected, answered = (
                tuple(compress(times, reached)) for times in (started, ended, connected, answered)
            )
        self.connect.add(list(map(sub, connected, started)))
        self.header.add(list(map(sub, answered, started)))
        self.response.add(list(map(sub, ended, connected)))
        self.sizes_in.add(received)
        self.sizes_out.add(sent)
        self.sent.add(sent)


_METHODS: Final = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"))
"""Methods that get a label of their own: a client cannot make series by inventing others."""


class Traffic:
    """See the module. Requests append to ``buffer`` (always the same list) and call ``flush`` at BATCH records."""

    __slots__ = ("_consumers", "_options", "_series", "_strangers", "buffer", "counters", "requests", "wants_answers")

    def __init__(self, options: MetricsOptions = DEFAULT_METRICS) -> None:
        self._options = options
        self.requests = 0
        """How many there were, counted or not."""
        self._strangers = Strangers() if options.enabled and options.per_undefined_host else None
        self.buffer: list[tuple[object, ...]] = []
        self._series: dict[tuple[RouteLabels, bytes, int], _Series] = {}
        self._consumers: list[Callable[[Batch], None]] = []
        self.wants_answers = False
        """Whether records are to hold heads of responses."""
        self.counters: Counter[str] = Counter()
        """Named events: requests refused by reason, upstream failures, retries, timeouts, aborted clients."""

    def on_batch(self, consumer: Callable[[Batch], None]) -> None:
        """Give every batch of records to ``consumer`` too; it must not block."""
        self._consumers.append(consumer)

    def flush(self) -> None:
        """Fold what was recorded."""
        buffer = self.buffer
        if not buffer:
            return
        batch = buffer[:]
        buffer.clear()
        for consumer in self._consumers:
            consumer(batch)
        self.requests += len(batch)
        if self._options.enabled:
            self._count(batch if self._strangers is None else self._strangers.named(batch))

    def _count(self, batch: Batch) -> None:
        groups: dict[tuple[int, object, object], _Series] = {}
        for record in batch:
            key = (id(record[0]), record[1], record[2])  # labels are the same object for all requests of a route
            found = groups.get(key)
            if found is None:
                found = groups[key] = self._series_of(*record[:3])  # type: ignore[arg-type]
            found.pending.append(record[3:9])  # type: ignore[arg-type]
        for found in groups.values():
            if len(found.pending) >= _FOLD:
                found.fold()

    def _series_of(self, labels: RouteLabels, method: bytes, status: int) -> _Series:
        key = (labels, method if method in _METHODS else b"other", status)
        found = self._series.get(key)
        if found is None:
            found = self._series[key] = _Series(self._options)
        return found

    @property
    def series(self) -> int:
        """How many series there are."""
        return len(self._series)

    def snapshot(self) -> list[Series]:
        """Everything counted so far."""
        self.flush()
        result = []
        for (labels, method, status), found in self._series.items():
            found.fold()
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
        strangers = self._strangers
        self._series = {
            key: found
            for key, found in self._series.items()
            if known(key[0]) or (strangers is not None and strangers.knows(key[0]))
        }
