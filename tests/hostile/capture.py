"""An endpoint that keeps every byte it gets, and answers each request once it is whole."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

from tests.hostile.readings import MalformedError, Message, read_one

BYSTANDER = b"/bystander/"


@dataclass
class Capture:
    """What came on each connection. ``scripts``: bytes to answer a target with, and whether to close then."""

    connections: list[Connection] = field(default_factory=list)
    scripts: dict[bytes, tuple[list[bytes], bool]] = field(default_factory=dict)

    def protocol(self) -> Connection:
        """For a new connection."""
        return Connection(self)

    def settled(self) -> bool:
        """Whether no connection is in the middle of a request."""
        return all(connection.closed or connection.at == len(connection.raw) for connection in self.connections)

    def begin(self) -> None:
        """Forget what came so far."""
        self.connections = [connection for connection in self.connections if not connection.closed]
        for connection in self.connections:
            del connection.raw[: connection.at]
            connection.at = 0

    def raw(self) -> list[bytes]:
        """What came since ``begin``, connection by connection, as far as anything came."""
        return [bytes(connection.raw) for connection in self.connections if connection.raw]


def answer_to(message: Message) -> bytes:
    """The body of the answer to a request: only its sender expects that."""
    return b"%b %b %d" % (message.start[0], message.start[1], len(message.body))


class Connection(asyncio.Protocol):
    """See Capture. ``at``: where the next request begins in ``raw``."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self.raw = bytearray()
        self.at = 0
        self.closed = False
        self.transport = cast(asyncio.Transport, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._capture.connections.append(self)

    def data_received(self, data: bytes) -> None:
        self.raw += data
        try:
            while self.at < len(self.raw) and (read := read_one(bytes(self.raw), self.at)):
                message, self.at = read
                self._answer(message)
        except MalformedError:
            self.transport.abort()  # what came is kept, and judged

    def connection_lost(self, _error: Exception | None) -> None:
        self.closed = True

    def _answer(self, message: Message) -> None:
        scripted = self._capture.scripts.get(message.start[1])
        if scripted is None:
            body = answer_to(message)
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
            self.transport.write(head if message.start[0] == b"HEAD" else head + body)
            return
        pieces, closes = scripted
        self.transport.writelines(pieces)
        if closes:
            self.transport.close()
