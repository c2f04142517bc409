"""Requests lost in 10 000 route and endpoint flips under load, with NATS, compiler and watcher killed meanwhile.

Clients ask without a pause over kept connections, which they also close and open again; a flip is one renamed file, by
turns an Ingress that names another Service and a Service whose only endpoint is replaced. Both backends stay up, so
anything but a complete 200 from one of them is a lost request. Every few seconds one of the three processes is killed;
``limen up`` starts it again. At the end every edge must serve the last state.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bench.asking import AskError, Connection, probe_each, run
from bench.figures import Results, arguments, say
from bench.pipeline import Pipeline
from bench.processes import ended
from bench.propagation import served_by_all
from bench.sources import HOST, Source, source
from bench.world import World

_ROLES = ("nats-server", "compiler", "watcher")


@dataclass
class Load:
    """Clients that ask all the time, and what they got."""

    port: int
    answers: Counter[bytes] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    turns: int = 0
    """How often an answer came from another backend than the one before it; a measure of how many flips were seen."""
    last: bytes = b""
    stopping: bool = False

    async def client(self, number: int) -> None:
        """Ask until ``stopping``; every client closes its connection after another number of requests."""
        connection = Connection(self.port, HOST)
        for count in itertools.count(1):
            if self.stopping:
                break
            try:
                answer = await connection.ask()
            except AskError as error:
                self.lost[str(error)] += 1
                continue
            if answer.status == 200:
                self.answers[answer.body] += 1
                self.turns += answer.body != self.last
                self.last = answer.body
            else:
                self.lost[f"status {answer.status}"] += 1
            if count % (50 + 37 * number) == 0:
                connection.close()
            await asyncio.sleep(0.002)
        connection.close()


async def _kill_in_turns(pipeline: Pipeline, every: float, killed: Counter[str]) -> None:
    for role in itertools.cycle(_ROLES):
        await asyncio.sleep(every)
        for pid in pipeline.processes(role):
            os.kill(pid, signal.SIGKILL)
            killed[role] += 1


async def _flip(objects: Source, count: int, rate: float) -> bytes:
    """``count`` flips at about ``rate`` a second; gives the answer that is right in the end."""
    chance = random.Random(11)
    service, endpoint = "moving", b"A"
    started = time.perf_counter()
    for number in range(count):
        if chance.random() < 0.5:
            service = chance.choice([name for name in ("a", "b", "moving") if name != service])
            await objects.route_to(service)
        else:
            endpoint = b"B" if endpoint == b"A" else b"A"
            await objects.endpoint_at(endpoint)
        if number % 1000 == 999:
            say(f"{number + 1} flips")
        await asyncio.sleep(max(0.0, started + (number + 1) / rate - time.perf_counter()))
    return endpoint if service == "moving" else service.upper().encode()


async def measure(options: argparse.Namespace, results: Results, folder: Path) -> None:
    """One run."""
    world = World(options.ingresses, 5 * options.ingresses) if options.ingresses else None
    killed: Counter[str] = Counter()
    async with source(folder, world, kube=False) as objects:
        with ended([]) as children:
            pipeline = Pipeline(folder / "limen", objects.arguments, edges=options.edges)
            children.append(pipeline.child)
            await asyncio.to_thread(pipeline.wait_ready, 180.0)
            load = Load(pipeline.ports.http)
            clients = [asyncio.create_task(load.client(number)) for number in range(options.clients)]
            killer = (
                asyncio.create_task(_kill_in_turns(pipeline, options.kill_every, killed))
                if options.kill_every
                else None
            )
            wanted = await _flip(objects, options.flips, options.rate)
            if killer is not None:
                killer.cancel()
            probes = await probe_each(pipeline.ports.http, HOST, pipeline.processes("edge"), options.edges)
            seconds = await served_by_all(probes, wanted, time.perf_counter(), 60)
            load.stopping = True
            await asyncio.gather(*clients)
    asked = load.answers.total() + load.lost.total()
    reasons = "; ".join(f"{count} × {reason}" for reason, count in load.lost.most_common(3))
    kills = ", ".join(f"{role} {count} times" for role, count in killed.items()) or "nobody"
    results.add(
        "requests lost", load.lost.total() + sum(len(probe.lost) for probe in probes), f"of {asked:,}", 0, note=reasons
    )
    results.add("flips", options.flips, "", note=f"killed meanwhile: {kills}")
    results.add("times the answer turned, as the clients saw it", load.turns, "")
    results.add("edges that never served the last state", 0 if seconds is not None else 1, "", 0)
    if seconds is not None:
        results.add("last state served by all after", seconds, "s")


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=100.0, help="flips per second")
    parser.add_argument("--edges", type=int, default=2)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--ingresses", type=int, default=0, help="other Ingresses beside")
    parser.add_argument("--kill-every", type=float, default=7.0, help="seconds between kills; 0: kill nobody")
    options = parser.parse_args()
    if options.quick:
        options.flips, options.kill_every = 500, min(options.kill_every, 1.5)
    results = Results("flips")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        run(measure(options, results, Path(folder)))
    return results.print(as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
