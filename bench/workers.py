"""How ``--workers`` scale: one edge with 1, 2, … workers under the same load, one after the other in each round.

Whether workers get in each other's way shows in the processor time of a request: where that stays, twice the workers
serve twice as much, for as long as there are cores. Requests a second tell the same only on a machine with cores to
spare: load and backend need about as much as a worker, so ``cores the edge had`` says what it was given. The load keeps
256 connections, so that the kernel spreads them evenly.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench import manifests
from bench.figures import Results, arguments, median, say
from bench.peers import HOST, HOW_TO_GET, start_backend
from bench.pipeline import Pipeline
from bench.processes import cpu_of, ended, find_tool, free_port, wait_until
from bench.requests import answers_200

_CONNECTIONS = 256
_GOAL = 1.15
"""Processor time of a request with the most workers, over that with one."""


@dataclass
class Target:
    """An edge with ``workers``, and what each round gave: processor µs per request, requests/s, cores that it had, and
    how much of the work the laziest worker did, over its fair share."""

    workers: int
    pipeline: Pipeline
    cpu: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    cores: list[float] = field(default_factory=list)
    least: list[float] = field(default_factory=list)

    def measure(self, wrk: str, seconds: int) -> None:
        """One round. Raises RuntimeError if anything but 2xx came back."""
        edge = self.pipeline.processes("edge")
        before, began = [cpu_of(pid) for pid in edge], time.monotonic()
        url = f"http://127.0.0.1:{self.pipeline.ports.http}/a/b"
        command = [wrk, "-t2", f"-c{_CONNECTIONS}", f"-d{seconds}s", "-H", f"Host: {HOST}", url]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        took = time.monotonic() - began
        found = re.search(r"(\d+) requests in", output)
        if found is None or "Non-2xx" in output or "Socket errors" in output:
            raise RuntimeError(f"{self.workers} workers: {output}")
        requests = int(found[1])
        used = [cpu_of(pid) - then for pid, then in zip(edge, before, strict=True)]
        busiest = sorted(used)[-self.workers :]
        self.cpu.append(sum(used) / requests * 1e6)
        self.rate.append(requests / took)
        self.cores.append(sum(used) / took)
        self.least.append(busiest[0] / (sum(busiest) / self.workers))


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each round")
    parser.add_argument("--most", type=int, default=min(os.cpu_count() or 1, 8), help="workers")
    options = parser.parse_args()
    rounds, seconds = (2, 2) if options.quick else (options.rounds, options.seconds)
    wrk = find_tool("wrk")
    if wrk is None:
        raise SystemExit(f"the load needs wrk: {HOW_TO_GET.format('wrk')}")
    counts = sorted({1, *(2**power for power in range(1, 8) if 2**power <= options.most), options.most})
    results = Results(f"workers of one edge, {_CONNECTIONS} kept connections")
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ended([]) as children:
        folder, backend = Path(name), free_port()
        children.append(start_backend(folder, backend))
        targets = []
        for workers in counts:
            pipeline = _start(folder / str(workers), backend, workers)
            children.append(pipeline.child)
            pipeline.wait_ready(120)
            wait_until(lambda p=pipeline: answers_200(p.ports, False), 30, "limen")  # type: ignore[misc]
            pipeline.wait_quiet()
            targets.append(Target(workers, pipeline))
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for target in targets:
                target.measure(wrk, seconds)
    _report(results, targets)
    return results.print(as_json=options.json)


def _start(folder: Path, backend: int, workers: int) -> Pipeline:
    objects = folder / "manifests"
    objects.mkdir(parents=True)
    manifests.write(
        objects / "measured.json",
        [
            manifests.ingress_class(),
            manifests.configmap({}),
            manifests.service("measured"),
            manifests.endpoints("measured", ["127.0.0.1"], backend),
            manifests.ingress("measured", HOST, "measured"),
        ],
    )
    return Pipeline(folder, ["--manifests", objects], workers=workers)


def _report(results: Results, targets: list[Target]) -> None:
    for target in targets:
        name = f"{target.workers} worker{'s' * (target.workers > 1)}"
        share = f"the least busy worker did {median(target.least):.0%} of its share"
        results.add(f"{name}: processor time", median(target.cpu), "µs/request", note=share)
        results.add(f"{name}: requests", median(target.rate), "/s", better="more")
        results.add(f"{name}: cores the edge had", median(target.cores), "")
    first, last = targets[0], targets[-1]
    if last is not first:
        ratios = [many / one for many, one in zip(last.cpu, first.cpu, strict=True)]
        name = f"processor time of a request, {last.workers} workers / 1"
        results.add(name, median(ratios), "×", _GOAL)


if __name__ == "__main__":
    sys.exit(main())
