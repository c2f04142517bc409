"""A FastCGI responder that records what it is asked, written from the specification alone."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

BEGIN, END, PARAMS, STDIN, STDOUT, STDERR = 1, 3, 4, 5, 6, 7
DONE = bytes(8)


@dataclass
class Asked:
    """A request as a script sees it."""

    parameters: dict[str, str]
    body: bytes


def out(kind: int, content: bytes, *, padding: int = 0, number: int = 1) -> bytes:
    """A record."""
    return struct.pack(">BBHHBB", 1, kind, number, len(content), padding, 0) + content + bytes(padding)


def page(text: bytes) -> bytes:
    """What a script says, whole."""
    return out(STDOUT, text, padding=3) + out(STDOUT, b"") + out(END, DONE)


@dataclass
class Responder:
    """``answer``: what it sends, in pieces."""

    answer: Callable[[Asked], Sequence[bytes]]
    seen: list[Asked] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        parameters, body = b"", b""
        ended = False
        try:
            while not ended:
                version, kind, number, size, padding, _ = struct.unpack(">BBHHBB", await reader.readexactly(8))
                content = (await reader.readexactly(size + padding))[:size]
                assert (version, number) == (1, 1)
                if kind == BEGIN:
                    assert content == b"\0\1\0\0\0\0\0\0"
                elif kind == PARAMS:
                    parameters += content
                else:
                    assert kind == STDIN
                    body += content
                    ended = not size
            asked = Asked(decoded(parameters), body)
            self.seen.append(asked)
            for piece in self.answer(asked):
                writer.write(piece)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def decoded(data: bytes) -> dict[str, str]:
    """Name-value pairs."""
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        sizes = []
        for _ in range(2):
            size = data[at]
            at += 1
            if size > 127:
                size = (size & 127) << 24 | int.from_bytes(data[at : at + 3], "big")
                at += 3
            sizes.append(size)
        name = data[at : at + sizes[0]].decode("latin-1")
        at += sizes[0]
        assert name not in found, name
        found[name] = data[at : at + sizes[1]].decode("latin-1")
        at += sizes[1]
    return found


@asynccontextmanager
async def responder(answer: Callable[[Asked], Sequence[bytes]]) -> AsyncIterator[Responder]:
    """A running one on 127.0.0.1."""
    made = Responder(answer)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made
