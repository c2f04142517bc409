"""What a proxy adds to the time of an answer, at fixed rates: p50, p99 and p99.9 beside nginx, HAProxy and Caddy.

The same client asks the backend directly in the same rounds; what is added is the difference of the percentiles. The
proxy runs alone on core 0; client and backend share the last core.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from bench.figures import Results, arguments, median, percentile, say
from bench.peers import HOST, Ports, start_backend, start_peers
from bench.processes import LOAD_CORE, Child, ended, free_port, wait_until
from bench.requests import answers_200, start_limen
from bench.steady import Steady

_CONNECTIONS = 32
_REQUEST = (
    f"GET /a/b HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
    "Accept: text/html,application/json\r\nAccept-Language: en\r\nCookie: a=b; c=d\r\n\r\n"
).encode()
_ENDING = b"of some bytes\n"
_PARTS = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
_DIRECT = "backend itself"
_GOAL = 2.0
"""How many times what nginx adds Limen may add at p99."""


@dataclass
class Target:
    """Somebody who is asked. ``waited``: by rate, for each round the percentiles in µs."""

    name: str
    port: int
    waited: dict[int, list[dict[str, float]]] = field(default_factory=dict)

    def measure(self, rate: int, seconds: float) -> None:
        """One round."""
        client = Steady(self.port, _CONNECTIONS, _REQUEST, _ENDING)
        try:
            client.ask(rate, 0.2)
            times = client.ask(rate, seconds)
        finally:
            client.close()
        figures = {part: percentile(times, share) * 1e6 for part, share in _PARTS.items()}
        self.waited.setdefault(rate, []).append(figures)

    def figure(self, rate: int, part: str) -> float:
        """The median over all rounds."""
        return median([each[part] for each in self.waited[rate]])


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--rates", type=int, nargs="+", default=[1000, 5000], help="requests a second")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each round")
    options = parser.parse_args()
    rounds, seconds = (2, 1.0) if options.quick else (options.rounds, options.seconds)
    results = Results("latency")
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ended([]) as children:
        targets = _start(Path(name), children, results)
        os.sched_setaffinity(0, {LOAD_CORE})
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for rate in options.rates:
                for target in targets:
                    target.measure(rate, seconds)
    for rate in options.rates:
        _report(rate, targets, results)
    return results.print(as_json=options.json)


def _start(folder: Path, children: list[Child], results: Results) -> list[Target]:
    backend = free_port()
    children.append(start_backend(folder, backend))
    started, missing = start_peers(folder, backend)
    results.missing += missing
    children += [child for child, _ in started.values()]
    pipeline = start_limen(folder / "limen", backend, 0)
    children.append(pipeline.child)
    pipeline.wait_ready(120)
    pipeline.wait_quiet()
    every: dict[str, Ports] = {"limen": pipeline.ports, **{name: ports for name, (_, ports) in started.items()}}
    for target, ports in every.items():
        wait_until(lambda ports=ports: answers_200(ports, tls=False), 30, target)  # type: ignore[misc]
    return [Target(_DIRECT, backend), *(Target(name, ports.http) for name, ports in every.items())]


def _report(rate: int, targets: list[Target], results: Results) -> None:
    direct, *proxies = targets
    waited = ", ".join(f"{part} {direct.figure(rate, part):,.0f}" for part in _PARTS)
    results.add(f"{rate:,}/s, {direct.name}, p50", direct.figure(rate, "p50"), "µs", note=waited)
    added: dict[str, float] = {}
    for target in proxies:
        parts = {part: target.figure(rate, part) - direct.figure(rate, part) for part in _PARTS}
        added[target.name] = parts["p99"]
        note = ", ".join(f"{part} {value:,.0f}" for part, value in parts.items())
        results.add(f"{rate:,}/s, {target.name} adds, p99", parts["p99"], "µs", note=note)
    for name in ("nginx", "nginx as ingress-nginx"):
        if added.get(name, 0.0) > 0:  # else the machine's own noise was larger
            results.add(f"{rate:,}/s, p99 added, limen / {name}", added["limen"] / added[name], "×", _GOAL)


if __name__ == "__main__":
    sys.exit(main())
