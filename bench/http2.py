"""Processor time per request over HTTP/2 beside nginx, HAProxy and Caddy: TLS in front, HTTP/1.1 to the backend.

Two shapes: 16 connections with 16 requests each at a time over 1 500 different paths, and 64 connections with one at a
time on one path. Every target runs alone on core 0 while h2load and the backend share the last core; rounds are
interleaved, medians printed, and ratios are those of the same run.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from bench.figures import Results, arguments, median, say
from bench.peers import HOST, HOW_TO_GET, Ports, start_backend, start_peers
from bench.processes import LOAD_CORE, Child, ended, find_tool, free_port, wait_until
from bench.requests import answers_200, start_limen

PATHS = 1500
_FIELDS = ("user-agent: Mozilla/5.0 (X11; Linux x86_64)", "accept: text/html,application/json", "accept-language: en")
_COOKIE = "cookie: a=b; c=d"
_GOALS = {"nginx": 0.75, "nginx as ingress-nginx": 1.0, "caddy": 4.0}


@dataclass(frozen=True)
class Shape:
    """How the load comes. ``goals``: for ratios to peers."""

    name: str
    connections: int
    streams: int
    paths: int
    goals: dict[str, float]


SHAPES = (Shape(f"16 × 16, {PATHS:,} paths", 16, 16, PATHS, _GOALS), Shape("64 × 1, one path", 64, 1, 1, {}))


@dataclass
class Target:
    """A proxy under measurement with what each round gave by shape: processor µs per request, requests/s."""

    name: str
    child: Child
    ports: Ports
    cpu: dict[str, list[float]] = field(default_factory=dict)
    rate: dict[str, list[float]] = field(default_factory=dict)

    def measure(self, h2load: str, folder: Path, shape: Shape, requests: int) -> None:
        """One round. Raises RuntimeError if anything but 2xx came back."""
        base = f"https://{HOST}:{self.ports.https}"
        urls = folder / "urls"
        urls.write_text("".join(f"{base}/a/b{number:04d}\n" for number in range(shape.paths)))
        command = ["taskset", "-c", str(LOAD_CORE), h2load, "-t1", f"-c{shape.connections}", f"-m{shape.streams}"]
        command += [f"-n{requests}", "-i", str(urls), f"--connect-to=127.0.0.1:{self.ports.https}"]
        command += [word for line in (*_FIELDS, _COOKIE) for word in ("-H", line)]
        before = self.child.cpu()
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        used = self.child.cpu() - before
        good = re.search(r"status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx", output)
        rate = re.search(r"finished in [^,]+, ([\d.]+) req/s", output)
        if good is None or rate is None or int(good[1]) != requests or "protocol: h2\n" not in output:
            raise RuntimeError(f"{self.name}: {output}")
        self.cpu.setdefault(shape.name, []).append(used / requests * 1e6)
        self.rate.setdefault(shape.name, []).append(float(rate[1]))

    def forget(self) -> None:
        """Drop what was measured while warming up."""
        self.cpu, self.rate = {}, {}


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=60_000, help="of each round")
    parser.add_argument("--no-peers", action="store_true", help="Limen alone")
    options = parser.parse_args()
    rounds, requests = (2, 15_000) if options.quick else (options.rounds, options.requests)
    h2load = find_tool("h2load")
    if h2load is None:
        raise SystemExit(f"h2load makes the load: {HOW_TO_GET.format('nghttp2-client')}")
    results = Results("requests over HTTP/2 and TLS")
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ended([]) as children:
        folder = Path(name)
        backend = free_port()
        children.append(start_backend(folder, backend))
        targets = []
        if not options.no_peers:
            started, missing = start_peers(folder, backend)
            results.missing += missing
            targets = [Target(peer, child, ports) for peer, (child, ports) in started.items()]
            children += [target.child for target in targets]
        pipeline = start_limen(folder / "limen", backend, 0)
        children.append(pipeline.child)
        pipeline.wait_ready(60)
        pipeline.wait_quiet()
        targets.append(Target("limen", pipeline.child, pipeline.ports))
        for target in targets:
            wait_until(lambda t=target: answers_200(t.ports, True), 30, target.name)  # type: ignore[misc]
            target.measure(h2load, folder, SHAPES[0], 5_000)
            target.forget()
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for shape in SHAPES:
                for target in targets:
                    target.measure(h2load, folder, shape, requests)
    for shape in SHAPES:
        _report(results, targets, shape)
    return results.print(as_json=options.json)


def _report(results: Results, targets: list[Target], shape: Shape) -> None:
    for target in targets:
        cpu, rate = target.cpu[shape.name], target.rate[shape.name]
        spread = f"{min(cpu):.1f} to {max(cpu):.1f}; {median(rate):,.0f}/s"
        results.add(f"{target.name}, {shape.name}", median(cpu), "µs/request", note=spread)
    ours = targets[-1].cpu[shape.name]
    for target in targets[:-1]:
        ratios = [theirs / mine for theirs, mine in zip(target.cpu[shape.name], ours, strict=True)]
        goal = shape.goals.get(target.name)
        results.add(f"{target.name} / limen, {shape.name}", median(ratios), "×", goal, better="more")


if __name__ == "__main__":
    sys.exit(main())
