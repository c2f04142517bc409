"""What connections that wait for nothing but the next request cost."""

from __future__ import annotations

import asyncio
import gc
from contextlib import AsyncExitStack
from time import monotonic

import pytest

from services.edge.clients import Kept
from services.edge.core import generation
from services.edge.core.generation import Generation
from tests.support.edge import (
    HOST,
    NO_HTTPS,
    Edge,
    Seen,
    connection,
    edge,
    host,
    origin,
    read_reply,
    request,
    route,
    settings,
    upstream,
)
from tests.support.edge_process import edge_process
from tests.support.http2 import http2
from tests.support.waiting import eventually

CLIENTS = 100
ANSWER = 240_000
EACH = 128 * 1024
"""Bytes that a connection may keep after a response of ANSWER: OpenSSL's, ours, and the allocator's."""


async def test_a_large_response_over_tls_leaves_no_buffer_of_its_size() -> None:
    with edge_process(ANSWER) as running:
        async with AsyncExitStack() as stack, asyncio.timeout(60):
            for _ in range(3):  # what the first ones need is not each connection's
                reader, writer = await stack.enter_async_context(connection(running.https, tls=HOST))
                writer.write(request())
                assert len((await read_reply(reader)).body) == ANSWER
            before = running.memory
            for _ in range(CLIENTS):
                reader, writer = await stack.enter_async_context(connection(running.https, tls=HOST))
                writer.write(request())
                assert len((await read_reply(reader)).body) == ANSWER
            each = (running.memory - before) // CLIENTS
            assert each < EACH, f"{each >> 10} KiB"


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle connections rest at the first look."""
    monkeypatch.setattr(generation, "RESTS_AFTER", 0.0)


def generations() -> int:
    """How many there are."""
    gc.collect()
    return sum(isinstance(each, Generation) for each in gc.get_objects())


def kept(running: Edge, listener: int) -> list[Kept]:
    """The connections of clients."""
    return list(running.listeners[listener].each[0].connections)


async def test_idle_connections_hold_no_generation_that_is_over(soon: None) -> None:
    """They stay, and serve the next request under the present one, for as long as keep-alive says."""
    async with (
        origin() as web,
        edge(host(), settings(keep_alive=30), upstream(web.port)) as running,
        AsyncExitStack() as stack,
    ):
        before = generations()
        made = []
        for number in range(6):
            reader, writer = await stack.enter_async_context(connection(running.http))
            writer.write(request())
            assert (await read_reply(reader)).status == 200
            made.append((reader, writer))
            running.change(settings(keep_alive=30, hsts_max_age=number))
        await eventually(lambda: generations() <= before, every=0.1)
        now = monotonic()
        assert all(20 < each.lasts_until - now <= 30 for each in kept(running, 0))
        for reader, writer in made:
            writer.write(request())
            assert (await read_reply(reader)).status == 200
        assert len(kept(running, 0)) == 6
        assert web.connections == 1


async def test_tunnels_hold_no_generation_that_is_over() -> None:
    async def answer(_seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        while data := await reader.read(100):
            writer.write(data)

    async with origin(answer) as web, edge(host(), upstream(web.port)) as running, AsyncExitStack() as stack:
        before = generations()
        for number in range(5):
            reader, writer = await stack.enter_async_context(connection(running.http))
            writer.write(request("GET", "/", "Connection: upgrade", "Upgrade: echo"))
            assert (await read_reply(reader)).status == 101
            running.change(settings(hsts_max_age=number))
        assert generations() <= before
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"


async def test_idle_connections_of_http2_hold_no_generation_that_is_over(soon: None) -> None:
    tls = (host(HOST, route(policies=NO_HTTPS)), settings(keep_alive=30))
    async with origin() as web, edge(*tls, upstream(web.port)) as running, AsyncExitStack() as stack:
        before = generations()
        clients = []
        for number in range(4):
            client = await stack.enter_async_context(http2(running.https))
            for _ in range(2):
                assert (await client.ask()).status == 200
            clients.append(client)
            running.change(settings(keep_alive=30, hsts_max_age=number))
        await eventually(lambda: generations() <= before + 1, every=0.1)  # a listener knows the last one
        now = monotonic()
        assert all(20 < each.lasts_until - now <= 30 for each in kept(running, 1))
        for client in clients:
            assert (await client.ask()).status == 200
            assert not client.closed


async def test_who_has_been_idle_for_longest_goes_first_though_it_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "RESTS_AFTER", 0.3)
    async with (
        origin() as web,
        edge(host(), settings(keep_alive=30), upstream(web.port)) as running,
        AsyncExitStack() as stack,
    ):
        reader, writer = await stack.enter_async_context(connection(running.http))
        writer.write(request())
        assert (await read_reply(reader)).status == 200
        (first,) = kept(running, 0)
        before = first.deadline
        await eventually(lambda: first.deadline > before, what="it rests")
        late, writer = await stack.enter_async_context(connection(running.http))
        writer.write(request())
        assert (await read_reply(late)).status == 200
        running.serving.limits.connections_at_most = 16
        running.serving.overload.shed()
        assert await reader.read() == b""
        writer.write(request())
        assert (await read_reply(late)).status == 200
