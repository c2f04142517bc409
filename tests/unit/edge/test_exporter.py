"""Spans that wait for a collector: each is counted once, whatever becomes of it."""

from __future__ import annotations

import asyncio
from collections import Counter

from services.edge.core.plan import RouteLabels
from services.edge.core.tracing import Trace
from services.edge.tracing.collector import Address
from services.edge.tracing.exporter import Exporter, ExportOptions
from services.edge.tracing.finished import Finished
from tests.support.ports import free_port
from tests.support.waiting import eventually

SPAN = Finished(
    Trace(bytes(16), bytes(8), b"", b"", True, "GET /"),
    RouteLabels(),
    b"GET",
    b"/",
    1,
    "http",
    b"a.example",
    "a.example",
    b"",
    200,
    80,
    "192.0.2.1",
    1,
    0.0,
    1.0,
)


async def test_spans_of_a_batch_that_is_being_made_are_counted_once_when_there_is_no_collector_any_more() -> None:
    loop, counters = asyncio.get_running_loop(), Counter[str]()
    exporter = Exporter(loop, loop.create_task, counters)
    exporter.follow(ExportOptions(Address("127.0.0.1", free_port()), "limen", 100, 60.0, 100))
    for _ in range(100):
        exporter.add(SPAN)
    async with asyncio.timeout(10):
        while len(exporter._queue) == 100:  # noqa: ASYNC110 - no longer pause would meet the batch half made
            await asyncio.sleep(0)
    exporter.follow(None)
    await eventually(lambda: exporter._task is None)
    assert counters["dropped"] > 0
    assert counters["dropped"] + counters["failed"] == 100
