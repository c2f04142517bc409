"""Endpoints that refuse, close, stall, or say what no endpoint may say."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from proto.policies import BackendProtocol, Policy
from services.edge.core.proxying import Proxying
from tests.support.edge import (
    NO_HTTPS,
    OK,
    STREAMED,
    Answer,
    Seen,
    ask,
    bound,
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
from tests.support.waiting import eventually


def refusing_port() -> int:
    """A port where nobody listens."""
    with bound() as closed:
        return int(closed.getsockname()[1])


def then_close(data: bytes) -> Answer:
    """An origin that sends ``data`` and closes."""

    async def answer(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(seen, reader)
        writer.write(data)
        await writer.drain()
        writer.close()
        await asyncio.sleep(0.01)

    return answer


async def test_a_refused_connection_is_retried_on_the_next_endpoint() -> None:
    async with origin() as web, edge(host(), upstream(web.port, refusing_port())) as running:
        for number in range(6):
            data = request("POST", f"/{number}", body=b"once")
            assert (await ask(running.http, data)).status == 200
        assert len(web.seen) == 6
        assert {seen.body for seen in web.seen} == {b"once"}
        assert running.statuses == {200: 6}


async def test_three_tries_then_502() -> None:
    async with edge(host(), upstream(*(refusing_port() for _ in range(5)))) as running:
        assert (await ask(running.http)).status == 502
        assert running.serving.traffic.counters["connect-error"] == Proxying().tries


async def test_a_connect_that_takes_too_long_is_504() -> None:
    """A listener whose queue is full takes no connection."""
    with bound() as full:
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [bound() for _ in range(2)]
        loop = asyncio.get_running_loop()
        tasks = [asyncio.ensure_future(loop.sock_connect(filler, ("127.0.0.1", port))) for filler in fillers]
        await asyncio.sleep(0.05)
        async with edge(host(), upstream(port), settings(proxy_connect_timeout=0.3)) as running:
            assert (await ask(running.http)).status == 504
        for task in tasks:
            task.cancel()
        for filler in fillers:
            filler.close()


async def test_a_silent_endpoint_is_504_and_its_connection_ends() -> None:
    async def answer(_seen: Seen, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with origin(answer) as web, edge(host(), upstream(web.port), settings(proxy_read_timeout=0.2)) as running:
        assert (await ask(running.http, request("POST", "/", body=b"x"))).status == 504
        await eventually(lambda: web.open == 0)
        assert len(web.seen) == 1, "a POST is never sent again"
        assert (await ask(running.http)).status == 504
        assert len(web.seen) == 1 + Proxying().tries


async def test_a_kept_connection_that_the_endpoint_closed_costs_no_request() -> None:
    """It dies as the request arrives: sent again on a fresh one, unless the method forbids it."""
    closing = False

    async def answer(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if closing and seen.connection == 1:
            writer.transport.abort()
            return
        await read_body(seen, reader)
        writer.write(OK)

    for method, status in (("GET", 200), ("PUT", 200), ("POST", 502)):
        closing = False
        async with origin(answer) as web, edge(host(), upstream(web.port)) as running:
            assert (await ask(running.http)).status == 200
            closing = True
            data = request(method, "/again", body=b"" if method == "GET" else b"x")
            assert (await ask(running.http, data)).status == status
            assert [seen.line.split()[1] for seen in web.seen] == [b"/"] + [b"/again"] * (2 if status == 200 else 1)


async def test_idle_connections_that_the_endpoint_closes_leave_the_pool() -> None:
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        await ask(running.http)
        assert running.serving.pools.counts() == {"idle": 1, "active": 0}
        web.close_connections()
        await eventually(lambda: running.serving.pools.counts() == {"idle": 0, "active": 0})
        assert (await ask(running.http, request("POST", "/", body=b"x"))).status == 200


BAD = {
    "not http": b"SSH-2.0-OpenSSH_9\r\n\r\n",
    "bad status": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "version": b"HTTP/2.0 200 OK\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok\r\n\r\n",
    "nul": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
    "folded": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
    "both framings": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "bad length": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    "coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "first chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "upgrade unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "too large": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 40000 + b"\r\n\r\n",
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
}


@pytest.mark.parametrize("name", BAD)
async def test_a_response_that_cannot_be_read_is_502(name: str) -> None:
    async with origin(then_close(BAD[name])) as web, edge(host(), upstream(web.port)) as running:
        reply = await ask(running.http, request("POST", "/", body=b"x"))
        assert reply.status == 502
        assert len(web.seen) == 1
        await eventually(lambda: web.open == 0)


BROKEN = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_response_that_breaks_off_never_looks_complete(name: str) -> None:
    async with origin(then_close(BROKEN[name])) as web, edge(host(), upstream(web.port)) as running:
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await ask(running.http)
        assert running.statuses == {200: 1}


async def test_bytes_behind_a_response_end_the_connection_and_reach_nobody() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    async with origin(answer) as web, edge(host(), upstream(web.port)) as running:
        async with connection(running.http) as (reader, writer):
            for _ in range(3):
                writer.write(request())
                assert (await read_reply(reader)).body == b"ok"
        assert web.connections == 3


async def test_a_body_with_a_304_reaches_nobody() -> None:
    answer = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil"
    async with (
        origin(answer) as web,
        edge(host(), upstream(web.port)) as running,
        connection(running.http) as (reader, writer),
    ):
        writer.write(request() + request("GET", "/2"))
        for _ in range(2):
            assert (await read_reply(reader)).status == 304
        writer.write(request(name="unknown"))
        assert (await read_reply(reader)).status == 404


async def test_an_answer_before_the_body_was_read_is_passed_on_and_ends_the_connection() -> None:
    async def answer(_seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        await reader.read()

    async with origin(answer) as web, edge(host(), upstream(web.port), STREAMED) as running:
        async with asyncio.timeout(10), connection(running.http) as (reader, writer):
            writer.write(request("POST", "/", "Content-Length: 1000") + b"GET /smuggled HTTP/1.1\r\n\r\n")
            reply = await read_reply(reader)
            assert (reply.status, reply.body, reply.value("Connection")) == (403, b"no", b"close")
            assert await reader.read() == b""
        assert [seen.line for seen in web.seen] == [b"POST / HTTP/1.1"]


@pytest.mark.usefixtures("soon_missed")
async def test_a_client_that_leaves_ends_the_request_at_the_endpoint() -> None:
    left = asyncio.Event()

    async def answer(_seen: Seen, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            left.set()

    async with origin(answer) as web, edge(host(), upstream(web.port)) as running:
        for abort in (True, False):
            left.clear()
            async with connection(running.http) as (_reader, writer):
                writer.write(request())
                await eventually(lambda: web.open == 1)
                if abort:
                    linger = struct.pack("ii", 1, 0)  # without it closing says the same in both cases
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            async with asyncio.timeout(5):
                await left.wait()
            await eventually(lambda: web.open == 0)
        assert running.statuses == {499: 2}


async def test_a_client_that_leaves_in_the_middle_of_a_download() -> None:
    async def answer(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while True:
            writer.write(bytes(65536))
            await writer.drain()

    async with origin(answer) as web, edge(host(), upstream(web.port)) as running:
        async with connection(running.http) as (reader, writer):
            writer.write(request())
            await reader.readexactly(100000)
            writer.transport.abort()
        await eventually(lambda: web.open == 0)
        assert running.statuses == {200: 1}


async def test_a_client_that_stops_in_the_middle_of_its_body_is_not_taken_for_complete() -> None:
    async with origin() as web, edge(host(), upstream(web.port), STREAMED) as running:
        for framing, body in (("Content-Length: 10", b"hal"), ("Transfer-Encoding: chunked", b"3\r\nhal\r\n")):
            async with connection(running.http) as (_reader, writer):
                writer.write(request("POST", "/", framing) + body)
                await eventually(lambda: web.open == 1)
            await eventually(lambda: web.open == 0)
        assert not any(seen.complete for seen in web.seen)


@pytest.mark.parametrize("protocol", ["http", "grpc", "https"])
async def test_what_is_no_address_answers_502(protocol: str) -> None:
    policies: list[Policy] = list(NO_HTTPS)
    if protocol != "http":
        policies.append(BackendProtocol(protocol))  # type: ignore[arg-type]
    nowhere = upstream(80, address="a" * 64 + ".example")
    async with edge(host("t.example", route(policies=policies)), nowhere) as running:
        assert (await ask(running.http)).status == 502
