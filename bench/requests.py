"""Processor time per request beside nginx, HAProxy and Caddy: one core each, 64 kept connections, small answers.

Every target runs alone on core 0 while wrk and the backend share the last core; rounds are interleaved, medians
printed, and ratios are those of the same run. ``--tls`` asks over kept TLS connections; ``--hosts N`` sets a second
Limen beside the first, with N other hosts loaded. ``--varied`` measures also with heads of which no two are alike,
neither of requests nor of responses, in the same rounds. ``--against PATH`` sets another checkout of Limen beside this
one: ``git worktree add /tmp/before COMMIT``, then ``python -m bench.requests --no-peers --against /tmp/before``.
"""

from __future__ import annotations

import re
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from types import MappingProxyType

from bench import manifests
from bench.figures import Results, arguments, median, say
from bench.peers import HOST, HOW_TO_GET, Ports, make_certificate, start_backend, start_peers
from bench.pipeline import Pipeline
from bench.processes import LOAD_CORE, PROXY_CORE, Child, ended, find_tool, free_port, wait_until
from bench.world import World

_HEADERS = (
    f"Host: {HOST}",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64)",
    "Accept: text/html,application/json",
    "Accept-Language: en",
    "Cookie: a=b; c=d",
)
_PATH = "/a/b"
_VARIED = Path(__file__).with_name("varied.lua")
"""Asks for what the backend answers with a head of its own each time (``bench.peers.start_backend``)."""
_OTHER = "another checkout of limen"
_GOALS = {
    False: {"nginx": 0.8, "nginx as ingress-nginx": 1.0, "caddy": 3.0},
    True: {"nginx": 0.8},
}


@dataclass
class Target:
    """A proxy under measurement with what each round gave: processor µs per request, requests/s, p99.

    ``varied``: no two heads are alike.
    """

    name: str
    child: Child
    ports: Ports
    varied: bool = False
    cpu: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    slowest: list[str] = field(default_factory=list)

    def forget(self) -> None:
        """Drop what was measured while warming up."""
        self.cpu, self.rate, self.slowest = [], [], []

    def measure(self, wrk: str, tls: bool, seconds: int, connections: int) -> None:
        """One round. Raises RuntimeError if anything but 2xx came back."""
        scheme, port = ("https", self.ports.https) if tls else ("http", self.ports.http)
        command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
        command += [word for header in _HEADERS for word in ("-H", header)]
        command += ["-s", str(_VARIED)] if self.varied else []
        command = ["taskset", "-c", str(LOAD_CORE), *command, f"{scheme}://127.0.0.1:{port}{_PATH}"]
        before = self.child.cpu()
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        used = self.child.cpu() - before
        if "Non-2xx" in output or "Socket errors" in output:
            raise RuntimeError(f"{self.name}: {output}")
        requests = int(_found(r"(\d+) requests in", output))
        self.cpu.append(used / requests * 1e6)
        self.rate.append(float(_found(r"Requests/sec:\s+([\d.]+)", output)))
        self.slowest.append(_found(r"\n\s+99%\s+(\S+)", output))


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(f"wrk said: {text}")
    return match[1]


def answers_200(ports: Ports, tls: bool) -> bool:
    """Whether a request for the measured path is answered 200."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection: HTTPConnection = (
        HTTPSConnection("127.0.0.1", ports.https, timeout=3, context=context)
        if tls
        else HTTPConnection("127.0.0.1", ports.http, timeout=3)
    )
    try:
        connection.request("GET", _PATH, headers={"Host": HOST})
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def start_limen(
    folder: Path,
    backend: int,
    hosts: int,
    settings: Mapping[str, str] = MappingProxyType({}),
    checkout: Path | None = None,
) -> Pipeline:
    """Limen on the measured core with the measured host and ``hosts`` others. ``settings``: keys of the ConfigMap;
    ``checkout``: which Limen (see ``Pipeline``)."""
    objects = folder / "manifests"
    objects.mkdir(parents=True)
    certificate, key = make_certificate(folder)
    manifests.write(
        objects / "measured.json",
        [
            manifests.ingress_class(),
            manifests.configmap(settings),
            manifests.service("measured"),
            manifests.endpoints("measured", ["127.0.0.1"], backend),
            manifests.tls_secret("measured", certificate, key),
            manifests.ingress("measured", HOST, "measured", secret="measured"),
        ],
    )
    if hosts:
        manifests.write(objects / "others.json", manifests.of_world(World(hosts, 5 * hosts)))
    return Pipeline(folder, ["--manifests", objects], core=PROXY_CORE, checkout=checkout)


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--tls", action="store_true", help="over TLS")
    parser.add_argument("--varied", action="store_true", help="also measure with heads that are all different")
    parser.add_argument("--hosts", type=int, default=0, help="also measure with this many other hosts loaded")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=4, help="of each round")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--against", type=Path, metavar="PATH", help="also measure another checkout of Limen")
    parser.add_argument("--no-peers", action="store_true", help="Limen alone (with --hosts: both of them)")
    options = parser.parse_args()
    rounds, seconds = (2, 1) if options.quick else (options.rounds, options.seconds)
    wrk = find_tool("wrk")
    if wrk is None:
        raise SystemExit(f"wrk makes the load: {HOW_TO_GET.format('wrk')}")
    results = Results(f"requests{' over TLS' if options.tls else ''}")
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ended([]) as children:
        folder = Path(name)
        backend = free_port()
        children.append(start_backend(folder, backend))
        targets = _start_targets(folder, backend, options.hosts, not options.no_peers, children, results)
        if options.against is not None:
            other = start_limen(folder / "limen-other", backend, 0, checkout=options.against.resolve())
            targets.append(_ready(_OTHER, other, children))
        if options.varied:
            targets += [Target(target.name, target.child, target.ports, varied=True) for target in targets]
        for target in targets:
            wait_until(lambda t=target: answers_200(t.ports, options.tls), 30, target.name)  # type: ignore[misc]
            target.measure(wrk, options.tls, 1, options.connections)
            target.forget()
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for target in targets:
                target.measure(wrk, options.tls, seconds, options.connections)
    for varied in (False, True) if options.varied else (False,):
        _report(results, [target for target in targets if target.varied is varied], options.tls, varied)
    return results.print(as_json=options.json)


def _start_targets(
    folder: Path, backend: int, hosts: int, peers: bool, children: list[Child], results: Results
) -> list[Target]:
    targets: list[Target] = []
    if peers:
        started, missing = start_peers(folder, backend)
        results.missing += missing
        for name, (child, ports) in started.items():
            children.append(child)
            targets.append(Target(name, child, ports))
    for others in (0, hosts) if hosts else (0,):
        pipeline = start_limen(folder / f"limen-{others}", backend, others)
        targets.append(_ready(f"limen, {others} other hosts" if others else "limen", pipeline, children))
    return targets


def _ready(name: str, pipeline: Pipeline, children: list[Child]) -> Target:
    children.append(pipeline.child)
    pipeline.wait_ready(120)
    pipeline.wait_quiet()
    return Target(name, pipeline.child, pipeline.ports)


def _report(results: Results, targets: list[Target], tls: bool, varied: bool) -> None:
    ending = ", heads all different" if varied else ""
    for target in targets:
        spread = (
            f"{min(target.cpu):.1f} to {max(target.cpu):.1f}; {median(target.rate):,.0f}/s, p99 {target.slowest[-1]}"
        )
        results.add(target.name + ending, median(target.cpu), "µs/request", note=spread)
    limen = next(target for target in targets if target.name == "limen")
    for target in targets:
        if target is limen:
            continue
        if target.name == _OTHER:
            ratios = [mine / before for mine, before in zip(limen.cpu, target.cpu, strict=True)]
            results.add(f"limen: more time than the other checkout{ending}", (median(ratios) - 1) * 100, "%", 3.0)
        elif target.name.startswith("limen"):
            ratios = [mine / alone for mine, alone in zip(target.cpu, limen.cpu, strict=True)]
            results.add(f"{target.name}: more time than with one{ending}", (median(ratios) - 1) * 100, "%", 2.0)
        else:
            ratios = [theirs / ours for theirs, ours in zip(target.cpu, limen.cpu, strict=True)]
            goal = _GOALS[tls].get(target.name)
            results.add(f"{target.name} / limen{ending}", median(ratios), "×", goal, better="more")


if __name__ == "__main__":
    sys.exit(main())
