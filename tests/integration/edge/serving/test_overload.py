"""Too much of anything is answered early, costs nobody else, and is over when it is over."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from services.edge import overload
from services.edge.limits import Limits
from services.edge.options import LimitOptions
from services.edge.overload import memory_share
from tests.support.edge import (
    Edge,
    Seen,
    ask,
    connection,
    edge,
    host,
    origin,
    read_reply,
    request,
    settings,
    upstream,
)
from tests.support.waiting import eventually


def limited(running: Edge, **options: int) -> None:
    """The worker has these limits from now on."""
    serving = running.serving
    serving.limits = Limits(serving.traffic.counters, LimitOptions(**options))
    serving.limits.clients = serving.overload.clients


async def kept(stack: AsyncExitStack, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that stays after its first request."""
    reader, writer = await stack.enter_async_context(connection(port))
    writer.write(request())
    assert (await read_reply(reader)).status == 200
    return reader, writer


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the connection ends."""
    try:
        async with asyncio.timeout(5):
            return await reader.read(1) == b""
    except ConnectionError:
        return True


async def test_who_comes_when_all_connections_are_busy_is_told_so_at_once() -> None:
    hold = asyncio.Event()

    async def slow(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hold.wait()
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with (
        origin(slow) as web,
        edge(host(), upstream(web.port), settings(max_worker_connections=3)) as running,
        AsyncExitStack() as stack,
    ):
        busy = [await stack.enter_async_context(connection(running.http)) for _ in range(3)]
        for _, writer in busy:
            writer.write(request())
        await eventually(lambda: len(web.seen) == 3)
        reply = await ask(running.http)
        assert reply.status == 503
        assert reply.value("Connection") == b"close"
        with pytest.raises((ConnectionError, OSError)):  # nothing can be said before the handshake
            await ask(running.https, tls="t.example")
        hold.set()
        assert [(await read_reply(reader)).status for reader, _ in busy] == [204] * 3
        assert running.serving.traffic.counters["overload-connections"] >= 2


async def test_idle_connections_make_room_the_longest_idle_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overload, "SHED_EVERY", 0.0)
    async with (
        origin() as web,
        edge(host(), upstream(web.port), settings(max_worker_connections=20)) as running,
        AsyncExitStack() as stack,
    ):
        connections = [await kept(stack, running.http) for _ in range(12)]
        running.serving.limits.connections_at_most = 12
        reader, writer = connections[0]
        writer.write(request())  # the first is the one that was used last
        assert (await read_reply(reader)).status == 200
        assert (await ask(running.http)).status == 503
        assert await ended(connections[1][0])
        await eventually(lambda: running.serving.limits.clients() < 12)
        assert (await ask(running.http)).status == 200
        writer.write(request())
        assert (await read_reply(reader)).status == 200


async def test_idle_connections_end_before_none_is_left() -> None:
    async with (
        origin() as web,
        edge(host(), upstream(web.port), settings(max_worker_connections=16)) as running,
        AsyncExitStack() as stack,
    ):
        connections = [await kept(stack, running.http) for _ in range(15)]
        assert await ended(connections[0][0])
        assert running.serving.traffic.counters["overload-shed"] >= 1
        assert (await ask(running.http)).status == 200


async def test_a_source_has_so_many_connections_and_no_more_until_one_ends() -> None:
    async with (
        origin() as web,
        edge(host(), upstream(web.port)) as running,
        AsyncExitStack() as stack,
    ):
        limited(running, per_source=2)
        _, first = await kept(stack, running.http)
        second = await kept(stack, running.http)
        assert (await ask(running.http)).status == 503
        with pytest.raises((ConnectionError, OSError)):
            await ask(running.https, tls="t.example")
        first.close()
        await eventually(lambda: running.serving.limits.clients() == 1)
        assert (await ask(running.https, tls="t.example")).status == 200
        reader, writer = second
        writer.write(request())
        assert (await read_reply(reader)).status == 200
        running.serving.limits.forget_closed()
        assert running.serving.traffic.counters["overload-source"] == 2


async def test_behind_a_balancer_the_client_is_the_source() -> None:
    async with (
        origin() as web,
        edge(host(), upstream(web.port), settings(use_proxy_protocol=True)) as running,
        AsyncExitStack() as stack,
    ):
        limited(running, per_source=1)
        header = b"PROXY TCP4 203.0.113.%d 192.0.2.2 50000 80\r\n"
        for number in (1, 2):
            reader, writer = await stack.enter_async_context(connection(running.http))
            writer.write(header % number + request())
            assert (await read_reply(reader)).status == 200
        assert (await ask(running.http, header % 1 + request())).status == 503


async def test_endpoints_are_not_connected_to_without_end() -> None:
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        limited(running, pending_connects=1)
        assert running.serving.limits.connect(), "one is under way"
        assert (await ask(running.http)).status == 503
        running.serving.limits.connected()
        assert (await ask(running.http)).status == 200
        assert running.serving.traffic.counters["overload-pending-connects"] == 1


@pytest.mark.parametrize("tls", [None, "t.example"])
async def test_a_worker_that_refuses_answers_503_and_serves_again_what_came_meanwhile(tls: str | None) -> None:
    async with (
        origin() as web,
        origin(b"HTTP/1.1 204 No\r\n\r\n") as other,
        edge(host(), upstream(web.port)) as running,
    ):
        port = running.https if tls else running.http
        async with connection(port, tls=tls) as (reader, writer):
            writer.write(request())
            assert (await read_reply(reader)).status == 200
            running.serving.refuse(True)
            writer.write(request())
            assert (await read_reply(reader)).status == 503
        generation = running.serving.newest
        assert generation is not None
        running.serving.swap(generation.next([upstream(other.port)], (), 1, 2, bytes(32)))
        assert (await ask(port, tls=tls)).status == 503
        running.serving.refuse(False)
        assert (await ask(port, tls=tls)).status == 204


async def test_a_memory_limit_that_is_nearly_reached_refuses_until_there_is_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def used(current: int) -> None:
        (tmp_path / "memory.max").write_text("1000\n")
        (tmp_path / "memory.current").write_text(f"{current + 200}\n")
        (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 200\nfile 300\n")

    used(100)
    monkeypatch.setattr(overload, "CGROUP", tmp_path)
    monkeypatch.setattr(overload, "EVERY", 0.01)
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        assert (await ask(running.http)).status == 200
        used(920)
        await eventually(lambda: running.serving.overload.turns_away)
        assert (await ask(running.http)).status == 503
        used(960)
        await eventually(lambda: running.serving.generation is None)
        used(100)
        await eventually(lambda: running.serving.generation is not None)
        assert (await ask(running.http)).status == 200


def test_without_a_limit_no_memory_is_too_much(tmp_path: Path) -> None:
    assert memory_share(tmp_path) == 0.0
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_share(tmp_path) == 0.0
    (tmp_path / "memory.max").write_text("0\n")
    (tmp_path / "memory.current").write_text("5\n")
    (tmp_path / "memory.stat").write_text("")
    assert memory_share(tmp_path) == 0.0
