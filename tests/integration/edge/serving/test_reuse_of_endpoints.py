"""Connections to endpoints: which may be used again, and what must not be left behind on one."""

from __future__ import annotations

import asyncio
import socket

import pytest

from proto.codec import record_of
from proto.resources import Endpoint, Upstream
from services.edge import attempts
from services.edge.connecting import connect
from services.edge.pools import EndpointPool
from services.edge.serving import Serving
from services.edge.upstream import UpstreamConnection
from tests.integration.edge.serving.test_misbehaving_endpoints import refusing_port
from tests.support.edge import (
    OK,
    STREAMED,
    Seen,
    ask,
    bound,
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
from tests.support.waiting import eventually


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_client_that_stops_taking_at_the_last_bytes_leaves_nothing_on_the_connection(framing: str) -> None:
    """Reading from the endpoint is stopped for the response's last bytes; the next request must not inherit that."""
    size = 12_000_000

    async def answer(seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if seen.line != b"GET /large HTTP/1.1":
            writer.write(OK)
            return
        if framing == "length":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (size, bytes(size)))

    async with origin(answer) as web, edge(host(), upstream(web.port), settings(proxy_read_timeout=2.0)) as running:
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(slow, ("127.0.0.1", running.http))
        await loop.sock_sendall(slow, request("GET", "/large"))

        async def finished() -> None:
            """Take bytes one by one until the endpoint's part is over and the client still has some to take."""
            while running.serving.pools.idle == 0:
                await loop.sock_recv(slow, 65536)
                await asyncio.sleep(0)

        async with asyncio.timeout(20):
            await finished()
        (kept,) = (pool.idle[0] for pool in running.serving.pools._pools.values())
        assert kept.deadline != float("inf")
        reply = await asyncio.wait_for(ask(running.http, request("POST", "/", body=b"x")), 5)
        assert (reply.status, web.connections) == (200, 1)
        slow.close()


async def test_a_chunked_response_in_pieces_decides_by_its_own_head_whether_the_connection_stays() -> None:
    closing = b""

    async def answer(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + closing + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(b"3\r\nllo\r\n0\r\n\r\n")

    async with origin(answer) as web, edge(host(), upstream(web.port)) as running:
        for _ in range(3):
            assert (await ask(running.http)).body == b"hello"
        assert web.connections == 1
        closing = b"Connection: close\r\n"
        assert (await ask(running.http)).body == b"hello"
        assert running.serving.pools.counts()["idle"] == 0


async def test_a_retry_on_a_kept_connection_takes_the_rest_of_the_body() -> None:
    """While the first endpoint was tried the client was not read; whichever way the next is reached, it is again."""
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        assert (await ask(running.http)).status == 200
        running.change(upstream(web.port, refusing_port()))
        for number in range(4):
            async with asyncio.timeout(5), connection(running.http) as (reader, writer):
                writer.write(request("POST", f"/{number}", "Content-Length: 8") + b"half")
                await asyncio.sleep(0.05)
                writer.write(b"rest")
                assert (await read_reply(reader)).status == 200
        assert {seen.body for seen in web.seen[1:]} == {b"halfrest"}


async def test_a_connection_that_ends_before_it_is_used_is_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing more is ever heard of it: whoever waited on it would wait for ever."""

    async def open_and_lose(serving: Serving, made: UpstreamConnection, pool: EndpointPool, timeout: float) -> None:
        await connect(serving, made, pool, timeout)
        made.transport.abort()
        await asyncio.sleep(0.01)

    monkeypatch.setattr(attempts, "connect", open_and_lose)
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        reply = await asyncio.wait_for(ask(running.http, request("POST", "/", body=b"x")), 5)
        assert reply.status == 502
        async with connection(running.http) as (_reader, writer):
            writer.write(request())
            await eventually(lambda: running.listeners[0].connections)
            writer.transport.abort()
        await eventually(lambda: not running.listeners[0].connections)
        assert running.serving.pools.counts() == {"idle": 0, "active": 0}


@pytest.mark.parametrize("reset", [False, True])
async def test_an_endpoint_that_takes_connections_only_to_close_them_is_502(reset: bool) -> None:
    listening = bound()
    listening.listen(64)
    loop = asyncio.get_running_loop()

    async def close_each() -> None:
        while True:
            taken, _ = await loop.sock_accept(listening)
            if reset:
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            taken.close()

    closing = asyncio.ensure_future(close_each())
    async with edge(host(), upstream(listening.getsockname()[1])) as running:
        for _ in range(100):
            reply = await asyncio.wait_for(ask(running.http, request("POST", "/", body=b"x")), 5)
            assert reply.status == 502
        assert running.serving.pools.counts() == {"idle": 0, "active": 0}
    closing.cancel()
    listening.close()


async def test_an_idle_connection_that_the_endpoint_ended_is_not_used_in_the_same_turn() -> None:
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        assert (await ask(running.http)).status == 200
        (pool,) = running.serving.pools._pools.values()
        pool.idle[0].eof_received()
        assert (await ask(running.http, request("POST", "/", body=b"x"))).status == 200
        assert web.connections == 2


async def test_interim_responses_without_end_are_502() -> None:
    async def answer(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 2000 + OK)

    async with origin(answer) as web, edge(host(), upstream(web.port)) as running:
        assert (await ask(running.http, request("POST", "/", body=b"x"))).status == 502
        assert running.serving.traffic.counters["upstream-invalid"] == 1


async def test_protocols_do_not_change_before_the_request_is_whole() -> None:
    async def answer(_seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n\r\n")
        await reader.read()

    async with origin(answer) as web, edge(host(), upstream(web.port), STREAMED) as running:
        lines = ("Connection: Upgrade", "Upgrade: other", "Transfer-Encoding: chunked")
        reply = await ask(running.http, request("POST", "/", *lines) + b"5\r\nhel")
        assert (reply.status, reply.value("Connection")) == (502, b"close")


async def test_the_longest_idle_connection_makes_room_whatever_endpoint_it_leads_to() -> None:
    async with origin() as one, origin() as two, origin() as three:
        names = {"one.example": one, "two.example": two, "three.example": three}
        records = [host(name, route(f"default/{name}:80")) for name in names]
        records += [upstream(web.port, name=f"default/{name}:80") for name, web in names.items()]
        async with edge(*records, settings(upstream_keepalive_connections=2)) as running:
            for name in names:
                assert (await ask(running.http, request(name=name))).status == 200
            await eventually(lambda: (one.open, two.open, three.open) == (0, 1, 1))
            assert running.serving.pools.counts() == {"idle": 2, "active": 0}


async def test_an_endpoint_shared_by_two_upstreams_keeps_its_connections_until_both_let_it_go() -> None:
    async with origin() as web:
        records = (
            host(),
            upstream(web.port),
            host("b.example", route("default/b:80")),
            upstream(web.port, name="default/b:80"),
        )
        async with edge(*records) as running:
            for name in ("t.example", "b.example"):
                assert (await ask(running.http, request(name=name))).status == 200
            running.change(upstream())
            assert running.serving.pools.idle == 1
            running.change(upstream(name="default/b:80"))
            await eventually(lambda: web.open == 0)
            assert web.connections == 1


@pytest.mark.parametrize(
    ("address", "port"), [("127.0.0.1", 70000), ("127.0.0.1", -1), ("no address", 80), ("a\0", 80)]
)
async def test_an_endpoint_that_cannot_be_is_502_and_nobody_waits(address: str, port: int) -> None:
    impossible = record_of("default/web:80", Upstream((Endpoint(address, port),)))
    async with edge(host(), impossible) as running:
        reply = await asyncio.wait_for(ask(running.http), 5)
        assert reply.status == 502
