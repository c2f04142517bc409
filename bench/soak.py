"""A soak: a whole Limen under clients and endpoints that are slow, abort, half-close and send rubbish, and routes that
change all the while; then everything has to be as it was before.

Owns the rounds and what is compared: descriptors, threads and memory of the edge's worker after a first round of the
same (so that caches are warm), after each further one, and at the end; and that a client that behaves lost nothing. The
seed is printed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import tempfile
import time
from pathlib import Path

from bench import manifests
from bench.asking import connect_to_each, run
from bench.figures import Results, arguments, say
from bench.peers import HOST, make_certificate
from bench.pipeline import Pipeline
from bench.processes import Child, ended, rss_of, wait_until
from bench.soak_actors import Good, endpoint, misbehave

_CROWD = 40
"""Connections at a time that are used badly."""
_QUIET = 20.0
"""Seconds at most until what was left behind is gone."""
_STEADY = 5.0
"""Seconds without a change after which what is left after the first round is taken to stay; idle ones go after 2."""
_ROUND = 120.0
"""Seconds of one round at most; between two there is quiet, and memory is looked at."""
_GROWTH = 4.0
"""MiB that memory may have grown by: pieces of pages that are free between what lives."""
_SETTINGS = {
    "upstream-keepalive-timeout": "1",
    "keep-alive": "2",
    "proxy-read-timeout": "2",
    "proxy-connect-timeout": "1",
    "proxy-next-upstream": "off",
    "ssl-session-cache-size": "128k",  # full after the first round; 10 MiB, as by default, would fill for ten minutes
}


class Soak:
    """One Limen, its endpoints and what is done to it."""

    def __init__(self, folder: Path) -> None:
        self._objects = folder / "manifests"
        self._objects.mkdir(parents=True)
        self._pair = make_certificate(folder)
        self._ports: list[int] = []
        self._flips = 0
        self.misused = 0
        self.pipeline: Pipeline
        self.good: Good

    async def start(self, folder: Path, children: list[Child]) -> None:
        """Endpoints, the pipeline, and the good client's first answer."""
        for _ in range(2):
            server = await asyncio.start_server(endpoint, "127.0.0.1", 0)
            self._ports.append(server.sockets[0].getsockname()[1])
        self._write()
        self.pipeline = Pipeline(folder / "limen", ["--manifests", self._objects])
        children.append(self.pipeline.child)
        await asyncio.to_thread(self.pipeline.wait_ready, 120)
        self.good = Good(self.pipeline.ports)

    def _write(self) -> None:
        """The routes; every time the endpoints, a path and a host are others, but those of the good client."""
        self._flips += 1
        certificate, key = self._pair
        extra = f"flip-{self._flips % 3}"
        port = self._ports[self._flips % 2]
        manifests.write(
            self._objects / "all.json",
            [
                manifests.ingress_class(),
                manifests.configmap(_SETTINGS),
                manifests.service("good"),
                manifests.endpoints("good", ["127.0.0.1"], self._ports[0]),
                manifests.service("bad"),
                manifests.endpoints("bad", ["127.0.0.1", f"127.0.0.{self._flips % 9 + 2}"], port),
                manifests.tls_secret("good", certificate, key),
                manifests.ingress("good", HOST, "good", path="/good", secret="good"),
                manifests.ingress("bad", HOST, "bad", path="/x"),
                manifests.ingress(extra, f"{extra}.example", "bad", path=f"/{self._flips}"),
            ],
        )

    async def round(self, seconds: float) -> None:
        """Everything at once for so long, and then nothing: whoever is at it still breaks off."""
        self.good.stopped = False
        good = asyncio.create_task(self.good.run())

        async def crowd() -> None:
            while True:
                await misbehave(self.pipeline.ports)
                self.misused += 1

        async def flips() -> None:
            while True:
                self._write()
                await asyncio.sleep(0.5)

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
                tasks.create_task(flips())
                for _ in range(_CROWD):
                    tasks.create_task(crowd())
        self.good.stopped = True
        await good

    async def worker(self) -> int:
        """The process that serves."""
        port, edges = self.pipeline.ports.http, self.pipeline.processes("edge")
        found = await asyncio.to_thread(connect_to_each, port, HOST, edges, 1)
        ((pid, connection),) = found.items()
        connection.close()
        return pid


def _steady(pid: int, wanted: int) -> int:
    """How many descriptors are left once there are no more than ``wanted``, or none goes any more."""
    least, since = _descriptors(pid), time.monotonic()
    while least > wanted and time.monotonic() - since < _STEADY:
        time.sleep(0.1)
        if (left := _descriptors(pid)) < least:
            least, since = left, time.monotonic()
    return least


def _settled(pid: int, wanted: int) -> int:
    """How many descriptors are left once there are no more than ``wanted``, or after a time."""
    with contextlib.suppress(TimeoutError):
        wait_until(lambda: _descriptors(pid) <= wanted, _QUIET, "descriptors")
    return _descriptors(pid)


def _rested(pid: int, wanted: float) -> float:
    """MiB of memory held once they are no more than ``wanted``, or after a time: a worker that has nothing to do gives
    back what a peak left behind."""
    with contextlib.suppress(TimeoutError):
        wait_until(lambda: _memory(pid) <= wanted, _QUIET, "memory")
    return _memory(pid)


def _memory(pid: int) -> float:
    return rss_of(pid) / 2**20


def _descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _threads(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())


async def _soak(folder: Path, seconds: float, results: Results, children: list[Child]) -> None:
    soak = Soak(folder)
    await soak.start(folder, children)
    pid = await soak.worker()
    at_start = _descriptors(pid)
    await soak.round(min(30.0, max(4.0, seconds / 10)))
    warm = await asyncio.to_thread(_steady, pid, at_start)
    await asyncio.sleep(_QUIET if seconds >= _ROUND else 0.0)
    memory, threads = _memory(pid), _threads(pid)
    say(f"warm: {warm} descriptors, {threads} threads, {memory:.0f} MiB")
    rounds = max(1, round(seconds / _ROUND))
    held = []
    for _ in range(rounds):
        await soak.round(seconds / rounds)
        held.append(await asyncio.to_thread(_rested, pid, memory + _GROWTH / 4))
        say(f"{held[-1]:.1f} MiB")
    descriptors = await asyncio.to_thread(_settled, pid, warm)
    results.add("requests of the client that behaves", soak.good.answers, "")
    results.add("connections used badly meanwhile", soak.misused, "")
    results.add("its requests not answered as they should be", len(soak.good.failures), "", 0.0, note=_some(soak.good))
    results.add("descriptors more than before", descriptors - warm, "", 2.0, note=f"{at_start}, {warm}, {descriptors}")
    results.add("threads more than before", _threads(pid) - threads, "", 0.0)
    note = f"{memory:.1f}, then {' '.join(f'{each:.1f}' for each in held)}"
    results.add("memory more than before", held[-1] - memory, "MiB", _GROWTH, note=note)
    results.add("workers that had to be started again", float(await soak.worker() != pid), "", 0.0)


def _some(good: Good) -> str:
    return "; ".join(good.failures[:3])


def main() -> int:
    """Run and print."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (--quick: 12)")
    parser.add_argument("--seed", type=int, default=None, help="of what is chosen at random")
    options = parser.parse_args()
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    random.seed(seed)
    say(f"seed {seed}")
    results = Results("soak")
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ended([]) as children:
        run(_soak(Path(name), 12.0 if options.quick else options.seconds, results, children))
    return results.print(as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
