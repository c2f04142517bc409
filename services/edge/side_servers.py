"""Connections to servers beside the endpoints, which are asked who may pass or get copies of requests.

HTTP/1.1, with or without TLS; a few are kept for the next time. Owns these connections. Must not know what is asked.
Certificates of these servers are not checked, as nginx does not.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

from services.edge.core.response_head import BadResponseError, ResponseHead, ResponseReader, read_whole

KEPT_AT_MOST: Final = 64
"""Idle connections of a worker."""
KEPT_FOR: Final = 15.0
"""Seconds that one is kept idle."""
_LOOK_EVERY: Final = 1.0
"""Seconds after which those that nobody takes are looked at."""
_BODY_AT_MOST: Final = 64 * 1024
"""Bytes of an answer that are read, though nobody wants them, to keep the connection."""
_INTERIM_AT_MOST: Final = 8


class Address(Struct, frozen=True):
    """Where a server listens."""

    tls: bool
    host: str
    port: int


class _Connection(Struct, eq=False):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    until: float = 0.0


class SideServers:
    """See the module."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._idle: list[tuple[Address, _Connection]] = []
        self._looked_at = 0.0
        self._context: ssl.SSLContext | None = None

    async def exchange(
        self,
        address: Address,
        question: bytes,
        bodiless: bool,
        connect_timeout: float,
        read_timeout: float,
        body: Callable[[], Iterable[bytes]] = tuple,
        again: bool = True,
    ) -> ResponseHead:
        """The head of the answer to ``question``, a whole head, and then ``body``. One that a kept connection does not
        answer any more is asked again on a new one, unless ``again`` forbids it. Raises OSError, TimeoutError,
        BadResponseError."""
        kept = self._take(address)
        if kept is not None:
            try:
                return await self._converse(address, kept, question, bodiless, read_timeout, body)
            except ConnectionError:
                if not again:
                    raise
        async with asyncio.timeout(connect_timeout):
            reader, writer = await asyncio.open_connection(
                address.host,
                address.port,
                ssl=self._tls() if address.tls else None,
                server_hostname=address.host if address.tls else None,
            )
        return await self._converse(address, _Connection(reader, writer), question, bodiless, read_timeout, body)

    def close(self) -> None:
        """End the idle connections."""
        for _, connection in self._idle:
            connection.writer.transport.abort()
        self._idle.clear()

    async def _converse(
        self,
        address: Address,
        connection: _Connection,
        question: bytes,
        bodiless: bool,
        timeout: float,
        body: Callable[[], Iterable[bytes]],
    ) -> ResponseHead:
        keep = False
        try:
            async with asyncio.timeout(timeout):
                connection.writer.write(question)
                if connection.writer.transport.get_write_buffer_size():
                    await connection.writer.drain()
                for piece in body():
                    connection.writer.write(piece)
                    await connection.writer.drain()
                head, rest = await _read_head(connection.reader)
                length = 0 if bodiless else head.length
                keep = head.persistent and not bodiless and len(rest) <= length <= _BODY_AT_MOST
                if keep and length > len(rest):
                    keep = await _skipped(connection.reader, length - len(rest))
            return head
        finally:
            if keep:
                self._keep(address, connection)
            else:
                connection.writer.transport.abort()

    def _take(self, address: Address) -> _Connection | None:
        now = self._loop.time()
        if now >= self._looked_at + _LOOK_EVERY:
            self._looked_at = now
            self._idle = [kept for kept in self._idle if _is_good(kept[1], now)]
        for at in range(len(self._idle) - 1, -1, -1):
            if self._idle[at][0] == address:
                connection = self._idle.pop(at)[1]
                if _is_good(connection, now):
                    return connection
        return None

    def _keep(self, address: Address, connection: _Connection) -> None:
        connection.until = self._loop.time() + KEPT_FOR
        self._idle.append((address, connection))
        if len(self._idle) > KEPT_AT_MOST:
            self._idle.pop(0)[1].writer.transport.abort()

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE
        return self._context


def _is_good(connection: _Connection, now: float) -> bool:
    """Whether it may be used again; one that may not is ended: what came unasked would answer the next question."""
    reader, writer = connection.reader, connection.writer
    unasked = getattr(reader, "_buffer", b"unknown")
    if now < connection.until and not unasked and not reader.at_eof() and not writer.is_closing():
        return True
    connection.writer.transport.abort()
    return False


async def _read_head(reader: asyncio.StreamReader) -> tuple[ResponseHead, bytes]:
    """(the head of the final response, what came after it)."""
    rest = await _read(reader)
    whole = read_whole(rest, True)
    if whole is not None and whole.status >= 200:
        return whole, rest[len(whole.block) :]
    heads = ResponseReader()
    for _ in range(_INTERIM_AT_MOST):
        found = heads.feed(rest) if rest else None
        while found is None:
            found = heads.feed(await _read(reader))
        head, rest = found
        if head.status >= 200:
            return head, rest
        heads = ResponseReader()
    raise BadResponseError("too many interim responses")


async def _read(reader: asyncio.StreamReader) -> bytes:
    data = await reader.read(16 * 1024)
    if not data:
        raise ConnectionResetError("the server hung up")
    return data


async def _skipped(reader: asyncio.StreamReader, length: int) -> bool:
    """Whether ``length`` bytes came."""
    try:
        await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return False
    return True
