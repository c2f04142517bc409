"""Asking edges by requests: kept connections, one for each worker, and backends that say who they are.

Edges share a port (SO_REUSEPORT), so the kernel chooses who gets a connection; which one it chose is read from /proc.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path


class Backend(asyncio.Protocol):
    """Answers every request with its name, one letter."""

    def __init__(self, name: bytes) -> None:
        self._answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + name
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Requests here have no bodies, so each blank line is one."""
        assert self._transport is not None
        self._transport.write(self._answer * data.count(b"\r\n\r\n"))


async def start_backend(name: bytes, address: str) -> tuple[asyncio.Server, int]:
    """A backend on a free port of ``address``."""
    server = await asyncio.get_running_loop().create_server(lambda: Backend(name), address, 0)
    return server, int(server.sockets[0].getsockname()[1])


@dataclass
class Answer:
    """One answer: when it was complete, its status and body."""

    at: float
    status: int
    body: bytes


class AskError(Exception):
    """A request that got no complete answer."""


@dataclass
class Connection:
    """A kept connection; opened when first needed and again after the edge closed it in the proper way."""

    port: int
    host: str
    answers: int = 0
    _reader: asyncio.StreamReader | None = field(default=None, repr=False)
    _writer: asyncio.StreamWriter | None = field(default=None, repr=False)

    async def open(self) -> int:
        """Connect; gives the own port."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        return int(self._writer.get_extra_info("sockname")[1])

    async def ask(self, path: str = "/") -> Answer:
        """One request. Raises AskError when the answer is cut off or does not come."""
        if self._writer is None:
            try:
                await self.open()
            except OSError as error:
                raise AskError(f"connecting: {error}") from None
        assert self._reader is not None
        assert self._writer is not None
        try:
            self._writer.write(f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode())
            head = (await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 10)).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            body = await self._reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError) as error:
            self.close()
            raise AskError(f"after {self.answers} answers: {type(error).__name__} {error}") from None
        self.answers += 1
        if b"\r\nconnection: close" in head:
            self.close()
        return Answer(time.perf_counter(), int(head[9:12]), body)

    def close(self) -> None:
        """Close, if open."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def connect_to_each(
    port: int, host: str, candidates: Iterable[int], count: int, patience: float = 20.0
) -> dict[int, Connection]:
    """One connection to each of ``count`` processes among ``candidates``. Raises TimeoutError if the kernel does not
    give them."""
    found: dict[int, Connection] = {}
    deadline = time.monotonic() + patience
    pids = list(candidates)
    while len(found) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {len(found)} of {count} edges ever took a connection")
        connection = Connection(port, host)
        owner = await owner_of(port, await connection.open(), pids, connection)
        if owner is None or owner in found:
            connection.close()
        else:
            found[owner] = connection
    return found


async def owner_of(port: int, peer: int, candidates: Iterable[int], connection: Connection) -> int | None:
    """The process that holds the accepted end of a connection (asked once, so that it has been accepted)."""
    await connection.ask()
    inode = _inode(port, peer)
    return next((pid for pid in candidates if inode is not None and f"socket:[{inode}]" in _sockets(pid)), None)


def _inode(port: int, peer: int) -> str | None:
    wanted = (f":{port:04X}", f":{peer:04X}")
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[1].endswith(wanted[0]) and words[2].endswith(wanted[1]):
            return words[9]
    return None


def _sockets(pid: int) -> set[str]:
    links: set[str] = set()
    with contextlib.suppress(OSError):
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                links.add(os.readlink(file))
    return links
