"""Swaps under traffic, and connections that stop being HTTP."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from proto.policies import ProxyTimeouts, SourceRanges
from proto.resources import ResourceKey
from tests.support.edge import (
    NO_HTTPS,
    OK,
    Seen,
    ask,
    connection,
    edge,
    host,
    no_verification,
    origin,
    read_reply,
    request,
    route,
    settings,
    upstream,
)
from tests.support.waiting import eventually


async def echo(socket: ServerConnection) -> None:
    """Send back what comes."""
    async for message in socket:
        await socket.send(message)


@pytest.mark.parametrize("tls", [False, True])
async def test_websockets_survive_swaps_and_the_end_of_their_endpoint(tls: bool) -> None:
    async with serve(echo, "127.0.0.1", 0) as server, origin() as other:
        port = server.sockets[0].getsockname()[1]
        async with edge(host(), upstream(port)) as running:
            context: ssl.SSLContext | None = no_verification() if tls else None
            uri = f"{'wss' if tls else 'ws'}://t.example/chat"
            edge_port = running.https if tls else running.http
            async with connect(uri, host="127.0.0.1", port=edge_port, ssl=context) as socket:
                await socket.send("one")
                assert await socket.recv() == "one"
                running.change(upstream(other.port), host())
                assert (await ask(running.http)).status == 200
                for size in (1, 100_000, 900_000):
                    await socket.send(b"x" * size)
                    assert len(await socket.recv()) == size
            assert not other.seen[0].values("Upgrade")
            await eventually(lambda: running.statuses == {200: 1, 101: 1})


async def test_bytes_behind_an_upgrade_wait_for_the_101() -> None:
    agreed = asyncio.Event()

    async def answer(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert seen.value("Upgrade") == b"other"
        assert seen.value("Connection").lower() == b"upgrade"
        agreed.set()
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\nhello")
        while data := await reader.read(100):
            writer.write(data.upper())
        writer.close()

    async with origin(answer) as web, edge(host(), upstream(web.port)) as running:
        async with asyncio.timeout(10), connection(running.http) as (reader, writer):
            writer.write(request("GET", "/", "Connection: Upgrade", "Upgrade: other") + b"early")
            assert (await read_reply(reader)).status == 101
            assert await reader.readexactly(10) == b"helloEARLY"
            writer.write(b"more")
            assert await reader.readexactly(4) == b"MORE"
        await eventually(lambda: web.open == 0)


async def test_an_upgrade_that_is_declined_stays_http() -> None:
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        async with connection(running.http) as (reader, writer):
            for _ in range(2):
                writer.write(request("GET", "/", "Connection: Upgrade", "Upgrade: other"))
                assert (await read_reply(reader)).body == b"ok"
        assert web.connections == 1


async def test_h2c_is_never_asked_for() -> None:
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        lines = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
        assert (await ask(running.http, request("GET", "/", *lines))).status == 200
        assert not web.seen[0].values("Upgrade")
        assert not web.seen[0].values("HTTP2-Settings")


async def test_an_idle_tunnel_ends_after_the_read_timeout() -> None:
    async def answer(_seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n\r\n")
        await reader.read()

    async with (
        origin(answer) as web,
        edge(host(), upstream(web.port), settings(proxy_read_timeout=0.2)) as running,
        asyncio.timeout(10),
        connection(running.http) as (reader, writer),
    ):
        writer.write(request("GET", "/", "Connection: Upgrade", "Upgrade: other"))
        assert (await read_reply(reader)).status == 101
        assert await reader.read() == b""


@pytest.mark.parametrize("talker", ["client", "endpoint"])
async def test_bytes_either_way_keep_a_tunnel_and_the_time_is_the_routes_own(talker: str) -> None:
    async def answer(_seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n\r\n")
        for _ in range(8 if talker == "endpoint" else 0):
            await asyncio.sleep(0.1)
            writer.write(b"x")
        await reader.read()

    policies = (ProxyTimeouts(read=0.4),)
    async with (
        origin(answer) as web,
        edge(host("t.example", route(policies=policies)), upstream(web.port)) as running,
        asyncio.timeout(10),
        connection(running.http) as (reader, writer),
    ):
        writer.write(request("GET", "/", "Connection: Upgrade", "Upgrade: other"))
        assert (await read_reply(reader)).status == 101
        began = asyncio.get_running_loop().time()
        for _ in range(8 if talker == "client" else 0):
            await asyncio.sleep(0.1)
            writer.write(b"x")
        assert await reader.read() == (b"x" * 8 if talker == "endpoint" else b"")
        assert asyncio.get_running_loop().time() - began >= 0.9


async def test_a_removed_endpoint_finishes_what_it_has_and_gets_nothing_new() -> None:
    proceed = asyncio.Event()

    async def slow(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nold")
        await writer.drain()
        await proceed.wait()
        writer.write(b"old")

    async with origin(slow) as old, origin() as new, edge(host(), upstream(old.port)) as running:
        async with connection(running.http) as (reader, writer):
            writer.write(request())
            await eventually(lambda: old.open == 1)
            running.change(upstream(new.port))
            for _ in range(3):
                assert (await ask(running.http)).body == b"ok"
            proceed.set()
            assert (await read_reply(reader)).body == b"oldold"
            writer.write(request())
            assert (await read_reply(reader)).body == b"ok"
            await eventually(lambda: old.open == 0, what="the connection to the removed endpoint ends")
        assert (len(old.seen), len(new.seen)) == (1, 4)


async def test_kept_connections_follow_a_swap_at_once() -> None:
    async with (
        origin() as one,
        origin() as two,
        edge(host(), upstream(one.port)) as running,
        connection(running.http) as (reader, writer),
    ):
        for number in range(20):
            target = (one, two)[number % 2]
            running.change(upstream(target.port))
            before = len(target.seen)
            writer.write(request())
            assert (await read_reply(reader)).status == 200
            assert len(target.seen) == before + 1
        running.change(removals=[ResourceKey("virtualhost", "t.example")])
        writer.write(request())
        assert (await read_reply(reader)).status == 404


async def test_a_client_that_repeats_itself_is_answered_by_what_is_in_force() -> None:
    """Whole requests are compared with those before them; what they come to is not taken for longer than it holds."""
    async with (
        asyncio.timeout(20),
        origin() as web,
        origin() as other,
        edge(host("t.example", route(path="/a", policies=NO_HTTPS)), upstream(web.port)) as running,
        connection(running.http) as (reader, writer),
    ):

        async def statuses(times: int, data: bytes) -> list[int]:
            got = []
            for _ in range(times):
                writer.write(data)
                got.append((await read_reply(reader)).status)
            return got

        same, longer = request("GET", "/a?b", "X-Same: 1"), request("GET", "/a/longer", "X-Same: 1")
        assert set(await statuses(100, same)) == {200}
        assert len({seen.value("X-Request-ID") for seen in web.seen}) == 100
        assert {seen.line for seen in web.seen} == {b"GET /a?b HTTP/1.1"}
        posted = request("POST", "/a?b", "X-Same: 1", "Content-Length: 2") + b"hi"
        assert await statuses(1, longer + posted + request("GET", "/n?b", "X-Same: 1")) == [200]
        assert await statuses(2, same) == [200, 404]  # the answers to what came ahead of them
        assert [(await read_reply(reader)).status for _ in range(2)] == [200, 200]
        assert [seen.line[:9] for seen in web.seen[100:]] == [b"GET /a/lo", b"POST /a?b", b"GET /a?b ", b"GET /a?b "]
        assert web.seen[101].body == b"hi"
        assert set(await statuses(40, same)) == {200}
        running.change(upstream(other.port))
        assert set(await statuses(40, same)) == {200}
        assert len(other.seen) == 40
        running.change(host("t.example", route(path="/b", policies=NO_HTTPS)))
        assert set(await statuses(40, same)) == {404}
        running.change(host("t.example", route(path="/a", policies=[*NO_HTTPS, SourceRanges(("192.0.2.1/32",))])))
        assert set(await statuses(40, same)) == {403}
        running.change(host("t.example", route(path="/a", policies=NO_HTTPS)))
        assert set(await statuses(40, same)) == {200}
        assert len(other.seen) == 80


async def test_idle_connections_to_endpoints_that_stay_survive_a_swap() -> None:
    async with origin() as one, origin() as two, edge(host(), upstream(one.port)) as running:
        for records in ([upstream(one.port, two.port)], [upstream(one.port)], [host(), settings(keep_alive=5.0)]):
            assert (await ask(running.http)).status == 200
            running.change(*records)
        assert (await ask(running.http)).status == 200
        assert one.connections == 1


async def test_requests_are_spread_evenly() -> None:
    async with origin() as one, origin() as two, origin() as three:
        async with edge(host(), upstream(one.port, two.port, three.port)) as running:
            for _ in range(30):
                assert (await ask(running.http)).status == 200
        assert [len(each.seen) for each in (one, two, three)] == [10, 10, 10]


async def test_draining_finishes_what_is_under_way_and_ends_what_is_idle() -> None:
    proceed = asyncio.Event()

    async def slow(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await proceed.wait()
        writer.write(OK)

    async with (
        origin(slow) as web,
        edge(host(), upstream(web.port)) as running,
        connection(running.http) as busy,
        connection(running.http) as idle,
        asyncio.timeout(10),
    ):
        busy[1].write(request())
        await eventually(lambda: web.open == 1)
        draining = asyncio.ensure_future(running.listeners[0].drain(5))
        assert await idle[0].read() == b""
        proceed.set()
        reply = await read_reply(busy[0])
        assert (reply.status, reply.value("Connection")) == (200, b"close")
        assert await busy[0].read() == b""
        for _, writer in (busy, idle):
            writer.close()  # so that they need not be listened to any longer
        assert await draining
