"""Connections that ended, however they ended, are gone at once: nothing of them waits for the garbage collector.

What waits for it holds OpenSSL's memory and all bytes that nobody took; of what has lived for long it looks only now
and then.
"""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import pytest

from services.edge.client import ClientConnection
from services.edge.exchange import Exchange
from services.edge.http2.connection import Http2Connection
from services.edge.http2.stream import Stream
from services.edge.policing import Policing
from services.edge.tls import TLSConnection
from services.edge.upstream import UpstreamConnection
from tests.support.edge import (
    HOST,
    NO_HTTPS,
    Edge,
    Seen,
    connection,
    edge,
    host,
    origin,
    read_body,
    read_reply,
    request,
    route,
    settings,
    upstream,
)
from tests.support.http2 import http2
from tests.support.waiting import eventually

KINDS = (ClientConnection, Exchange, Http2Connection, Stream, TLSConnection, UpstreamConnection, Policing)
LARGE = 3_000_000


async def answer(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What the path says."""
    if b"/large" in seen.line:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (LARGE, bytes(LARGE)))
    elif b"/break" in seen.line:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nless")
        writer.close()
    elif b"/tunnel" in seen.line:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        writer.write(await reader.read(100))
    elif b"/hang" not in seen.line:
        await read_body(seen, reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@pytest.fixture
def no_collector() -> Iterator[None]:
    """The garbage collector does nothing meanwhile."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive() -> Counter[str]:
    """How many of each kind there are."""
    return Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, KINDS))


async def asks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(request() * 3)
    for _ in range(3):
        assert (await read_reply(reader)).status == 200


async def leaves_amid_a_large_response(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(request("GET", "/large"))
    await reader.readexactly(1000)
    writer.transport.abort()


async def leaves_amid_an_upload(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(request("POST", "/", "Content-Length: 100000") + bytes(50_000))
    await writer.drain()
    writer.transport.abort()


async def leaves_while_the_endpoint_thinks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(request("GET", "/hang"))
    await writer.drain()
    writer.transport.abort()


async def gets_less_than_was_said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(request("GET", "/break"))
    await reader.read()


async def talks_rubbish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
    await reader.read()


async def says_half_a_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(request()[:20])
    await writer.drain()
    writer.close()


async def tunnels(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(request("GET", "/tunnel", "Connection: upgrade", "Upgrade: echo") + b"hello")
    assert (await read_reply(reader)).status == 101
    assert await reader.readexactly(5) == b"hello"


Doing = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
DOINGS: tuple[Doing, ...] = (
    asks,
    leaves_amid_a_large_response,
    leaves_amid_an_upload,
    leaves_while_the_endpoint_thinks,
    gets_less_than_was_said,
    talks_rubbish,
    says_half_a_head,
    tunnels,
)


def drop_idle(running: Edge) -> None:
    """End what is kept to endpoints."""
    for idle in list(running.serving.pools.resting):
        idle.drop()


async def nothing_stays(running: Edge) -> None:
    """Of clients at once; of connections to endpoints when those are idle no more."""

    def gone() -> bool:
        drop_idle(running)  # one that was asked for on behalf of who has left may come yet
        left = alive()
        assert not left, left
        return True

    await eventually(gone)


@pytest.mark.usefixtures("soon_missed")
@pytest.mark.parametrize("tls", [None, HOST], ids=["plain", "tls"])
@pytest.mark.parametrize("doing", DOINGS, ids=lambda doing: doing.__name__)
async def test_of_a_connection_nothing_stays(no_collector: None, doing: Doing, tls: str | None) -> None:
    async with (
        origin(answer) as web,
        edge(host(HOST, route(policies=NO_HTTPS)), settings(), upstream(web.port)) as running,
        asyncio.timeout(20),
    ):
        before = alive()
        for _ in range(3):
            async with connection(running.https if tls else running.http, tls=tls) as (reader, writer):
                await doing(reader, writer)
        assert not before
        await nothing_stays(running)


async def test_of_a_connection_of_http2_nothing_stays(no_collector: None) -> None:
    async with (
        origin(answer) as web,
        edge(host(HOST, route(policies=NO_HTTPS)), settings(), upstream(web.port)) as running,
        asyncio.timeout(20),
    ):
        async with http2(running.https) as client:
            assert (await client.ask("POST", "/", body=b"body")).status == 200
            for path in ("/hang", "/large", "/break"):
                client.request("GET", path)
            streams = [client.request() for _ in range(60)]
            for stream in streams:
                assert (await client.response(stream)).status == 200
        await nothing_stays(running)
