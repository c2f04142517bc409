"""An edge that lives as long as a module of tests, an endpoint behind it that keeps what it gets, and a bystander.

Each exchange is awaited to its end: the client sends, says that it sends no more, and reads until the edge ends the
connection. Meanwhile the bystander asks on its own connection, and every answer of its must be right.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field

from tests.hostile.capture import BYSTANDER, Capture, answer_to
from tests.hostile.readings import Message, read_one
from tests.support.edge import HOST, Edge, edge, host, request, settings, upstream
from tests.support.waiting import eventually

PATIENCE = 5.0
"""Seconds after which an exchange counts as hanging."""
SLOW = 0.25
"""Seconds that 99 of 100 answers to the bystander take at most, on a machine that does other work, too."""


@dataclass
class World:
    """See the module."""

    capture: Capture
    edge: Edge
    runner: asyncio.Runner
    bystander: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    asked: int = 0
    waited: list[float] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    def play(self, *pieces: bytes) -> bytes:
        """Send ``pieces``, one write each; gives what the client got. ``raw``: what the endpoint got, if of others."""
        return self.runner.run(self._play(pieces))

    async def _play(self, pieces: Sequence[bytes]) -> bytes:
        self.capture.begin()
        async with asyncio.timeout(PATIENCE):
            received, _ = await asyncio.gather(self._exchange(pieces), self._bystand())
        await self._bystand()
        await eventually(self.capture.settled, every=0.001, what="nothing half on its way to the endpoint")
        self.raw = self.capture.raw()
        return received

    async def _exchange(self, pieces: Sequence[bytes]) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.edge.http)
        received = b""
        try:
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            writer.write_eof()
            while data := await reader.read(1 << 16):
                received += data
        except ConnectionError:
            pass  # the edge ended it before everything was sent, or because the endpoint broke off
        finally:
            writer.transport.abort()
        return received

    async def _bystand(self) -> None:
        self.asked += 1
        reader, writer = self.bystander
        target = BYSTANDER + b"%d" % self.asked
        started = time.perf_counter()
        writer.write(request("GET", target.decode()))
        head = await reader.readuntil(b"\r\n\r\n")
        wanted = answer_to(Message((b"GET", target), (), b""))
        assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
        assert await reader.readexactly(len(wanted)) == wanted
        self.waited.append(time.perf_counter() - started)

    def unharmed(self) -> None:
        """Raise AssertionError unless the bystander was served all along, and well (each answer was right, too)."""
        assert sorted(self.waited)[len(self.waited) * 99 // 100] < SLOW


def others(messages: Sequence[Message]) -> list[Message]:
    """Messages that are not the bystander's."""
    return [message for message in messages if not message.start[1].startswith(BYSTANDER)]


def first(data: bytes) -> Message:
    """The first response in ``data``."""
    read = read_one(data, response=True)
    assert read is not None, data
    return read[0]


async def _make(stack: AsyncExitStack, runner: asyncio.Runner) -> World:
    capture = Capture()
    server = await asyncio.get_running_loop().create_server(capture.protocol, "127.0.0.1", 0)
    stack.callback(server.close)
    port = server.sockets[0].getsockname()[1]
    endless = settings(keep_alive_requests=1 << 30, upstream_keepalive_requests=1 << 30)
    running = await stack.enter_async_context(edge(host(HOST), upstream(port), endless))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.http)
    stack.callback(writer.close)
    return World(capture, running, runner, (reader, writer))


@contextmanager
def world() -> Iterator[World]:
    """A running world, for tests that are not coroutines."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            yield runner.run(_make(stack, runner))
        finally:
            runner.run(stack.aclose())
