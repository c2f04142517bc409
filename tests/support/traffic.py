"""Steady mixed traffic of which every request is checked, and an Ingress that counts up to see what edges serve."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager

from tests.support.edges import Answer, Connection
from tests.support.pipeline import Edge, Manifests, annotated
from tests.support.waiting import eventually

_LOST = (OSError, asyncio.IncompleteReadError, TimeoutError)
PAUSE = 0.02
"""Seconds that a client rests after an answer: traffic is a witness here, not a burden."""


class Pod:
    """An endpoint: answers its name; ``/download`` never ends; an Upgrade is granted, and everything echoed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"\r\nupgrade:" in head.lower():
                    await self._echo(reader, writer)
                elif head.startswith(b"GET /download"):
                    await self._download(writer)
                else:
                    body = self.name.encode()
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        except (*_LOST, asyncio.CancelledError):
            pass  # cancelled at the end of the test: nobody waits for this task
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        while data := await reader.read(4096):
            writer.write(data)
        raise ConnectionResetError

    async def _download(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"4\r\nmore\r\n")
            await writer.drain()
            await asyncio.sleep(PAUSE)

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()


@asynccontextmanager
async def pod(name: str = "pod", address: str = "127.0.0.1") -> AsyncIterator[Pod]:
    """A running endpoint."""
    made = Pod(name)
    server = await asyncio.start_server(made.serve, address, 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.end()


class Traffic:
    """Clients of every kind on each port, for as long as the block runs: kept connections, a new one for each request,
    TLS (with the name of the certificate checked), a WebSocket and a download that last.

    ``failures`` names everything that was not a right answer. With ``retry``, a GET whose connection was lost before
    an answer is asked once more on a new one after a moment, as HTTP's clients may; ``cuts`` names those, and the
    WebSockets and downloads that were lost (they are opened again).
    """

    def __init__(self, ports: Sequence[tuple[int, int]], host: str, tls_host: str = "", *, retry: bool = False) -> None:
        self._ports = ports
        self._host = host
        self._tls_host = tls_host
        self._retry = retry
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self.answers = 0
        self.cuts: list[str] = []
        self.failures: list[str] = []

    async def __aenter__(self) -> Traffic:
        for http, https in self._ports:
            clients: list[Coroutine[None, None, None]] = [
                self._asking("kept", http),
                self._asking("kept", http),
                self._asking("new", http, keep=False),
                self._lasting("websocket", http, self._websocket),
                self._lasting("download", http, self._download),
            ]
            if self._tls_host:
                clients += [self._asking("tls", https, tls=True), self._asking("new tls", https, tls=True, keep=False)]
            self._tasks += [asyncio.create_task(client) for client in clients]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()
        await asyncio.gather(*self._tasks)

    def stop(self) -> None:
        """Ask nothing more."""
        self._stopping = True

    async def more(self, answers: int = 100, timeout: float = 20.0) -> None:
        """Wait for that many more answers; raises AssertionError as soon as one failed."""
        wanted = self.answers + answers
        await eventually(lambda: self.answers >= wanted or self.failures, timeout, f"{answers} more answers")
        self.check()

    def check(self) -> None:
        """Raise AssertionError if a request failed."""
        assert not self.failures, f"{len(self.failures)} of {self.answers}: {self.failures[:5]}"

    @property
    def cut(self) -> int:
        """How many connections were lost."""
        return len(self.cuts)

    def _cut(self, kind: str, error: BaseException) -> None:
        self.cuts.append(f"{time.strftime('%H:%M:%S')} {kind}: {error!r}")

    def _fail(self, kind: str, reason: object) -> None:
        self.failures.append(f"{time.strftime('%H:%M:%S')} {kind}: {reason}")

    async def _asking(self, kind: str, port: int, *, keep: bool = True, tls: bool = False) -> None:
        connection: Connection | None = None
        lost = 0
        while not self._stopping:
            try:
                connection = connection or await self._open(port, tls)
                answer = await connection.ask(self._tls_host if tls else self._host)
            except _LOST as error:
                lost += 1
                self._cut(kind, error)
                if not self._retry or lost > 1:
                    self._fail(kind, repr(error))
                connection = None
                await asyncio.sleep(PAUSE)
                continue
            lost = 0
            self._judge(kind, answer)
            if not keep or answer.headers.get("connection") == "close":
                connection.close()
                connection = None
            await asyncio.sleep(PAUSE)
        if connection is not None:
            connection.close()

    async def _open(self, port: int, tls: bool) -> Connection:
        if not tls:
            return await Connection.open(port)
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        opened = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=self._tls_host)
        certificate = opened[1].get_extra_info("ssl_object").getpeercert(binary_form=True)
        if self._tls_host.encode() not in certificate:
            self._fail("tls", "another certificate")
        return Connection(*opened)

    def _judge(self, kind: str, answer: Answer) -> None:
        self.answers += 1
        if (answer.status, answer.body) != (200, b"pod"):
            self._fail(kind, f"{answer.status} {answer.body[:80]!r}")

    async def _lasting(self, kind: str, port: int, live: Callable[[Connection], Coroutine[None, None, None]]) -> None:
        while not self._stopping:
            connection: Connection | None = None
            try:
                connection = await Connection.open(port)
                await live(connection)
            except _LOST as error:
                self._cut(kind, error)
                if not self._retry:
                    self._fail(kind, repr(error))
            finally:
                if connection is not None:
                    connection.close()

    async def _websocket(self, connection: Connection) -> None:
        words = (f"GET / HTTP/1.1\r\nHost: {self._host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")  # fmt: skip
        connection.writer.write(words.encode())
        head = await connection.reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            self._fail("websocket", head[:40])
        while not self._stopping:
            connection.writer.write(b"ping")
            async with asyncio.timeout(10):
                await connection.reader.readexactly(4)
            await asyncio.sleep(PAUSE)

    async def _download(self, connection: Connection) -> None:
        connection.send(self._host, "/download")
        head = await connection.reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            self._fail("download", head[:40])
        while not self._stopping:
            async with asyncio.timeout(10):
                await connection.reader.readexactly(9)


def on(edges: Sequence[Edge], host: str, tls_host: str = "") -> Traffic:
    """Traffic to each of ``edges``."""
    return Traffic([(edge.http, edge.https) for edge in edges], host, tls_host)


class Counter:
    """An Ingress whose ``app-root`` counts up, and for each edge what it answers, asked all the time.

    ``failures`` names every answer that is no count, and every count that is smaller than the one before.
    """

    HOST = "counter.example.com"

    def __init__(self, manifests: Manifests, edges: Sequence[Edge]) -> None:
        self._manifests = manifests
        self._edges = edges
        self._tasks: list[asyncio.Task[None]] = []
        self.written = 0
        self.seen: dict[str, int] = {}
        self.failures: list[str] = []

    async def __aenter__(self) -> Counter:
        self.step()
        await self.live(20)
        self._tasks = [asyncio.create_task(self._watch(edge)) for edge in self._edges]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def step(self) -> int:
        """Write the next number."""
        self.written += 1
        self._manifests.put("counter", annotated(self.HOST, app_root=f"/{self.written}"))
        return self.written

    async def churn(self, steps: int, pause: float = 0.02) -> None:
        """Write so many numbers, with ``pause`` seconds between two."""
        for _ in range(steps):
            self.step()
            await asyncio.sleep(pause)

    async def live(self, timeout: float) -> float:
        """Wait until every edge serves the last number; how long it took, in seconds."""
        started, wanted = time.monotonic(), self.written
        for edge in self._edges:
            left = max(0.1, timeout - (time.monotonic() - started))
            await eventually(lambda edge=edge: self._serves(edge, wanted), left, f"{wanted} live on {edge.name}")
        return time.monotonic() - started

    def check(self) -> None:
        assert not self.failures, self.failures[:5]

    async def _serves(self, edge: Edge, wanted: int) -> bool:
        with contextlib.suppress(*_LOST):
            connection = await Connection.open(edge.http)
            try:
                return self._number(await connection.ask(self.HOST, timeout=3)) == wanted
            finally:
                connection.close()
        return False

    @staticmethod
    def _number(answer: Answer) -> int:
        last = answer.headers.get("location", "").rpartition("/")[2]
        return int(last) if answer.status == 302 and last.isdigit() else -1

    async def _watch(self, edge: Edge) -> None:
        connection: Connection | None = None
        while True:
            try:
                connection = connection or await Connection.open(edge.http)
                number = self._number(answer := await connection.ask(self.HOST))
            except _LOST:
                connection = None  # traffic counts lost requests; an edge may be away on purpose here
                await asyncio.sleep(PAUSE)
                continue
            before = self.seen.get(edge.name, 0)
            if number < before:
                self.failures.append(f"{edge.name}: {answer.status} {answer.headers}: {number} after {before}")
            self.seen[edge.name] = max(number, before)
            await asyncio.sleep(0.005)
