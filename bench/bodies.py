"""Processor time per megabyte of bodies beside nginx: 1 MB and 100 MB, both ways, in the same run.

Every target runs alone on core 0 while this process asks and the backend answers on the last core; rounds are
interleaved, medians printed, and ratios are those of the same run. Bodies of requests are collected first, by all of
them (``proxy-request-buffering: on``): 1 MB and more go through a file. ``--tls`` asks over kept TLS connections.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from bench.figures import Results, arguments, median, say
from bench.peers import HOST, Ports, start_peers
from bench.processes import LOAD_CORE, Child, answers, ended, free_port, wait_until
from bench.requests import answers_200, start_limen

MEGABYTE = 1_000_000
SIZES = (1, 100)
"""Megabytes of one body."""
EACH_ROUND = 300
"""Megabytes that each target moves in a round, for each size and way."""
_GOAL = 1.0
"""What ``nginx as ingress-nginx`` takes, divided by what Limen takes."""
_PIECE = bytes(64 * 1024)


@dataclass
class Target:
    """A proxy under measurement, with processor milliseconds per megabyte by (way, size)."""

    name: str
    child: Child
    ports: Ports
    cost: dict[tuple[str, int], list[float]] = field(default_factory=dict)

    def measure(self, way: str, size: int, tls: bool, megabytes: int) -> None:
        """One round of one way and size."""
        with closing(connect(self.ports, tls)) as client:
            move(client, way, 1)
            before = self.child.cpu()
            for _ in range(max(megabytes // size, 1)):
                move(client, way, size)
            used = self.child.cpu() - before
        self.cost.setdefault((way, size), []).append(used * 1000 / (max(megabytes // size, 1) * size))


def connect(ports: Ports, tls: bool) -> socket.socket:
    """A connection to a target."""
    plain = socket.create_connection(("127.0.0.1", ports.https if tls else ports.http), timeout=60)
    if not tls:
        return plain
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain, server_hostname=HOST)


def move(client: socket.socket, way: str, size: int) -> None:
    """One request with a body of ``size`` megabytes, or for one. Raises RuntimeError for anything but 200."""
    total = size * MEGABYTE
    if way == "up":
        client.sendall(b"PUT /up HTTP/1.1\r\nHost: %b\r\nContent-Length: %d\r\n\r\n" % (HOST.encode(), total))
        for left in range(total, 0, -len(_PIECE)):
            client.sendall(_PIECE[:left])
        total = 0
    else:
        client.sendall(b"GET /down/%d HTTP/1.1\r\nHost: %b\r\n\r\n" % (total, HOST.encode()))
    received = b""
    while b"\r\n\r\n" not in received:
        data = client.recv(65536)
        if not data:
            raise RuntimeError(f"closed after {received!r}")
        received += data
    head, _, rest = received.partition(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise RuntimeError(f"answered {head!r}")
    left = total - len(rest)
    buffer = bytearray(1 << 20)
    while left > 0:
        count = client.recv_into(buffer)
        if not count:
            raise RuntimeError(f"closed {left} bytes early")
        left -= count


class Backend(asyncio.Protocol):
    """Takes bodies whole, and sends as many bytes as the path of a GET says."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        self._flows = asyncio.Event()
        self._flows.set()
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A proxy came."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def pause_writing(self) -> None:
        """It takes no more for now."""
        self._flows.clear()

    def resume_writing(self) -> None:
        """It does again."""
        self._flows.set()

    def data_received(self, data: bytes) -> None:
        """A head, or more of a body."""
        if self._left:
            self._left -= len(data)
        else:
            self._head += data
            head, found, rest = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            self._head = b""
            path = head.split(b" ", 2)[1]
            if path.startswith(b"/down/"):
                self._task = asyncio.ensure_future(self._send(int(path[6:])))
                return
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            self._left = (int(lengths[0].partition(b":")[2]) if lengths else 0) - len(rest)
        if not self._left:
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async def _send(self, size: int) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for left in range(size, 0, -len(_PIECE)):
            await self._flows.wait()
            self._transport.write(_PIECE[:left])


async def serve(port: int) -> None:
    """Be the backend."""
    server = await asyncio.get_running_loop().create_server(Backend, "127.0.0.1", port)
    await server.serve_forever()


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--tls", action="store_true", help="over TLS")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backend", type=int, help="be the backend on this port")
    options = parser.parse_args()
    if options.backend:
        asyncio.run(serve(options.backend))
        return 0
    rounds, megabytes = (2, 100) if options.quick else (options.rounds, EACH_ROUND)
    results = Results(f"bodies{' over TLS' if options.tls else ''}")
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ended([]) as children:
        targets = _start(Path(name), children, results)
        for target in targets:
            wait_until(_answering(target, options.tls), 30, target.name)
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for way in ("up", "down"):
                for size in SIZES:
                    for target in targets:
                        target.measure(way, size, options.tls, megabytes)
    _report(results, targets)
    return results.print(as_json=options.json)


def _answering(target: Target, tls: bool) -> Callable[[], bool]:
    return lambda: answers_200(target.ports, tls)


def _start(folder: Path, children: list[Child], results: Results) -> list[Target]:
    port = free_port()
    command = [sys.executable, "-m", "bench.bodies", "--backend", str(port)]
    children.append(Child(command, folder / "backend.log", core=LOAD_CORE))
    wait_until(lambda: answers(port), 10, "the backend")
    started, missing = start_peers(folder, port)
    children += [child for child, _ in started.values()]
    results.missing += missing
    targets = [Target(name, *peer) for name, peer in started.items() if name.startswith("nginx")]
    pipeline = start_limen(folder / "limen", port, 0, {"proxy-body-size": "0"})
    children.append(pipeline.child)
    pipeline.wait_ready(120)
    pipeline.wait_quiet()
    return [*targets, Target("limen", pipeline.child, pipeline.ports)]


def _report(results: Results, targets: list[Target]) -> None:
    limen = targets[-1]
    for way, size in limen.cost:
        what = f"{size} MB {way}"
        for target in targets:
            cost = target.cost[way, size]
            results.add(f"{target.name}, {what}", median(cost), "ms/MB", note=f"{min(cost):.3g} to {max(cost):.3g}")
        for target in targets[:-1]:
            pairs = zip(target.cost[way, size], limen.cost[way, size], strict=True)
            goal = _GOAL if target.name == "nginx as ingress-nginx" else None
            ratio = median([theirs / ours for theirs, ours in pairs])
            results.add(f"{target.name} / limen, {what}", ratio, "×", goal, better="more")


if __name__ == "__main__":
    sys.exit(main())
