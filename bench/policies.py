"""What each policy costs: processor time per request over a plain route, beside nginx doing the same in the same run.

Proxies run alone on core 0 while wrk and the endpoint share the last core; rounds are interleaved: each asks every
policy of both, one after the other. Costs are medians of differences within a round. Queries differ from request to
request, so that nobody answers from what was found out for the last one. Both write an access log. What nginx's Debian
package cannot do (canaries, cookies, hashes as ingress-nginx has them, for which that uses Lua) has no figure of nginx.
"""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from bench import manifests
from bench.figures import Results, arguments, median, say
from bench.peers import HOW_TO_GET, Ports
from bench.pipeline import Pipeline
from bench.policed import Policy, objects, policies, start_endpoint, start_nginx
from bench.processes import LOAD_CORE, PROXY_CORE, Child, ended, find_tool, free_port, wait_until

_QUERIES = Path(__file__).with_name("queries.lua")
_HEADERS = ("User-Agent: Mozilla/5.0 (X11; Linux x86_64)", "Accept: text/html,application/json", "Accept-Language: en")


@dataclass
class Asked:
    """One policy at one proxy, with processor µs per request of each round."""

    policy: Policy
    child: Child
    ports: Ports
    cpu: list[float] = field(default_factory=list)
    cookie: str = ""

    def check(self) -> None:
        """Until it answers as it should; takes the cookie, where clients are to have one."""
        wait_until(self._answers, 60, f"{self.policy.name} at port {self.ports.http}")

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.ports.http, timeout=3)
        try:
            headers = dict(header.split(": ", 1) for header in self.policy.headers)
            connection.request("GET", self.policy.path, headers={"Host": self.policy.host, **headers})
            response = connection.getresponse()
            self.cookie = (response.getheader("Set-Cookie") or "").partition(";")[0]
            packed = response.getheader("Content-Encoding") == "gzip"
            return response.status == 200 and bool(self.cookie) == self.policy.cookie and packed == self.policy.packs
        except OSError:
            return False
        finally:
            connection.close()

    def measure(self, wrk: str, seconds: int, connections: int) -> None:
        """One round. Raises RuntimeError if anything but 2xx came back."""
        cookies = (f"Cookie: {self.cookie}",) if self.cookie else ()
        headers = (f"Host: {self.policy.host}", *_HEADERS, *self.policy.headers, *cookies)
        command = ["taskset", "-c", str(LOAD_CORE), wrk, "-t1", f"-c{connections}", f"-d{seconds}s"]
        command += ["-s", str(_QUERIES), *(word for header in headers for word in ("-H", header))]
        before = self.child.cpu()
        url = f"http://127.0.0.1:{self.ports.http}{self.policy.path}"
        output = subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout
        used = self.child.cpu() - before
        found = re.search(r"(\d+) requests in", output)
        if found is None or "Non-2xx" in output or "Socket errors" in output:
            raise RuntimeError(f"{self.policy.name}: {output}")
        self.cpu.append(used / int(found[1]) * 1e6)


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2, help="of each round and policy")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--only", default="", help="policies whose names match this expression")
    options = parser.parse_args()
    rounds, seconds = (2, 1) if options.quick else (options.rounds, options.seconds)
    wrk = find_tool("wrk")
    if wrk is None:
        raise SystemExit(f"wrk makes the load: {HOW_TO_GET.format('wrk')}")
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ended([]) as children:
        folder, backend = Path(name), free_port()
        every = policies(backend)
        wanted = {policy.name for policy in every if re.search(options.only, policy.name)}
        wanted |= {policy.of for policy in every if policy.name in wanted}
        measured = tuple(policy for policy in every if policy.name in wanted)
        children.append(start_endpoint(folder, backend))
        limen, nginx = _start(folder, backend, measured, children)
        asked = [*limen.values(), *nginx.values()]
        for one in asked:
            one.check()
            one.measure(wrk, 1, options.connections)
            one.cpu.clear()
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for policy in measured:
                for side in (limen, nginx):
                    if policy.name in side:
                        side[policy.name].measure(wrk, seconds, options.connections)
    results = Results("policies")
    _report(results, measured, limen, nginx)
    return results.print(as_json=options.json)


def _start(
    folder: Path, backend: int, measured: tuple[Policy, ...], children: list[Child]
) -> tuple[dict[str, Asked], dict[str, Asked]]:
    """Both sides by the names of policies. gzip is a setting for all routes, so it has a Limen of its own."""
    limen: dict[str, Asked] = {}
    for packs in sorted({policy.packs for policy in measured}):
        home = folder / f"limen-{packs}"
        source = home / "manifests"
        source.mkdir(parents=True)
        manifests.write(source / "all.json", objects(backend, measured, packs=packs))
        pipeline = Pipeline(home, ["--manifests", source], core=PROXY_CORE)
        children.append(pipeline.child)
        pipeline.wait_ready(120)
        pipeline.wait_quiet()
        limen |= {one.name: Asked(one, pipeline.child, pipeline.ports) for one in measured if one.packs == packs}
    child, ports = start_nginx(folder, backend, measured)
    children.append(child)
    nginx = {one.name: Asked(one, child, ports) for one in measured if one.nginx is not None}
    return limen, nginx


def _report(results: Results, measured: tuple[Policy, ...], limen: dict[str, Asked], nginx: dict[str, Asked]) -> None:
    for policy in measured:
        ours, theirs = limen[policy.name], nginx.get(policy.name)
        beside = "" if theirs is None else f"nginx {median(theirs.cpu):.1f}"
        if policy.of == policy.name:
            results.add(policy.name, median(ours.cpu), "µs/request", note=beside)
        else:
            whole = f"{median(ours.cpu):.1f} in all" + (
                f"; {beside}, its cost {_cost(theirs, nginx):.1f}" if theirs else ""
            )
            results.add(policy.name, _cost(ours, limen), "µs more", note=whole)
        if theirs is not None:
            ratios = [other / own for other, own in zip(theirs.cpu, ours.cpu, strict=True)]
            results.add(f"{policy.name}: nginx / limen", median(ratios), "×", better="more")


def _cost(asked: Asked, side: dict[str, Asked]) -> float:
    """How much more a request takes than one without the policy, in the same rounds."""
    return median([mine - plain for mine, plain in zip(asked.cpu, side[asked.policy.of].cpu, strict=True)])


if __name__ == "__main__":
    sys.exit(main())
