"""Processor time of a full TLS handshake with one request and its answer, beside nginx, HAProxy and Caddy.

Nobody resumes sessions: tickets and session stores are off, but for the ingress-nginx form and for the Limen beside it
that has its defaults; the clients offer none. Each target runs alone on core 0, clients and backend on the last core;
rounds are interleaved, medians printed, ratios are those of the same run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from bench.figures import Results, arguments, median, say
from bench.peers import HOST, Ports, start_backend, start_peers
from bench.processes import LOAD_CORE, Child, ended, free_port, wait_until
from bench.requests import answers_200, start_limen

_CLIENTS = 3
_OFF = {"ssl-session-cache": "false"}
_DEFAULTS = "limen with its defaults"
_GOALS = {"nginx": 0.85}


@dataclass
class Target:
    """A proxy under measurement with what each round gave: processor µs per handshake."""

    name: str
    child: Child
    ports: Ports
    cpu: list[float] = field(default_factory=list)

    def measure(self, seconds: float, version: str) -> None:
        """One round."""
        command = ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "bench.shaking"]
        command += [str(self.ports.https), HOST, str(seconds), version]
        before = self.child.cpu()
        clients = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(_CLIENTS)]
        counts = [client.communicate()[0] for client in clients]
        if any(client.returncode for client in clients):
            raise RuntimeError(f"{self.name}: a client failed")
        self.cpu.append((self.child.cpu() - before) / sum(map(int, counts)) * 1e6)


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4, help="of each round")
    parser.add_argument("--tls12", action="store_true", help="TLS 1.2 instead of 1.3")
    options = parser.parse_args()
    rounds, seconds = (3, 1.5) if options.quick else (options.rounds, options.seconds)
    version = "TLSv1_2" if options.tls12 else "TLSv1_3"
    results = Results(f"full handshakes, {version.replace('v', ' ').replace('_', '.')}")
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ended([]) as children:
        folder = Path(name)
        backend = free_port()
        children.append(start_backend(folder, backend))
        started, missing = start_peers(folder, backend)
        results.missing += missing
        children += [child for child, _ in started.values()]
        targets = [Target(peer, child, ports) for peer, (child, ports) in started.items()]
        for limen, settings in (("limen", _OFF), (_DEFAULTS, {})):
            pipeline = start_limen(folder / limen.replace(" ", "-"), backend, 0, settings)
            children.append(pipeline.child)
            pipeline.wait_ready(120)
            pipeline.wait_quiet()
            targets.append(Target(limen, pipeline.child, pipeline.ports))
        for target in targets:
            wait_until(lambda t=target: answers_200(t.ports, True), 30, target.name)  # type: ignore[misc]
            target.measure(1, version)
            target.cpu.clear()
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for target in targets:
                target.measure(seconds, version)
    _report(results, targets)
    return results.print(as_json=options.json)


def _report(results: Results, targets: list[Target]) -> None:
    for target in targets:
        spread = f"{min(target.cpu):.0f} to {max(target.cpu):.0f}"
        results.add(target.name, median(target.cpu), "µs/handshake", note=spread)
    by_name = {target.name: target for target in targets}
    for target in targets:
        if target.name.startswith("limen"):
            continue
        limen = by_name[_DEFAULTS if target.name == "nginx as ingress-nginx" else "limen"]
        ratios = [theirs / ours for theirs, ours in zip(target.cpu, limen.cpu, strict=True)]
        results.add(f"{target.name} / {limen.name}", median(ratios), "×", _GOALS.get(target.name), better="more")


if __name__ == "__main__":
    sys.exit(main())
