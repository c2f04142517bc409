"""Asking edges by requests: kept connections, one for each worker, and backends that say who they are.

Edges share a port (SO_REUSEPORT), so the kernel chooses who gets a connection; which one it chose is read from /proc.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import uvloop

ASKED_AT_MOST = 10_000
"""Requests per second of all probes together: asking ten edges without pause takes the cores from what is measured."""


class Backend(asyncio.Protocol):
    """Answers every request with its name, one letter."""

    def __init__(self, name: bytes) -> None:
        self._answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + name
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

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


class Probe(asyncio.Protocol):
    """Asks over one kept connection, the next time ``pause`` after each answer, and remembers since when the answers
    have been right. Cheap, so that asking disturbs little of what it measures."""

    def __init__(self, host: str, pause: float) -> None:
        self.request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self.asked = 0
        self.lost: list[str] = []
        self.right_since: float | None = None
        self._pause = pause
        self._wanted = b""
        self._asking = False
        self._waiting = False
        self._next: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def start(self, wanted: bytes) -> None:
        """Ask from now on; ``wanted`` is right."""
        self._wanted = wanted
        self.right_since = None
        self._asking = True
        if not self._waiting:
            self._ask()

    def stop(self) -> None:
        """Ask no more after the answer that is on its way."""
        self._asking = False
        if self._next is not None:
            self._next.cancel()

    def data_received(self, data: bytes) -> None:
        """An answer; small ones come in one piece."""
        now = time.perf_counter()
        self._waiting = False
        if not data.startswith(b"HTTP/1.1 200"):
            self.lost.append(data[:30].decode("latin-1"))
            self.right_since = None
        elif not data.endswith(self._wanted):
            self.right_since = None
        elif self.right_since is None:
            self.right_since = now
        if self._asking:
            self._next = asyncio.get_running_loop().call_later(self._pause, self._ask)

    def connection_lost(self, _error: Exception | None) -> None:
        """Count it: the edge has no reason to close a connection that is asked often enough."""
        if self._waiting:
            self.lost.append("connection lost")
        self._transport = None

    def _ask(self) -> None:
        if self._asking and not self._waiting and self._transport is not None:
            self.asked += 1
            self._waiting = True
            self._transport.write(self.request)

    def close(self) -> None:
        """Close the connection."""
        self._asking = False
        if self._transport is not None:
            self._transport.close()


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop, as the measured processes do."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


async def probe_each(port: int, host: str, candidates: Iterable[int], count: int) -> list[Probe]:
    """A probe for each of ``count`` processes among ``candidates``; together they ask about ASKED_AT_MOST times a
    second."""
    pause = count / ASKED_AT_MOST
    sockets = await asyncio.to_thread(connect_to_each, port, host, candidates, count)
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(lambda: Probe(host, pause), sock=sock))[1] for sock in sockets.values()]


def connect_to_each(
    port: int, host: str, candidates: Iterable[int], count: int, patience: float = 20.0
) -> dict[int, socket.socket]:
    """A connection to each of ``count`` processes among ``candidates``, each asked once so that it is accepted.

    Raises TimeoutError if the kernel does not give them.
    """
    found: dict[int, socket.socket] = {}
    deadline = time.monotonic() + patience
    pids = list(candidates)
    while len(found) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {len(found)} of {count} edges ever took a connection")
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        connection.recv(65536)
        owner = _owner_of(port, connection.getsockname()[1], pids)
        if owner is None or owner in found:
            connection.close()
        else:
            found[owner] = connection
    return found


def _owner_of(port: int, peer: int, candidates: Iterable[int]) -> int | None:
    """The process that holds the accepted end of a connection."""
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
