"""How long a change takes to be served by every edge, found out by asking each of them.

The clock starts when the rename of the changed file has returned. Each edge is asked over a connection of its own, an
answer after the other; a change is live at the first right answer that no wrong one follows within 50 ms, and counts
as served when the last edge has it live. Two kinds of change: an Ingress names another Service; a Service's only
endpoint is replaced by another.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from bench import manifests
from bench.asking import AskError, Connection, connect_to_each, start_backend
from bench.figures import Results, arguments, median, percentile, say
from bench.pipeline import Pipeline
from bench.processes import ended
from bench.world import World

HOST = "flip.example"
SETTLED = 0.05
"""Seconds without a wrong answer after which the first right one counts."""

_PAUSE_BETWEEN_ASKS = 0.0005
_ADDRESSES = {b"A": "127.0.0.2", b"B": "127.0.0.3"}


@dataclass
class Change:
    """One change on its way: what the right answer is, since when, and who has given it at last."""

    wanted: bytes
    since: float
    first: dict[int, float] = field(default_factory=dict)
    wrong: int = 0


@dataclass
class Prober:
    """Asks the edges while a change is on its way."""

    connections: dict[int, Connection]
    lost: list[str] = field(default_factory=list)
    requests: int = 0

    async def follow(self, change: Change, patience: float = 20.0) -> float | None:
        """Seconds until the last edge serves ``change``; None if that does not happen in time."""
        deadline = change.since + patience
        askers = [self._ask_until_settled(pid, change, deadline) for pid in self.connections]
        settled = await asyncio.gather(*askers)
        return max(change.first.values()) - change.since if all(settled) else None

    async def _ask_until_settled(self, pid: int, change: Change, deadline: float) -> bool:
        connection = self.connections[pid]
        while (now := time.perf_counter()) < deadline:
            first = change.first.get(pid)
            if first is not None and now - first > SETTLED:
                return True
            self.requests += 1
            try:
                answer = await connection.ask()
            except AskError as error:
                self.lost.append(str(error))
                continue
            if answer.status != 200:
                self.lost.append(f"status {answer.status}")
            if answer.body != change.wanted:
                change.first.pop(pid, None)
            else:
                change.first.setdefault(pid, answer.at)
            await asyncio.sleep(_PAUSE_BETWEEN_ASKS)
        return False


class Folder:
    """The manifests, and the two files that change."""

    def __init__(self, folder: Path, ports: dict[bytes, int], world: World | None) -> None:
        self.path = folder
        self._ports = ports
        folder.mkdir(parents=True)
        fixed = [manifests.ingress_class(), *(manifests.service(name) for name in ("a", "b", "moving"))]
        fixed += [manifests.endpoints(name.decode().lower(), [_ADDRESSES[name]], ports[name]) for name in ports]
        manifests.write(folder / "fixed.json", fixed)
        self.route_to("a")
        self.endpoint_at(b"A")
        if world is not None:
            manifests.write(folder / "world.json", manifests.of_world(world))

    def route_to(self, service: str) -> float:
        """Let the Ingress name ``service``; gives the moment at which that was in place."""
        manifests.write(self.path / "flip.json", [manifests.ingress("flip", HOST, service)])
        return time.perf_counter()

    def endpoint_at(self, name: bytes) -> float:
        """Let the Service ``moving`` have backend ``name`` as its only endpoint."""
        slice_ = manifests.endpoints("moving", [_ADDRESSES[name]], self._ports[name])
        manifests.write(self.path / "moving.json", [slice_])
        return time.perf_counter()

    def churn(self, number: int) -> None:
        """Change the endpoints of a Service that nobody asks for."""
        addresses = [f"10.99.{number >> 8 & 255}.{number & 255}", "10.99.255.1"]
        manifests.write(
            self.path / f"churn-{number % 50}.json", [manifests.endpoints(f"churn-{number % 50}", addresses, 80)]
        )

    def prepare_churn(self) -> None:
        """Routes to the Services that ``churn`` changes."""
        names = [f"churn-{number}" for number in range(50)]
        documents = [manifests.service(name) for name in names]
        documents += [manifests.ingress(name, f"{name}.example", name) for name in names]
        manifests.write(self.path / "churning.json", documents)


@contextlib.asynccontextmanager
async def backends() -> AsyncIterator[dict[bytes, int]]:
    """The backends A and B and their ports."""
    started = {name: await start_backend(name, address) for name, address in _ADDRESSES.items()}
    try:
        yield {name: port for name, (_, port) in started.items()}
    finally:
        for server, _ in started.values():
            server.close()


async def measure(options: argparse.Namespace, results: Results, folder: Path) -> None:
    """Both kinds of change, ``options.changes`` each."""
    world = World(options.ingresses, options.endpoints) if options.ingresses else None
    async with backends() as ports:
        files = Folder(folder / "manifests", ports, world)
        if options.churn:
            files.prepare_churn()
        with ended([]) as children:
            pipeline = Pipeline(folder / "limen", files.path, edges=options.edges)
            children.append(pipeline.child)
            await asyncio.to_thread(pipeline.wait_ready, 180.0)
            prober = Prober(await connect_to_each(pipeline.ports.http, HOST, pipeline.processes("edge"), options.edges))
            say(f"{len(prober.connections)} edge workers are asked")
            churning = asyncio.create_task(_churn(files, options.churn))
            try:
                await _flip_routes(prober, files, options, results)
                await _flip_endpoints(prober, files, options, results)
            finally:
                churning.cancel()
                for connection in prober.connections.values():
                    connection.close()
    results.add(
        "requests lost meanwhile", len(prober.lost), f"of {prober.requests:,}", 0, note="; ".join(prober.lost[:3])
    )


async def _churn(files: Folder, rate: float) -> None:
    number = 0
    while rate:
        number += 1
        files.churn(number)
        await asyncio.sleep(1 / rate)


async def _flip_routes(prober: Prober, files: Folder, options: argparse.Namespace, results: Results) -> None:
    took = [
        await _one(prober, b"BA"[number % 2 :][:1], files.route_to("ba"[number % 2]))
        for number in range(options.changes)
    ]
    _add(results, "an Ingress names another Service", took, options)


async def _flip_endpoints(prober: Prober, files: Folder, options: argparse.Namespace, results: Results) -> None:
    await _one(prober, b"A", files.route_to("moving"))
    took = []
    for number in range(options.changes):
        name = b"BA"[number % 2 :][:1]
        took.append(await _one(prober, name, files.endpoint_at(name)))
    _add(results, "an endpoint is replaced", took, options)


_pauses = random.Random(5)


async def _one(prober: Prober, wanted: bytes, since: float) -> float | None:
    seconds = await prober.follow(Change(wanted, since))
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
    options = parser.parse_args()
    if options.large:
        options.edges, options.ingresses, options.endpoints, options.churn = 10, 10_000, 50_000, 20
    if options.quick:
        options.changes = 10
    results = Results("propagation")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        asyncio.run(measure(options, results, Path(folder)))
    return results.print(as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
