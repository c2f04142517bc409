"""Streams in tests: an edge in this process with ports of TCP and UDP, and endpoints that do as they are told."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from proto.codec import record_of
from proto.resources import Endpoint, ResourceRecord, Stream, Upstream
from services.edge.process.sockets import open_port
from services.edge.streams.ports import Ports
from services.runtime.settings import HostPort
from tests.support.edge import Edge, edge
from tests.support.waiting import eventually

LOCAL = "127.0.0.1"


def free_udp_port() -> int:
    """A port of UDP that nobody uses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOCAL, 0))
        return int(probe.getsockname()[1])


def tcp(port: int, upstream: str = "default/echo:7/tcp", **more: bool) -> ResourceRecord:
    """A TCP port that leads to ``upstream``."""
    return record_of(f"tcp:{port}", Stream("tcp", upstream, port, **more))


def udp(port: int, upstream: str = "default/echo:7/udp") -> ResourceRecord:
    """A UDP port that leads to ``upstream``."""
    return record_of(f"udp:{port}", Stream("udp", upstream, port))


def endpoints(*ports: int, name: str = "default/echo:7/tcp") -> ResourceRecord:
    """An Upstream of streams."""
    return record_of(name, Upstream(tuple(Endpoint(LOCAL, port) for port in sorted(ports))))


def bind(stream: Stream) -> Sequence[socket.socket]:
    """Sockets as a worker opens them."""
    return open_port(HostPort(LOCAL, stream.port), datagrams=stream.protocol == "udp")


@dataclass
class StreamingEdge:
    """An edge with ports."""

    edge: Edge
    ports: Ports

    def change(self, *upserts: ResourceRecord, **more: object) -> None:
        """Swap to the next generation."""
        self.edge.change(*upserts, **more)  # type: ignore[arg-type]
        assert self.edge.serving.newest is not None
        self.ports.follow(self.edge.serving.newest.streams)

    async def accepting(self, port: int) -> None:
        """Wait until a port of TCP is open."""
        await eventually(lambda: any(bound.getsockname()[1] == port for bound in self.ports.sockets()))

    def ended(self, protocol: str = "tcp") -> dict[str, int]:
        """Streams that ended, by status."""
        counted: dict[str, int] = {}
        for (kind, _, status), count in self.edge.serving.ledger.sessions.items():
            if kind == protocol:
                counted[status] = counted.get(status, 0) + count
        return counted


@asynccontextmanager
async def streaming(*records: ResourceRecord, reserved: dict[int, str] | None = None) -> AsyncIterator[StreamingEdge]:
    """An edge that serves ``records``, its ports open."""
    async with edge(*records) as running:
        made = StreamingEdge(running, Ports(running.serving, bind, reserved or {}))
        assert running.serving.newest is not None
        made.ports.follow(running.serving.newest.streams)
        try:
            yield made
        finally:
            made.ports.close()
            made.ports.abort()


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say everything again, and end when the other does."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def endpoint(talk: Talk = echo) -> AsyncIterator[int]:
    """An endpoint of TCP that talks; its port."""
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, LOCAL, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in list(writers):
            writer.transport.abort()


@dataclass
class Datagrams(asyncio.DatagramProtocol):
    """An endpoint of UDP: answers each datagram ``times`` times, with its own ``name`` before it."""

    name: bytes = b""
    times: int = 1
    heard: list[tuple[bytes, object]] = field(default_factory=list)
    port: int = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.heard.append((data, addr))
        for _ in range(self.times):
            self.transport.sendto(self.name + data, addr)  # type: ignore[attr-defined]


@asynccontextmanager
async def datagram_endpoint(name: bytes = b"", times: int = 1) -> AsyncIterator[Datagrams]:
    """A running one."""
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Datagrams(name, times), (LOCAL, 0)
    )
    try:
        yield protocol
    finally:
        transport.close()


class DatagramClient(asyncio.DatagramProtocol):
    """A client of UDP; ``heard``: what came back."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, _addr: object) -> None:
        self.heard.append(data)

    def say(self, data: bytes) -> None:
        """Send a datagram."""
        self.transport.sendto(data)  # type: ignore[attr-defined]

    async def ask(self, data: bytes) -> bytes:
        """Send a datagram and wait for the next answer."""
        before = len(self.heard)
        self.say(data)
        await eventually(lambda: len(self.heard) > before)
        return self.heard[before]


@asynccontextmanager
async def datagram_client(port: int, address: str = LOCAL) -> AsyncIterator[DatagramClient]:
    """A client of a UDP port."""
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        DatagramClient, remote_addr=(address, port)
    )
    try:
        yield protocol
    finally:
        transport.close()
