"""An edge's data plane in this process, on a generation made by hand; origins that do as they are told; raw clients."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from proto.codec import record_of
from proto.policies import Policy, SSLRedirect
from proto.resources import (
    Certificate,
    Endpoint,
    Forward,
    PathMatch,
    ResourceKey,
    ResourceRecord,
    Route,
    Settings,
    Upstream,
    VirtualHost,
)
from proto.sealing import Sealer, secret_place
from services.edge.certificates import self_signed
from services.edge.core.generation import Generation
from services.edge.listener import Listeners, listen
from services.edge.serving import Serving

SEALER = Sealer("limen", [("00" * 8, bytes(range(64)))])
HOST = "t.example"


def route(
    upstream: str = "default/web:80",
    path: str = "/",
    kind: str = "prefix",
    policies: Sequence[Policy] = (),
    fallback: str = "",
) -> Route:
    """A route to an upstream, owned by Ingress ``default/web``."""
    match = PathMatch(kind, path)  # type: ignore[arg-type]
    return Route(match, Forward(upstream, fallback), tuple(policies), "default/web", path)


def host(name: str = HOST, *routes: Route, tls: bool = False, certificate: str = "", **more: object) -> ResourceRecord:
    """A host with these routes (one to ``default/web:80`` if none are given)."""
    return record_of(
        name,
        VirtualHost(name, routes=routes or (route(),), tls=tls, certificate=certificate, **more),  # type: ignore[arg-type]
    )


def upstream(*ports: int, name: str = "default/web:80", address: str = "127.0.0.1") -> ResourceRecord:
    """An Upstream with endpoints on these ports."""
    return record_of(name, Upstream(tuple(Endpoint(address, port) for port in sorted(ports))))


def settings(**values: object) -> ResourceRecord:
    """The global settings."""
    return record_of("global", Settings(**values))  # type: ignore[arg-type]


def certificate(name: str, *dns_names: str) -> tuple[ResourceRecord, bytes]:
    """A sealed self-signed certificate, and its DER."""
    chain, key = self_signed()
    der = ssl.PEM_cert_to_DER_cert(chain.decode())
    namespace, _, secret = name.partition("/")
    sealed = SEALER.seal(secret_place(namespace, secret, "tls.key"), key)
    return record_of(name, Certificate((der,), dns_names, 0, 2**31, "", sealed)), der


NO_HTTPS = (SSLRedirect(enabled=False, force=False),)
STREAMED = settings(proxy_request_buffering=False)
"""Bodies of requests go on as they come."""


@dataclass
class Edge:
    """A running data plane."""

    serving: Serving
    http: int
    https: int
    listeners: list[Listeners]
    version: int = 1

    def change(self, *upserts: ResourceRecord, removals: Iterable[ResourceKey] = ()) -> None:
        """Swap to the next generation."""
        generation = self.serving.generation
        assert generation is not None
        self.version += 1
        self.serving.swap(generation.next(upserts, removals, 1, self.version, bytes(32)))

    @property
    def statuses(self) -> dict[int, int]:
        """Requests so far by status."""
        counts: dict[int, int] = {}
        for series in self.serving.traffic.snapshot():
            counts[series.status] = counts.get(series.status, 0) + series.requests
        return counts


def bound(address: str = "127.0.0.1") -> socket.socket:
    """A bound socket on a free port."""
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, 0))
    made.setblocking(False)
    return made


@asynccontextmanager
async def edge(*records: ResourceRecord, address: str = "127.0.0.1", h2c: bool = False) -> AsyncIterator[Edge]:
    """A data plane that serves ``records``; ``h2c``: HTTP/2 without TLS too."""
    serving = Serving(asyncio.get_running_loop(), SEALER, Path(tempfile.gettempdir()))
    serving.swap(Generation.first(records, 1, 1, bytes(32)))
    http, https = bound(address), bound(address)
    running = Edge(serving, http.getsockname()[1], https.getsockname()[1], [])
    running.listeners.append(await listen(serving, [http], False, h2c))
    running.listeners.append(await listen(serving, [https], True))
    try:
        yield running
    finally:
        for listeners in running.listeners:
            await listeners.drain(0)


@dataclass
class Seen:
    """A request as an origin saw it."""

    head: bytes
    body: bytes = b""
    complete: bool = False
    connection: int = 0

    @property
    def line(self) -> bytes:
        """The request line."""
        return self.head.partition(b"\r\n")[0]

    def values(self, name: str) -> list[bytes]:
        """The values of a header."""
        pattern = rb"\r\n" + re.escape(name.encode()) + rb":[ \t]*([^\r]*)"
        return [value.strip() for value in re.findall(pattern, self.head, re.IGNORECASE)]

    def value(self, name: str) -> bytes:
        """The one value of a header; empty if there is none."""
        values = self.values(name)
        assert len(values) <= 1, (name, values)
        return values[0] if values else b""


Answer = Callable[[Seen, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Origin:
    """A server that records what it gets and answers as told."""

    answer: bytes | Answer = OK
    seen: list[Seen] = field(default_factory=list)
    port: int = 0
    connections: int = 0
    open: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        self.open += 1
        number = self.connections
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                seen = Seen(head, connection=number)
                self.seen.append(seen)
                if not callable(self.answer):
                    await read_body(seen, reader)
                    writer.write(self.answer)
                    await writer.drain()
                else:
                    await self.answer(seen, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            self._writers.discard(writer)
            writer.close()

    def close_connections(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.close()


async def read_body(seen: Seen, reader: asyncio.StreamReader) -> None:
    """Read the body of a request into ``seen``."""
    if seen.value("Transfer-Encoding") == b"chunked":
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            seen.body += (await reader.readexactly(size + 2))[:-2]
        assert await reader.readuntil(b"\r\n") == b"\r\n"
    elif length := seen.value("Content-Length"):
        seen.body = await reader.readexactly(int(length))
    seen.complete = True


@asynccontextmanager
async def origin(answer: bytes | Answer = OK, *, receive_buffer: int = 0) -> AsyncIterator[Origin]:
    """A running origin on 127.0.0.1; ``receive_buffer``: how much the kernel takes for it, 0: as usual."""
    made = Origin(answer)
    listening = bound()
    if receive_buffer:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    server = await asyncio.start_server(made.serve, sock=listening)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.close_connections()


def no_verification() -> ssl.SSLContext:
    """A client's TLS context that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@asynccontextmanager
async def connection(
    port: int, *, tls: str | None = None, address: str = "127.0.0.1"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A raw connection; ``tls``: the server name to ask for."""
    context = no_verification() if tls is not None else None
    reader, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=tls, limit=1 << 20)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError, ssl.SSLError):
            await writer.wait_closed()


@dataclass
class Reply:
    """A response as a client read it."""

    status: int
    head: bytes
    body: bytes

    def value(self, name: str) -> bytes:
        """The value of a header; empty if there is none."""
        match = re.search(rb"\r\n" + re.escape(name.encode()) + rb":[ \t]*([^\r]*)", self.head, re.IGNORECASE)
        return match[1] if match else b""


async def read_reply(reader: asyncio.StreamReader, *, bodiless: bool = False) -> Reply:
    """Read one response."""
    head = await reader.readuntil(b"\r\n\r\n")
    reply = Reply(int(head[9:12]), head, b"")
    if bodiless or reply.status in (204, 304) or reply.status < 200:
        return reply
    if reply.value("Transfer-Encoding") == b"chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            reply.body += (await reader.readexactly(size + 2))[:-2]
        assert await reader.readuntil(b"\r\n") == b"\r\n"
    elif reply.value("Content-Length"):
        reply.body = await reader.readexactly(int(reply.value("Content-Length")))
    else:
        reply.body = await reader.read()
    return reply


def request(
    method: str = "GET", target: str = "/", *lines: str, name: str = HOST, version: str = "1.1", body: bytes = b""
) -> bytes:
    """A request's bytes."""
    head = [f"{method} {target} HTTP/{version}", f"Host: {name}", *lines]
    if body:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


async def ask(port: int, data: bytes = b"", *, tls: str | None = None, bodiless: bool = False) -> Reply:
    """Send one request on a fresh connection and read its response."""
    async with asyncio.timeout(10), connection(port, tls=tls) as (reader, writer):
        writer.write(data or request())
        return await read_reply(reader, bodiless=bodiless)
