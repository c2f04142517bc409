"""Memory of an edge, and how long a start takes until the first right answer.

With 10 000 Ingresses and 50 000 endpoints loaded: memory of each process that takes traffic, when ready and after every
host was asked once; an edge started beside, with and without its last good generation on disk. And the whole pipeline
from nothing, with a handful of objects and with all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import sys
import tempfile
import time
from pathlib import Path

from bench.asking import Connection, connect_to_each, run
from bench.figures import Results, arguments, median, say
from bench.pipeline import Pipeline
from bench.processes import Child, command_of, ended, environment_of, free_port, rss_of
from bench.sources import HOST, source
from bench.world import World

_MIB = 1024 * 1024


def first_answer(port: int, since: float, patience: float = 120.0) -> float:
    """Seconds from ``since`` until a request for the measured host is answered 200. Raises TimeoutError."""
    while time.perf_counter() - since < patience:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/", headers={"Host": HOST})
            if connection.getresponse().status == 200:
                return time.perf_counter() - since
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.002)
    raise TimeoutError(f"no right answer on port {port} in {patience} s")


def start_edge(pipeline: Pipeline, folder: Path) -> tuple[Child, float]:
    """Start one more edge as ``limen up`` starts its own; gives it and the seconds until its first right answer."""
    parent = min(pipeline.processes("edge"))
    words = command_of(parent).split()
    port = free_port()
    own = {"--name": "bench", "--state": str(folder), "--admin": f"127.0.0.1:{free_port()}"}
    own |= {"--http": f"127.0.0.1:{port}", "--https": f"127.0.0.1:{free_port()}"}
    command = [
        f"{word.partition('=')[0]}={own[word.partition('=')[0]]}" if word.partition("=")[0] in own else word
        for word in words
    ]
    started = time.perf_counter()
    child = Child(command, folder.with_suffix(".log"), env=environment_of(parent, "LIMEN_NATS"))
    try:
        return child, first_answer(port, started)
    except TimeoutError as error:
        child.stop()
        raise TimeoutError(f"{error}\n{child.tail()}") from None


async def measure(options: argparse.Namespace, results: Results, folder: Path) -> None:
    """Everything, one after the other."""
    times = 2 if options.quick else 5
    world = World(options.ingresses, options.endpoints, network=127)  # refused at once, by this machine itself
    async with source(folder / "small", None, kube=False) as small:
        took = [
            await asyncio.to_thread(_start_pipeline, folder / f"small-{number}", small.arguments)
            for number in range(times)
        ]
        results.add("whole pipeline, a handful of objects", median(took), "s", 3.0, note=f"max {max(took):.2f} s")
    async with source(folder / "large", world, kube=False) as large:
        with ended([]) as children:
            started = time.perf_counter()
            pipeline = Pipeline(folder / "limen", large.arguments)
            children.append(pipeline.child)
            took = [await asyncio.to_thread(first_answer, pipeline.ports.http, started)]
            results.add(f"whole pipeline, {options.ingresses:,} Ingresses", took[0], "s")
            await asyncio.to_thread(pipeline.wait_ready, 120.0)
            await asyncio.to_thread(pipeline.wait_quiet)
            await _memory(pipeline, world, results)
            await asyncio.to_thread(_edge_starts, pipeline, folder / "edge", times, results)


def _start_pipeline(folder: Path, objects: list[str | Path]) -> float:
    started = time.perf_counter()
    pipeline = Pipeline(folder, objects)
    try:
        return first_answer(pipeline.ports.http, started)
    finally:
        pipeline.child.stop()


async def _memory(pipeline: Pipeline, world: World, results: Results) -> None:
    workers = await asyncio.to_thread(connect_to_each, pipeline.ports.http, HOST, pipeline.processes("edge"), 1)
    (pid, connection), *_ = workers.items()
    results.add("edge worker's memory, ready", rss_of(pid) / _MIB, "MiB", 120.0)
    say("asking every host once")
    asker = Connection(pipeline.ports.http, HOST)
    for number in range(world.ingresses):
        asker.host = world.host(number)
        await asker.ask()
    results.add("edge worker's memory, every host asked once", rss_of(pid) / _MIB, "MiB", 120.0)
    connection.close()
    asker.close()
    for role in ("compiler", "watcher"):
        results.add(f"{role}'s memory", sum(map(rss_of, pipeline.processes(role))) / _MIB, "MiB")


def _edge_starts(pipeline: Pipeline, folder: Path, times: int, results: Results) -> None:
    fresh, kept = [], []
    for number in range(times):
        state = folder.with_name(f"edge-{number}")
        child, seconds = start_edge(pipeline, state)
        fresh.append(seconds)
        time.sleep(3)  # the last good generation is written at most once a second, after the swap
        child.stop()
        child, seconds = start_edge(pipeline, state)
        kept.append(seconds)
        child.stop()
    results.add("edge start, nothing on disk", median(fresh), "s", 1.0, note=f"max {max(fresh):.2f} s")
    results.add("edge start, last good generation on disk", median(kept), "s", 1.0, note=f"max {max(kept):.2f} s")


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--ingresses", type=int, default=10_000)
    parser.add_argument("--endpoints", type=int, default=50_000)
    options = parser.parse_args()
    results = Results("starts")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        run(measure(options, results, Path(folder)))
    return results.print(as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
