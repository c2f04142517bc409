"""Who takes part in a soak: clients and endpoints that behave; others that are slow, abort, half-close, talk rubbish.

Each ill-behaved client is a coroutine that does one thing once; ``soak`` runs many of them at a time. Only the good
client counts: it must never notice the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bench.peers import HOST, Ports

_LARGE = bytes(4 << 20)
_PIECE = bytes(64 << 10)


# --- endpoints --------------------------------------------------------------------------------------------------


_OVER = (
    OSError,
    asyncio.IncompleteReadError,
    asyncio.LimitOverrunError,
    ValueError,
    asyncio.CancelledError,
    RuntimeError,
)
"""How a connection ends; RuntimeError: the event loop's word for one that is closed already."""


async def endpoint(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection; what is done with a request, its path says."""
    with contextlib.suppress(*_OVER):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].partition(b"?")[0]
            if not await _BEHAVIOURS.get(path.rpartition(b"/")[2], _well)(head, reader, writer):
                break
    writer.transport.abort()


async def _well(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    lower = head.lower()
    if b"content-length: " in lower:
        await reader.readexactly(int(lower.partition(b"content-length: ")[2].split(b"\r\n")[0]))
    body = head.split(b" ", 2)[1]
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    return True


async def _slowly(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello":
        writer.write(bytes((byte,)))
        await asyncio.sleep(0.02)
    return True


async def _breaks_off(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\nhello")
    await writer.drain()
    return False


async def _resets(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    _reset_at_close(writer)
    return False


async def _half_closes(_head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.write_eof()
    await reader.read()
    return False


async def _large(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(_LARGE))
    for start in range(0, len(_LARGE), len(_PIECE)):
        writer.write(_LARGE[start : start + len(_PIECE)])
        await writer.drain()
    return True


async def _in_chunks(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(20):
        writer.write(b"5\r\nhello\r\n")
        await asyncio.sleep(0.005)
    writer.write(b"0\r\n\r\n")
    return True


async def _hangs(_head: bytes, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> bool:
    await reader.read()
    return False


async def _rubbish(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.write(random.randbytes(200))
    return False


async def _upgrades(_head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    return False


_BEHAVIOURS: dict[bytes, Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]] = {
    b"slow": _slowly,
    b"break": _breaks_off,
    b"reset": _resets,
    b"half": _half_closes,
    b"large": _large,
    b"chunks": _in_chunks,
    b"hang": _hangs,
    b"rubbish": _rubbish,
    b"upgrade": _upgrades,
}


def _reset_at_close(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# --- clients ----------------------------------------------------------------------------------------------------


def request(path: str, *lines: str, method: str = "GET") -> bytes:
    """A head."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", f"Host: {HOST}", *lines, "", "")).encode()


@dataclass
class Good:
    """The client that must not notice. ``failures``: what it got instead of its answer."""

    ports: Ports
    answers: int = 0
    failures: list[str] = field(default_factory=list)
    stopped: bool = False

    async def run(self) -> None:
        """Ask on one kept connection, in turn over TLS, and on a new one when the edge closed it in the proper way."""
        tls = False
        while not self.stopped:
            tls = not tls
            try:
                await self._ask_on(*await _open(self.ports, tls))
            except (OSError, asyncio.IncompleteReadError, TimeoutError, AssertionError) as error:
                self.failures.append(repr(error))

    async def _ask_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for _ in range(300):
                if self.stopped:
                    return
                path = f"/good/{self.answers}"
                writer.write(request(path))
                async with asyncio.timeout(10):
                    head = await reader.readuntil(b"\r\n\r\n")
                    assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
                    assert await reader.readexactly(len(path)) == path.encode()
                self.answers += 1
                if b"\r\nConnection: close" in head:
                    return
                await asyncio.sleep(0.002)
        finally:
            writer.close()


async def _open(ports: Ports, tls: bool = False) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if not tls:
        return await asyncio.open_connection("127.0.0.1", ports.http)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return await asyncio.open_connection("127.0.0.1", ports.https, ssl=context, server_hostname=HOST)


async def _drip(data: bytes, writer: asyncio.StreamWriter) -> None:
    for byte in data:
        writer.write(bytes((byte,)))
        await asyncio.sleep(0.01)


async def misbehave(ports: Ports) -> None:
    """One connection that is used badly, in a way chosen at random, in the clear or over TLS."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError, RuntimeError):
        reader, writer = await _open(ports, tls=random.random() < 0.3)
        try:
            async with asyncio.timeout(5):
                await random.choice(_MISUSES)(reader, writer)
        finally:
            writer.transport.abort()


async def _any_path(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(request(f"/x/{random.choice(list(_BEHAVIOURS)).decode()}"))
    await reader.read(random.choice((1, 100, 1 << 20)))


async def _slow_head(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _drip(request("/x")[: random.randrange(60)], writer)


async def _slow_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(request("/x", "Content-Length: 40", method="POST"))
    await _drip(b"x" * random.randrange(41), writer)
    await reader.read(10)


async def _aborts(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(request(f"/x/{random.choice(('hang', 'large', 'slow', 'chunks'))}"))
    await asyncio.sleep(random.random() / 20)
    if writer.get_extra_info("ssl_object") is None:
        _reset_at_close(writer)


async def _half_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(request(f"/x/{random.choice(('slow', 'chunks', 'large', 'hang', ''))}"))
    if writer.can_write_eof():
        writer.write_eof()
    await reader.read()


async def _reads_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(request("/x/large") * 3)
    await asyncio.sleep(0.3)


async def _sends_rubbish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = bytearray(request("/x", "Content-Length: 5", "X-Some: thing"))
    head[random.randrange(len(head))] = random.choice(b"\r\n\0 :,\xff")
    writer.write(bytes(head) if random.random() < 0.8 else random.randbytes(100))
    await reader.read()


async def _tunnels(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(request("/x/upgrade", "Connection: upgrade", "Upgrade: echo"))
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"hello")
    await reader.readexactly(5)


async def _pipelines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(request("/x") * random.randrange(2, 60))
    await reader.read(random.randrange(1, 5000))


async def _chunks_break(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(request("/x", "Transfer-Encoding: chunked", method="PUT") + b"5\r\nhello\r\n" * random.randrange(9))
    writer.write(random.choice((b"0\r\n\r\n", b"x\r\n", b"5\r\nhel")))
    await reader.read(100)


_MISUSES = (
    _any_path,
    _slow_head,
    _slow_body,
    _aborts,
    _half_close,
    _reads_nothing,
    _sends_rubbish,
    _tunnels,
    _pipelines,
    _chunks_break,
)
