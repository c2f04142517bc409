"""How long a change takes to be served by every edge, found out by asking each of them.

The clock starts when the rename of the changed file has returned, or with ``--kube`` when a real API server has
answered the write. From 1.5 ms on each edge is asked over a connection of its own, 0.1 ms per edge after each answer
(asking earlier or more would only take processor time from the change). A change is live at the first right answer that
no wrong one follows within 50 ms, and counts as served when the last edge has it live. Two kinds of change: an Ingress
names another Service; a Service's only endpoint is replaced by another.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

from bench.asking import Probe, probe_each, run
from bench.figures import Results, arguments, median, percentile, say
from bench.pipeline import Pipeline
from bench.processes import ended
from bench.sources import HOST, Source, enter_network, source
from bench.world import World

SETTLED = 0.05
"""Seconds without a wrong answer after which the first right one counts."""

PATIENCE = 20.0
HEAD_START = 0.0015
"""Seconds that a change gets before anybody is asked."""


async def served_by_all(probes: list[Probe], wanted: bytes, since: float, patience: float = PATIENCE) -> float | None:
    """Seconds from ``since`` until the last edge serves ``wanted``; None if that does not happen in time."""
    await asyncio.sleep(since + HEAD_START - time.perf_counter())
    for probe in probes:
        probe.start(wanted)
    try:
        while time.perf_counter() < since + patience:
            await asyncio.sleep(SETTLED / 5)
            right = [probe.right_since for probe in probes]
            if all(moment is not None and time.perf_counter() - moment > SETTLED for moment in right):
                return max(moment for moment in right if moment is not None) - since
        return None
    finally:
        for probe in probes:
            probe.stop()


async def measure(options: argparse.Namespace, results: Results, folder: Path) -> None:
    """Both kinds of change, ``options.changes`` each."""
    world = World(options.ingresses, options.endpoints) if options.ingresses else None
    async with source(folder, world, kube=options.kube) as objects:
        with ended([]) as children:
            pipeline = Pipeline(folder / "limen", objects.arguments, edges=options.edges)
            children.append(pipeline.child)
            await asyncio.to_thread(pipeline.wait_ready, 180.0)
            await asyncio.to_thread(pipeline.wait_quiet)
            probes = await probe_each(pipeline.ports.http, HOST, pipeline.processes("edge"), options.edges)
            say(f"{len(probes)} edges are asked")
            churning = asyncio.create_task(_churn(objects, options.churn))
            try:
                await _flip_routes(probes, objects, options, results)
                await _flip_endpoints(probes, objects, options, results)
            finally:
                churning.cancel()
                for probe in probes:
                    probe.close()
    lost = [reason for probe in probes for reason in probe.lost]
    asked = sum(probe.asked for probe in probes)
    results.add("requests lost meanwhile", len(lost), f"of {asked:,}", 0, note="; ".join(lost[:3]))


async def _churn(objects: Source, rate: float) -> None:
    number = 0
    while rate:
        number += 1
        await objects.churn(number)
        await asyncio.sleep(1 / rate)


async def _flip_routes(probes: list[Probe], objects: Source, options: argparse.Namespace, results: Results) -> None:
    took = []
    for number in range(options.changes):
        since = await objects.route_to("ba"[number % 2])
        took.append(await _one(probes, b"BA"[number % 2 :][:1], since))
    _add(results, "an Ingress names another Service", took, options)


async def _flip_endpoints(probes: list[Probe], objects: Source, options: argparse.Namespace, results: Results) -> None:
    await _one(probes, b"A", await objects.route_to("moving"))
    took = []
    for number in range(options.changes):
        name = b"BA"[number % 2 :][:1]
        took.append(await _one(probes, name, await objects.endpoint_at(name)))
    _add(results, "an endpoint is replaced", took, options)


_pauses = random.Random(5)


async def _one(probes: list[Probe], wanted: bytes, since: float) -> float | None:
    seconds = await served_by_all(probes, wanted, since)
    await asyncio.sleep(_pauses.uniform(0.01, 0.05))
    return seconds


def _add(results: Results, what: str, took: list[float | None], options: argparse.Namespace) -> None:
    good = [seconds * 1e3 for seconds in took if seconds is not None]
    goals = (10.0, 30.0) if options.ingresses else (5.0, 15.0)
    if good:
        results.add(f"{what}: p50", median(good), "ms", goals[0], note=f"{len(good)} changes, {options.edges} edges")
        results.add(f"{what}: p99", percentile(good, 0.99), "ms", goals[1], note=f"max {max(good):.1f} ms")
    results.add(f"{what}: never live", len(took) - len(good), "changes", 0)


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--edges", type=int, default=3)
    parser.add_argument("--ingresses", type=int, default=0, help="other Ingresses beside the one that changes")
    parser.add_argument("--endpoints", type=int, default=50_000)
    parser.add_argument("--churn", type=float, default=0, help="changes of other Services' endpoints per second")
    parser.add_argument("--changes", type=int, default=200, help="of each kind")
    parser.add_argument(
        "--large", action="store_true", help="10 edges, 10 000 Ingresses, 50 000 endpoints, 20 changes/s"
    )
    parser.add_argument("--kube", action="store_true", help="through a real API server, in a network of its own")
    options = parser.parse_args()
    if options.kube:
        enter_network()
    if options.large:
        options.edges, options.ingresses, options.endpoints, options.churn = 10, 10_000, 50_000, 20
    if options.quick:
        options.changes = 10
    results = Results(f"propagation through {'a kube-apiserver' if options.kube else 'a folder'}")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        run(measure(options, results, Path(folder)))
    return results.print(as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
