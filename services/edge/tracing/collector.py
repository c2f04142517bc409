"""A call of a collector: one gRPC request over a cleartext HTTP/2 connection of its own, one answer.

Owns the connection and what of gRPC such a call needs (its five bytes of framing, its trailers). Must not know what the
message says. The frames are those of the edge's own engine.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final, cast
from urllib.parse import unquote

from msgspec import Struct

from services.edge.core.http2 import ENDPOINT_LIMITS, ClientConnection, MisuseError, encode_request
from services.edge.core.http2.events import (
    ConnectionFailed,
    DataReceived,
    Event,
    Fields,
    GoAwayReceived,
    ResponseReceived,
    StreamReset,
    TrailersReceived,
)

METHOD: Final = b"/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_ANSWER_AT_MOST: Final = 64 * 1024
_PREFIX: Final = 5
_AGAIN_BY_GRPC: Final = frozenset((1, 4, 8, 10, 11, 14, 15))
"""Cancelled, deadline, exhausted, aborted, out of range, unavailable, data loss (OTLP specification)."""
_AGAIN_BY_HTTP: Final = frozenset((429, 502, 503, 504))


class CallError(Exception):
    """A call came to nothing. ``again``: it may be tried again."""

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.again = again


class Address(Struct, frozen=True):
    """Where a collector listens."""

    host: str
    port: int

    @property
    def authority(self) -> bytes:
        """As it stands in a request."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}".encode()


class Collector:
    """See the module. One call at a time; the connection is made when there is none, and kept for the next."""

    def __init__(self, loop: asyncio.AbstractEventLoop, address: Address) -> None:
        self._loop = loop
        self.address = address
        self._connection: _Connection | None = None

    async def call(self, message: bytes, within: float) -> bytes:
        """The answer to ``message``. Raises CallError, also after ``within`` seconds."""
        try:
            async with asyncio.timeout(within):
                connection = self._connection
                if connection is None or connection.over:
                    self.close()
                    connection = self._connection = _Connection(self._loop)
                    await self._loop.create_connection(lambda: connection, self.address.host, self.address.port)
                return await connection.call(self.address.authority, message)
        except TimeoutError:
            self.close()
            raise CallError(f"no answer within {within:g} s", again=True) from None
        except (OSError, UnicodeError, MisuseError) as error:  # the last: it lets nobody open a stream
            self.close()
            raise CallError(f"{error}", again=True) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.end()


class _Connection(asyncio.Protocol):
    """The connection. ``over``: no further call can be made on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = ClientConnection(ENDPOINT_LIMITS)
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] = loop.create_future()
        self._loop = loop
        self._data = b""
        self._status = 0
        self.over = False

    async def call(self, authority: bytes, message: bytes) -> bytes:
        """The answer to ``message``. Raises CallError."""
        self._answer = self._loop.create_future()
        self._data, self._status = b"", 0
        fields = ((b"te", b"trailers"), (b"content-type", b"application/grpc"), (b"user-agent", b"limen"))
        head = encode_request(b"POST", b"http", authority, METHOD, fields)
        self._engine.request(head, b"\0" + len(message).to_bytes(4, "big") + message, ended=True)
        self._flush()
        return await self._answer

    def end(self) -> None:
        """End at once."""
        self.over = True
        if self._transport is not None:
            self._transport.abort()

    # --- from the event loop ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self._transport = cast(asyncio.Transport, transport)
        if self.over:
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Frames."""
        for event in self._engine.receive(data, monotonic()):
            self._take(event)
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        """It is gone."""
        self.over = True
        self._fail(f"the connection ended{f': {error}' if error else ''}", again=True)

    # --- events -------------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        match event:
            case ResponseReceived(_, head, ended):
                self._status = head.status
                if ended or head.status != 200:
                    self._conclude(head.fields)
            case DataReceived(stream_id, data, length, ended):
                self._engine.took(stream_id, length)
                self._data += data
                if len(self._data) > _ANSWER_AT_MOST:
                    self.end()
                    self._fail("an answer without end", again=False)
                elif ended:
                    self._conclude(())
            case TrailersReceived(_, fields):
                self._conclude(fields)
            case StreamReset(_, code, _, reason):
                self._fail(f"the call was reset (code {code}{f', {reason}' if reason else ''})", again=True)
            case GoAwayReceived():
                self.over = True
            case ConnectionFailed(_, reason):
                self.over = True
                self._fail(f"what came is not HTTP/2: {reason}", again=True)

    def _conclude(self, fields: Fields) -> None:
        told = dict(fields)
        status = told.get(b"grpc-status", b"")
        if status == b"0" and len(self._data) >= _PREFIX and not self._data[0]:
            if not self._answer.done():
                self._answer.set_result(self._data[_PREFIX:])
        elif status.isdigit() and status != b"0":
            message = unquote(told.get(b"grpc-message", b"").decode("latin-1"))[:200]
            self._fail(f"gRPC status {int(status)} {message}".rstrip(), again=int(status) in _AGAIN_BY_GRPC)
        else:
            self._fail(f"HTTP status {self._status} and no answer of gRPC", again=self._status in _AGAIN_BY_HTTP)

    def _fail(self, reason: str, *, again: bool) -> None:
        if not self._answer.done():
            self._answer.set_exception(CallError(reason, again=again))
            self._answer.exception()  # nobody may be waiting

    def _flush(self) -> None:
        data = self._engine.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
        if self._engine.closed:
            self.end()
