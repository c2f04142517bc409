"""An edge as real processes, with what a test needs around it: keys, an endpoint, requests, its admin pages."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from proto.signing import format_key, key_id_of
from tests.support.ports import can_connect, free_port
from tests.support.processes import Process, limen
from tests.support.snapshots import signer
from tests.support.waiting import eventually

SEALING_KEY = bytes(range(64))


class Answer:
    """One response, or what came instead."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Connection:
    """A keep-alive client connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @staticmethod
    async def open(port: int, host: str = "127.0.0.1") -> Connection:
        return Connection(*await asyncio.open_connection(host, port))

    async def ask(self, host: str, path: str = "/", method: str = "GET", timeout: float = 10) -> Answer:
        async with asyncio.timeout(timeout):
            self.send(host, path, method)
            return await self.receive()

    def send(self, host: str, path: str = "/", method: str = "GET") -> None:
        self.writer.write(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())

    async def receive(self) -> Answer:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await self.reader.readline(), 16):
                body += await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            await self.reader.readline()
        else:
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(first.split()[1]), headers, body)

    def close(self) -> None:
        self.writer.close()


async def ask(port: int, host: str = "", path: str = "/", timeout: float = 10) -> Answer:
    """One request on a connection of its own."""
    connection = await Connection.open(port)
    try:
        return await connection.ask(host or "localhost", path, timeout=timeout)
    finally:
        connection.close()


class Endpoint:
    """A pod: answers its name; ``/slow`` when ``release`` is set; counts what it got."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0
        self.requests = 0
        self.release = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                if head.startswith(b"GET /slow"):
                    await self.release.wait()
                body = self.name.encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@asynccontextmanager
async def endpoint(name: str) -> AsyncIterator[Endpoint]:
    """A running endpoint on loopback."""
    pod = Endpoint(name)
    server = await asyncio.start_server(pod.serve, "127.0.0.1", 0)
    pod.port = server.sockets[0].getsockname()[1]
    try:
        yield pod
    finally:
        pod.release.set()
        server.close()


class EdgeProcesses:
    """``limen edge`` over a state folder that outlives restarts."""

    def __init__(
        self,
        folder: Path,
        nats_url: str,
        name: str = "e1",
        workers: int = 1,
        *options: str,
        port: int = 0,
        state: Path | None = None,
    ) -> None:
        self.folder = folder
        self.name = name
        self.port = port or free_port()
        self.admin = free_port()
        self.state = state or folder / "state"
        folder.mkdir(parents=True, exist_ok=True)
        key = signer()
        (folder / "verify.key").write_text(format_key("verify", key.public(), key.key_id))
        (folder / "sealing.key").write_text(format_key("sealing", SEALING_KEY, key_id_of(SEALING_KEY)))
        self._command = limen(
            "edge",
            *("--nats", nats_url, "--state", self.state, "--name", name, "--workers", str(workers)),
            *("--verify-key", folder / "verify.key", "--sealing-key", folder / "sealing.key"),
            *("--http", f"127.0.0.1:{self.port}", "--admin", f"127.0.0.1:{self.admin}"),
            *options,
        )
        self.process: Process | None = None

    @property
    def snapshot(self) -> Path:
        """The last-good file."""
        return self.state / f"edge-{self.name}.snapshot"

    @property
    def output(self) -> str:
        return (self.folder / "edge.log").read_text() if (self.folder / "edge.log").exists() else ""

    def start(self) -> None:
        self.process = Process(self._command, self.folder / "edge.log")

    async def start_ready(self, timeout: float = 10.0) -> None:
        self.start()
        await self.ready(timeout)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()

    async def stop(self, timeout: float = 15.0) -> int:
        """SIGTERM and the exit code."""
        assert self.process is not None
        self.process.send(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, timeout)

    async def restart(self) -> None:
        await self.stop()
        await self.start_ready()

    async def is_ready(self) -> bool:
        return (await ask(self.admin, path="/readyz")).status == 200

    async def ready(self, timeout: float = 10.0) -> None:
        try:
            await eventually(self.is_ready, timeout, "edge is ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output[-3000:]}") from None

    def accepts(self) -> bool:
        return can_connect(self.port)

    async def ask(self, host: str, path: str = "/", timeout: float = 10) -> Answer:
        return await ask(self.port, host, path, timeout)

    async def status(self) -> dict:  # type: ignore[type-arg]
        return json.loads((await ask(self.admin, path="/status")).body)  # type: ignore[no-any-return]

    async def serves(self, epoch: int, version: int, timeout: float = 10.0) -> None:
        """Wait until every worker serves this version."""

        async def reached() -> bool:
            status = await self.status()
            reports = status.get("edges", [])
            return len(reports) == status["counts"]["workers"] and all(
                (report.get("epoch"), report.get("version")) == (epoch, version) for report in reports
            )

        try:
            await eventually(reached, timeout, f"version {epoch}.{version} on all workers")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output[-3000:]}") from None

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's series that carry ``labels``."""
        text = (await ask(self.admin, path="/metrics")).body.decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name in (name, f"{name}_total") and labels.items() <= sample.labels.items()
        )

    def children(self) -> list[int]:
        """The processes that the supervisor forked."""
        assert self.process is not None
        return children_of(self.process.pid)

    async def worker_pids(self) -> list[int]:
        """The workers: those who hold the traffic port open and are not the admin process (the last one forked)."""
        return sorted(self.children())[:-1]


def children_of(pid: int) -> list[int]:
    """Process ids of the direct children."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@asynccontextmanager
async def edge_processes(folder: Path, nats_url: str, *args: object, **kwargs: object) -> AsyncIterator[EdgeProcesses]:
    """An edge that is not started yet, ended at the end of the block."""
    edge = EdgeProcesses(folder, nats_url, *args, **kwargs)  # type: ignore[arg-type]
    try:
        yield edge
    finally:
        if edge.process is not None:
            await asyncio.to_thread(edge.process.end)  # it waits for what this process has yet to close


class Load:
    """Steady requests on keep-alive connections for as long as the block runs; every answer is checked."""

    def __init__(self, port: int, host: str, right: Callable[[Answer], bool], connections: int = 4) -> None:
        self._port = port
        self._host = host
        self._right = right
        self._connections = connections
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self.answers = 0
        self.failures: list[str] = []

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._run()) for _ in range(self._connections)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)

    async def more(self, answers: int, timeout: float = 20.0) -> None:
        """Wait until that many more answers came."""
        wanted = self.answers + answers
        await eventually(lambda: self.answers >= wanted or self.failures, timeout, f"{answers} more answers")

    async def _run(self) -> None:
        connection: Connection | None = None
        while not self._stopping:
            try:
                if connection is None:
                    connection = await Connection.open(self._port)
                answer = await connection.ask(self._host, timeout=10)
                self.answers += 1
                if not self._right(answer):
                    self.failures.append(f"{answer.status} {answer.body[:80]!r}")
                if answer.headers.get("connection") == "close":
                    connection.close()
                    connection = None
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                self.failures.append(repr(error))
                connection = None
            await asyncio.sleep(0.002)
        if connection is not None:
            connection.close()
