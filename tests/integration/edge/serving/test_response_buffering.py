"""``proxy-buffering: on``: an endpoint is done with its response however slowly the client takes it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.edge import connection as connections
from services.edge import spool
from tests.support.edge import NO_HTTPS, Edge, Seen, edge, host, origin, request, route, settings, upstream
from tests.support.waiting import eventually

BUFFERED = settings(proxy_buffering=True)
SIZE = 12_000_000
"""More than the kernel takes on behalf of a slow client."""


def pattern(size: int) -> bytes:
    """So many bytes of which no two runs are alike."""
    return b"".join(number.to_bytes(4) for number in range(size // 4))


async def large(seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A large body, framed as the path says."""
    body = pattern(SIZE)
    if b"/small" in seen.line:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    elif b"/length" in seen.line:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        writer.write(body)
    else:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body))
        writer.write(body + b"\r\n0\r\n\r\n")
    await writer.drain()


@asynccontextmanager
async def slow_client(port: int, *targets: str) -> AsyncIterator[socket.socket]:
    """A connected client that has asked and takes nothing yet."""
    loop = asyncio.get_running_loop()
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.setblocking(False)
    await loop.sock_connect(made, ("127.0.0.1", port))
    await loop.sock_sendall(made, b"".join(request("GET", target) for target in targets))
    try:
        yield made
    finally:
        made.close()


async def take(client: socket.socket, until: bytes) -> bytes:
    """Everything up to ``until``, as fast as it comes."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    loop = asyncio.get_running_loop()
    received = bytearray()
    async with asyncio.timeout(30):
        while not received.endswith(until):
            data = await loop.sock_recv(client, 1 << 20)
            assert data, bytes(received[-100:])
            received += data
    return bytes(received)


def idle(running: Edge) -> bool:
    return running.serving.pools.counts() == {"idle": 1, "active": 0}


def unsent(running: Edge) -> int:
    """Bytes that the edge's transports hold for clients."""
    held = [each for listeners in running.listeners for listener in listeners.each for each in listener.connections]
    return sum(each.transport.get_write_buffer_size() for each in held)


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_an_endpoint_is_released_before_the_client_has_everything(framing: str) -> None:
    async with origin(large) as web, edge(host(), upstream(web.port), BUFFERED) as running:
        async with slow_client(running.http, f"/{framing}", "/small") as client:
            await eventually(lambda: idle(running), what="the endpoint is free")
            assert running.serving.spools.files == 1
            assert running.serving.spools.held == 0
            assert unsent(running) <= connections_hold()
            assert running.statuses == {}
            everything = await take(client, b"\r\n\r\nok")
            first, _, rest = everything.partition(b"\r\n\r\n")
            assert first.startswith(b"HTTP/1.1 200")
            body, _, second = rest.rpartition(b"HTTP/1.1 200")
            assert second.endswith(b"ok")
            if framing == "length":
                assert body == pattern(SIZE)
            else:
                assert unframed(body) == pattern(SIZE)
        await eventually(lambda: running.statuses == {200: 2})
        assert web.connections == 1
        assert (running.serving.spools.held, running.serving.spools.files) == (0, 0)


def connections_hold() -> int:
    """What one read and one piece may add to a transport's mark."""
    return 64 * 1024 + 256 * 1024 + spool.PIECE


def unframed(data: bytes) -> bytes:
    """The payload of chunks."""
    out = []
    at = 0
    while True:
        end = data.index(b"\r\n", at)
        size = int(data[at:end], 16)
        if not size:
            return b"".join(out)
        out.append(data[end + 2 : end + 2 + size])
        at = end + 2 + size + 2


async def test_without_it_the_endpoint_waits() -> None:
    async with origin(large) as web, edge(host(), upstream(web.port)) as running:
        async with slow_client(running.http, "/length") as client:
            await eventually(lambda: unsent(running) > 0)
            await asyncio.sleep(0.1)
            assert not idle(running)
            assert running.serving.spools.files == 0
            assert (await take(client, pattern(SIZE)[-1000:])).endswith(pattern(SIZE))
        await eventually(lambda: running.statuses == {200: 1})


@pytest.mark.parametrize("file", [0, 1_000_000])
async def test_no_more_waits_than_is_allowed(file: int) -> None:
    bounded = settings(proxy_buffering=True, proxy_max_temp_file_size=file)
    async with origin(large) as web, edge(host(), upstream(web.port), bounded) as running:
        async with slow_client(running.http, "/length") as client:
            spools = running.serving.spools
            await eventually(lambda: spools.files if file else spools.held)
            await asyncio.sleep(0.1)
            assert not idle(running)
            assert spools.files == (1 if file else 0)
            assert spools.held <= spool.ROOMY + 256 * 1024
            assert (await take(client, pattern(SIZE)[-1000:])).endswith(pattern(SIZE))
        await eventually(lambda: running.statuses == {200: 1})
        assert (spools.held, spools.files) == (0, 0)


async def test_a_client_that_never_takes_it_is_ended_and_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SEND_TIME", 0.5)
    async with origin(large) as web, edge(host(), upstream(web.port), BUFFERED) as running:
        async with slow_client(running.http, "/length"):
            await eventually(lambda: running.serving.spools.files == 1)
            await eventually(lambda: not running.listeners[0].connections, what="the client is ended")
        assert (running.serving.spools.held, running.serving.spools.files) == (0, 0)


async def test_a_response_that_breaks_off_never_looks_complete() -> None:
    waiting = asyncio.Event()

    async def broken(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE + bytes(SIZE - 1))
        await waiting.wait()
        writer.transport.abort()

    async with origin(broken) as web, edge(host(), upstream(web.port), BUFFERED) as running:
        async with slow_client(running.http, "/length") as client:
            await eventually(lambda: running.serving.spools.files == 1)
            waiting.set()
            received = 0
            try:
                while data := await asyncio.get_running_loop().sock_recv(client, 1 << 20):
                    received += len(data)
            except ConnectionError:
                pass
            assert received < SIZE
        assert (running.serving.spools.held, running.serving.spools.files) == (0, 0)


async def test_a_full_disk_cuts_the_slow_response_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "SPARED", 1 << 62)
    async with origin(large) as web, edge(host(), upstream(web.port), BUFFERED) as running:
        async with slow_client(running.http, "/length"):
            await eventually(lambda: not running.listeners[0].connections)
        async with slow_client(running.http, "/small") as client:
            assert (await take(client, b"\r\n\r\nok")).startswith(b"HTTP/1.1 200")


async def test_a_fast_client_costs_nothing() -> None:
    plain = host("t.example", route(policies=NO_HTTPS))
    async with (
        origin(large) as web,
        edge(plain, upstream(web.port), BUFFERED) as running,
        slow_client(running.http, "/small") as client,
    ):
        await take(client, b"\r\n\r\nok")
        (held,) = running.listeners[0].each[0].connections
        assert held._exchange.relief is None  # type: ignore[attr-defined]
