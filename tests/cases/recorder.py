"""An origin that reads as strictly as can be and keeps what it read: whatever an edge sends on has to pass here."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.waiting import eventually

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e\x80-\xff]+) HTTP/(1\.[01])")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([^\x00\r\n]*?)[ \t]*")
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}\r\n")
BYSTANDER, SENTINEL = b"/bystander/", b"/sentinel"


class MalformedError(Exception):
    """What came is no HTTP/1.1 that every parser reads alike."""


@dataclass
class Request:
    """One request as it came. ``service``: of the origin that it came to."""

    service: str
    method: bytes
    target: bytes
    version: bytes
    headers: list[tuple[bytes, bytes]]
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    complete: bool = False

    def values(self, name: str) -> list[bytes]:
        return [value for key, value in self.headers if key.lower() == name.lower().encode()]

    @property
    def answer(self) -> bytes:
        """The body of the answer to it: only its sender expects that."""
        return b"%b %b %b" % (self.service.encode(), self.method, self.target)


@dataclass
class Recorder:
    """What all origins of a test saw. ``sent``: bytes of long answers that were taken."""

    requests: list[Request] = field(default_factory=list)
    malformed: list[bytes] = field(default_factory=list)
    sent: int = 0
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def open(self) -> int:
        """Connections there are."""
        return len(self.writers)

    def forget(self) -> None:
        """Begin anew; connections stay."""
        self.requests.clear()
        self.malformed.clear()
        self.sent = 0

    async def serve(self, service: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            while await self._request(service, reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except (MalformedError, asyncio.LimitOverrunError) as error:
            self.malformed.append(repr(error).encode())
        finally:
            self.writers.discard(writer)
            writer.close()

    async def _request(self, service: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection stays."""
        line, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        match = _LINE.fullmatch(line)
        if match is None:
            raise MalformedError(line)
        request = Request(service, match[1], match[2], match[3], _fields(lines))
        if not request.target.startswith((BYSTANDER, SENTINEL)):
            self.requests.append(request)
        if request.target == b"/no-body-read":
            _answer(request, writer)
            await _read_body(request, reader)
            return True
        await _read_body(request, reader)
        if size := re.fullmatch(rb"/bytes/(\d+)", request.target):
            await self._stream(int(size[1]), writer)
        elif request.values("Upgrade") == [b"websocket"] and request.values("Sec-WebSocket-Key"):
            await _echo(request, reader, writer)
            return False
        else:
            _answer(request, writer)
        await writer.drain()
        return True

    async def _stream(self, size: int, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        piece = bytes(65536)
        for start in range(0, size, len(piece)):
            writer.write(piece[: size - start])
            await writer.drain()
            self.sent = start + len(piece)


def _fields(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    matches = [_FIELD.fullmatch(line) for line in lines]
    if None in matches:
        raise MalformedError(lines)
    return [(match[1], match[2]) for match in matches if match is not None]


async def _read_body(request: Request, reader: asyncio.StreamReader) -> None:
    lengths, codings = request.values("Content-Length"), request.values("Transfer-Encoding")
    if len(lengths) + len(codings) > 1 or any(coding.lower() != b"chunked" for coding in codings):
        raise MalformedError(lengths, codings)
    if codings:
        while size := await _chunk_size(reader):
            request.body += await reader.readexactly(size)
            if await reader.readexactly(2) != b"\r\n":
                raise MalformedError("no end of a chunk")
        while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
            request.trailers += _fields([line[:-2]])
    elif lengths:
        if not lengths[0].isdigit():
            raise MalformedError(lengths)
        request.body = await reader.readexactly(int(lengths[0]))
    request.complete = True


async def _chunk_size(reader: asyncio.StreamReader) -> int:
    line = await reader.readuntil(b"\r\n")
    if _SIZE.fullmatch(line) is None:
        raise MalformedError(line)
    return int(line, 16)


def _answer(request: Request, writer: asyncio.StreamWriter) -> None:
    body = request.answer
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
    if request.method != b"HEAD":
        writer.write(body)


async def _echo(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    digest = hashlib.sha1(request.values("Sec-WebSocket-Key")[0] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "
    writer.write(head + base64.b64encode(digest) + b"\r\n\r\n")
    while data := await reader.read(4096):
        writer.write(data)


@asynccontextmanager
async def origins(recorder: Recorder, *services: str) -> AsyncIterator[dict[str, int]]:
    """The ports of one origin for each service, all keeping what they see in ``recorder``."""
    servers = {}
    try:
        for service in services:

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, of: str = service) -> None:
                await recorder.serve(of, reader, writer)

            servers[service] = await asyncio.start_server(serve, "127.0.0.1", 0)
        yield {service: server.sockets[0].getsockname()[1] for service, server in servers.items()}
    finally:
        for server in servers.values():
            server.close()
        for writer in list(recorder.writers):
            writer.transport.abort()
        await eventually(lambda: not recorder.writers, every=0.001)
