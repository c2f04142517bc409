"""Counting requests in batches."""

from __future__ import annotations

from services.edge.core.plan import RouteLabels
from services.edge.traffic import BATCH, KINDS_AT_MOST, PENDING_AT_MOST, Batch, Record, Traffic


def record(
    labels: RouteLabels, status: int = 200, seconds: float = 0.02, method: bytes = b"GET", sent: int = 50
) -> Record:
    """A request that took ``seconds``."""
    return Record(
        labels,
        method,
        status,
        10.0,
        10.0 + seconds,
        10.0,
        10.0 + seconds / 2,
        35,
        sent,
        "c",
        b"/",
        1,
        b"",
        b"",
        "e",
        status,
        5,
    )


def test_batches_become_series() -> None:
    traffic = Traffic()
    batches: list[Batch] = []
    traffic.on_batch(lambda batch, _columns: batches.append(batch))
    one, other = RouteLabels("a"), RouteLabels("b")
    for number in range(3 * BATCH):
        traffic.buffer.append(record(one, seconds=0.02 if number % 3 else 20.0))
        if len(traffic.buffer) >= BATCH:
            traffic.flush()
    traffic.buffer.append(record(other, 404, method=b"INVENTED"))
    first, second = traffic.snapshot()
    assert (first.labels, first.method, first.status, first.requests) == (one, "GET", 200, 3 * BATCH)
    assert sum(first.request_seconds.counts) == first.request_seconds.count == 3 * BATCH
    assert first.request_seconds.counts[2] == 2 * BATCH
    assert first.request_seconds.counts[-1] == BATCH
    assert round(first.request_seconds.total, 3) == round(2 * BATCH * 0.02 + BATCH * 20.0, 3)
    assert first.request_bytes.counts[3] == 3 * BATCH
    assert first.sent_bytes.counts[1] == 3 * BATCH
    assert (second.method, second.status, second.requests) == ("other", 404, 1)
    assert sum(map(len, batches)) == 3 * BATCH + 1


def test_equal_labels_of_two_generations_are_one_series() -> None:
    traffic = Traffic()
    for _ in range(2):
        traffic.buffer.append(record(RouteLabels("a")))
    assert [series.requests for series in traffic.snapshot()] == [2]


def test_requests_without_an_endpoint_have_no_upstream_times() -> None:
    traffic = Traffic()
    traffic.buffer.append(record(RouteLabels())._replace(answered=0.0))
    (series,) = traffic.snapshot()
    assert (series.request_seconds.count, series.header_seconds.count) == (1, 0)


def test_series_of_routes_that_are_gone_can_be_forgotten() -> None:
    traffic = Traffic()
    for host in ("a", "b"):
        traffic.buffer.append(record(RouteLabels(host)))
    traffic.forget(lambda labels: labels.host == "a")
    assert [series.labels.host for series in traffic.snapshot()] == ["a"]


def pending(traffic: Traffic) -> int:
    """Requests that wait to be folded."""
    return sum(len(found.pending) for found in traffic._series.values())


def test_requests_of_many_routes_that_nobody_asks_about_cost_bounded_memory() -> None:
    traffic = Traffic()
    routes = [RouteLabels(f"host-{number}") for number in range(500)]
    for turn in range(60):
        for route in routes:
            traffic.buffer.append(record(route, sent=turn))
            if len(traffic.buffer) >= BATCH:
                traffic.flush()
        assert pending(traffic) <= PENDING_AT_MOST
    assert pending(traffic) > PENDING_AT_MOST // 2
    series = traffic.snapshot()
    assert [each.requests for each in series] == [60] * 500
    assert [each.request_seconds.count for each in series] == [60] * 500
    assert (pending(traffic), traffic._pending, len(traffic._unfolded)) == (0, 0, 0)
    traffic.buffer.append(record(routes[0]))
    traffic.buffer.append(record(routes[1]))
    traffic.forget(lambda labels: labels is routes[1])
    assert traffic._pending == 0
    (left,) = traffic.snapshot()
    assert (left.labels, left.requests) == (routes[1], 61)


def test_an_endpoint_cannot_make_series_by_inventing_statuses() -> None:
    traffic = Traffic()
    labels = RouteLabels("a")
    for status in range(100, 1000):
        traffic.buffer.append(record(labels, status))
    series = {each.status: each.requests for each in traffic.snapshot()}
    assert len(series) <= KINDS_AT_MOST + 9
    assert sum(series.values()) == 900
    assert (series[100], series[199]) == (1, 1)
    assert series[500] == 100
    traffic.buffer.append(record(RouteLabels("b"), 599))
    assert traffic.snapshot()[-1].status == 599
