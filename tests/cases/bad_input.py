"""Bad and odd requests as data: the bytes of each case, how they are sent, and what is said about the outcome."""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import msgspec
import yaml
from msgspec import Struct

from tests.support.edge import no_verification

FILE = Path(__file__).parent / "http1_bad_input.yaml"
MORE = Path(__file__).parent / "http1_more_input.yaml"
"""Cases of our own, in the same form."""
Mode = Literal["whole", "bytes", "tls"]


class Case(Struct, frozen=True):
    """One case, named as the file names things. ``accept``: outcomes that pass."""

    id: str
    title: str
    accept: list[str]
    upstream_requests_max: int
    raw: str = ""
    raw_parts: dict[str, Any] = {}
    routes: list[dict[str, str]] = []
    status: tuple[int, ...] = (400,)
    upstream: dict[str, Any] = {}
    must_not: list[str] = []
    config: dict[str, Any] = {}

    @property
    def data(self) -> bytes:
        """Every byte that the client sends."""
        text = self.raw
        for kind, part in self.raw_parts.items():
            match kind:
                case "send" | "then_send":
                    text += part
                case "repeat":
                    text += part[0] * part[1]
                case "repeat_indexed":
                    text += "".join(part[0].replace("{i}", str(number)) for number in range(part[1]))
                case "then":
                    assert part in ("keep open", "do not read"), part
                case _:
                    raise AssertionError(f"nobody knows how to send {kind}")
        return text.encode("latin-1")

    @property
    def reads(self) -> bool:
        """Whether the client takes the answer."""
        return self.raw_parts.get("then") != "do not read"


class Response(Struct, frozen=True):
    """What an endpoint sends, and in words what the client has to get."""

    id: str
    title: str
    origin_sends: str
    expect: str


class _File(Struct, frozen=True):
    cases: tuple[Case, ...]
    responses: tuple[Response, ...] = ()


@functools.cache
def load(file: Path = FILE) -> _File:
    """A file of cases."""
    return msgspec.convert(yaml.load(file.read_text(), yaml.CSafeLoader), _File)


@dataclass
class Reply:
    """One response as the client got it."""

    status: int
    head: bytes
    body: bytes


class Client(asyncio.Protocol):
    """A connection that sends what it is told and keeps what comes. ``ended``: the edge sends no more.

    ``replies``: the whole final responses so far; behind a 101 there is none any more.
    """

    def __init__(self) -> None:
        self.received = b""
        self.replies: list[Reply] = []
        self._rest = b""
        self.ended = False
        self.transport = cast(asyncio.Transport, None)
        self._changed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._rest += data
        self._changed.set()
        while not self.tunnelled and (read := _read(self._rest)):
            reply, self._rest = read
            if reply.status >= 200 or reply.status == 101:
                self.replies.append(reply)

    @property
    def tunnelled(self) -> bool:
        """Whether the edge agreed to change protocols."""
        return bool(self.replies) and self.replies[-1].status == 101

    def eof_received(self) -> bool:
        self.ended = True
        self._changed.set()
        return True

    def connection_lost(self, _error: Exception | None) -> None:
        self.ended = True
        self._changed.set()

    async def send(self, data: bytes, mode: Mode) -> None:
        """All at once, or every byte by itself, until the edge has ended the connection."""
        if mode != "bytes":
            self.transport.write(data)
            return
        for number in range(len(data)):
            if self.ended:
                return
            self.transport.write(data[number : number + 1])
            await asyncio.sleep(0)  # the edge takes the byte
            await asyncio.sleep(0)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the edge has ended the connection, or ``condition`` holds."""
        async with asyncio.timeout(10):
            while not self.ended and not condition():
                self._changed.clear()
                await self._changed.wait()


def _read(data: bytes) -> tuple[Reply, bytes] | None:
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return None
    status = int(head[9:12])
    length = re.search(rb"\r\nContent-Length: (\d+)", head, re.IGNORECASE)
    size = int(length[1]) if length else 0
    assert length or status < 200 or status == 204, head
    return (Reply(status, head, rest[:size]), rest[size:]) if len(rest) >= size else None


async def connect(port: int, mode: Mode, host: str) -> Client:
    """A connection to the edge."""
    context: ssl.SSLContext | None = no_verification() if mode == "tls" else None
    loop = asyncio.get_running_loop()
    name = host if mode == "tls" else None
    return (await loop.create_connection(Client, "127.0.0.1", port, ssl=context, server_hostname=name))[1]
