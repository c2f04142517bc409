"""WebSockets: many that are open, messages there and back: processor time per message, memory of each, beside nginx.

The endpoint sends back what comes; frames are bytes to everybody in between. Rounds are interleaved, one core each.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from bench.asking import run
from bench.figures import Results, arguments, median, percentile, say
from bench.peers import HOST, Ports, start_peers
from bench.processes import LOAD_CORE, Child, answers, ended, rss_of, wait_until
from bench.requests import start_limen

_PEER = "nginx as ingress-nginx"
_KEY = base64.b64encode(bytes(range(16)))
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_ACCEPT = base64.b64encode(hashlib.sha1(_KEY + _MAGIC).digest())
_OPENING = b"\r\n".join(
    (
        b"GET /a/b HTTP/1.1",
        b"Host: " + HOST.encode(),
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: " + _KEY,
        b"\r\n",
    )
)
_MESSAGE = b"\x82\xc0" + bytes(4) + bytes(64)
"""A binary frame of 64 bytes with a mask of zeros: what comes back is what was sent."""


class _Echo(asyncio.Protocol):
    """The endpoint's end."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._open = False
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if self._open:
            self._transport.write(data)
            return
        self._head += data
        if self._head.endswith(b"\r\n\r\n"):
            self._open = True
            self._transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Accept: %b\r\n\r\n" % _ACCEPT
            )


class _Socket(asyncio.Protocol):
    """The client's end. ``times``: of each message there and back, in seconds."""

    def __init__(self) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None
        self.times: list[float] = []
        self._sent_at = 0.0
        self._received = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(_OPENING)

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            assert data.startswith(b"HTTP/1.1 101 "), data
            assert _ACCEPT in data
            self.opened.set_result(None)
            return
        self._received += len(data)
        if self._received >= len(_MESSAGE):
            self._received -= len(_MESSAGE)
            self.times.append(time.perf_counter() - self._sent_at)

    def connection_lost(self, _error: Exception | None) -> None:
        self.transport = None
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("the connection ended"))

    def send(self) -> None:
        """One message."""
        if self.transport is None:
            raise RuntimeError("a WebSocket ended")
        self._sent_at = time.perf_counter()
        self.transport.write(_MESSAGE)


@dataclass
class _Target:
    name: str
    child: Child
    ports: Ports
    sockets: list[_Socket] = field(default_factory=list)
    each: float = 0.0
    cpu: list[float] = field(default_factory=list)
    slowest: list[float] = field(default_factory=list)

    async def open(self, count: int) -> None:
        """Open ``count``."""
        loop = asyncio.get_running_loop()
        before = sum(rss_of(pid) for pid in self.child.tree())
        for _ in range(count):
            _, made = await loop.create_connection(_Socket, "127.0.0.1", self.ports.http)
            await made.opened
            self.sockets.append(made)
        self.each = (sum(rss_of(pid) for pid in self.child.tree()) - before) / count / 1024

    async def round(self, seconds: float, rate: float) -> None:
        """Messages on one after the other, ``rate`` a second."""
        before, started, sent = self.child.cpu(), time.perf_counter(), 0
        while (passed := time.perf_counter() - started) < seconds:
            while sent < passed * rate:
                self.sockets[sent % len(self.sockets)].send()
                sent += 1
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.2)
        times = [each for one in self.sockets for each in one.times]
        if len(times) != sent:
            raise RuntimeError(f"{self.name}: of {sent} messages {len(times)} came back")
        for one in self.sockets:
            one.times.clear()
        self.cpu.append((self.child.cpu() - before) / sent * 1e6)
        self.slowest.append(percentile(times, 0.99) * 1e3)


async def _measure(folder: Path, count: int, rounds: int, seconds: float, results: Results) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Echo, "127.0.0.1", 0, backlog=4096)
    backend = server.sockets[0].getsockname()[1]
    with ended([]) as children:
        started, missing = start_peers(folder, backend, (_PEER,))
        results.missing += missing
        targets = [_Target(name, child, ports) for name, (child, ports) in started.items()]
        children += [target.child for target in targets]
        pipeline = start_limen(folder / "limen", backend, 0)
        children.append(pipeline.child)
        await asyncio.to_thread(pipeline.wait_ready, 120)
        await asyncio.to_thread(pipeline.wait_quiet)
        targets.append(_Target("limen", pipeline.child, pipeline.ports))
        for target in targets:
            wait_until(lambda port=target.ports.http: answers(port), 20, target.name)  # type: ignore[misc]
            await target.open(count)
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for target in targets:
                await target.round(seconds, 4000)
        limen = targets[-1]
        for target in targets:
            note = f"{min(target.cpu):.1f} to {max(target.cpu):.1f}; p99 {median(target.slowest):.2f} ms"
            results.add(f"{target.name}: a message there and back", median(target.cpu), "µs", note=note)
            results.add(f"{target.name}: memory of each", target.each, "KiB")
        for target in targets[:-1]:
            ratio = median([theirs / ours for theirs, ours in zip(target.cpu, limen.cpu, strict=True)])
            results.add(f"{target.name} / limen", ratio, "×", better="more")
        for target in targets:
            for one in target.sockets:
                if one.transport is not None:
                    one.transport.abort()
        server.close()


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each round")
    options = parser.parse_args()
    count, rounds, seconds = (100, 2, 1.0) if options.quick else (options.connections, options.rounds, options.seconds)
    results = Results(f"websockets: {count:,}")
    os.sched_setaffinity(0, {LOAD_CORE})
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        run(_measure(Path(name), count, rounds, seconds, results))
    return results.print(as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
