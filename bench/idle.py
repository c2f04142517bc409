"""Connections that are kept and say nothing: what memory each costs, and what processor time all of them, beside nginx.

Each has asked once. ``--tls``: over TLS. Memory is what the processes hold (resident); the kernel's own for a socket
comes on top and is the same for all.
"""

from __future__ import annotations

import asyncio
import resource
import ssl
import sys
import tempfile
import time
from pathlib import Path
from typing import cast

from bench.asking import run
from bench.figures import Results, arguments, say
from bench.peers import HOST, Ports, start_backend, start_peers
from bench.processes import Child, ended, free_port, rss_of, wait_until
from bench.requests import answers_200, start_limen

_AT_ONCE = 100
"""Connections opened at a time."""
_RESTED = 7.0
"""Seconds after which idle connections hold no more than they need."""
_WATCHED = 5.0
"""Seconds in which processor time is counted."""
_PEER = "nginx as ingress-nginx"
_REQUEST = f"GET /a/b HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: idle\r\n\r\n".encode()


class _Idle(asyncio.Protocol):
    """Asks once."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        if not self.answered.done() and data.startswith(b"HTTP/1.1 200"):
            self.answered.set_result(None)

    def connection_lost(self, _error: Exception | None) -> None:
        self.transport = None
        if not self.answered.done():
            self.answered.set_exception(ConnectionError("the connection ended"))


async def _connect(ports: Ports, tls: bool, count: int) -> list[_Idle]:
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    made: list[_Idle] = []

    async def one() -> None:
        port, name = (ports.https, HOST) if tls else (ports.http, None)
        _, idle = await loop.create_connection(
            _Idle, "127.0.0.1", port, ssl=context if tls else None, server_hostname=name
        )
        made.append(idle)
        await idle.answered

    for start in range(0, count, _AT_ONCE):
        await asyncio.gather(*(one() for _ in range(min(_AT_ONCE, count - start))))
    return made


async def _measure(name: str, child: Child, ports: Ports, tls: bool, count: int, results: Results) -> float:
    for idle in await _connect(ports, tls, _AT_ONCE):  # what is made at first is not each connection's
        assert idle.transport is not None
        idle.transport.close()
    await asyncio.sleep(1)
    before, quiet = _held(child), await _busy(child)
    made = await _connect(ports, tls, count)
    await asyncio.sleep(_RESTED)
    each = (_held(child) - before) / count / 1024
    busy = await _busy(child)
    alive = sum(idle.transport is not None for idle in made)
    if alive != count:
        raise RuntimeError(f"{name}: of {count} connections {count - alive} did not last")
    results.add(f"{name}: memory of each", each, "KiB", note=f"{before / 2**20:.0f} MiB without")
    results.add(f"{name}: processor time of all", busy * 100, "%", note=f"{quiet * 100:.1f} % without, of one core")
    for idle in made:
        assert idle.transport is not None
        idle.transport.abort()
    return each


def _held(child: Child) -> int:
    return sum(rss_of(pid) for pid in child.tree())


async def _busy(child: Child) -> float:
    started, before = time.perf_counter(), child.cpu()
    await asyncio.sleep(_WATCHED)
    return (child.cpu() - before) / (time.perf_counter() - started)


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--tls", action="store_true", help="over TLS")
    options = parser.parse_args()
    count = 500 if options.quick else options.connections
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # for the processes started here, too
    results = Results(f"idle connections{' over TLS' if options.tls else ''}: {count:,}")
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ended([]) as children:
        folder = Path(name)
        backend = free_port()
        children.append(start_backend(folder, backend))
        started, missing = start_peers(folder, backend, (_PEER,))
        results.missing += missing
        children += [child for child, _ in started.values()]
        pipeline = start_limen(folder / "limen", backend, 0)
        children.append(pipeline.child)
        pipeline.wait_ready(120)
        pipeline.wait_quiet()
        targets = {"limen": (pipeline.child, pipeline.ports), **started}
        each: dict[str, float] = {}

        async def measure_all() -> None:
            for target, (child, ports) in targets.items():
                say(target)
                wait_until(lambda ports=ports: answers_200(ports, options.tls), 30, target)  # type: ignore[misc]
                each[target] = await _measure(target, child, ports, options.tls, count, results)

        run(measure_all())
    if _PEER in each:
        results.add(f"limen / {_PEER}, memory of each", each["limen"] / each[_PEER], "×")
    return results.print(as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
