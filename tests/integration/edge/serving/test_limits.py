"""Clients that are slow, greedy or endless cost bounded memory and time."""

from __future__ import annotations

import asyncio
import socket

import pytest

from proto.policies import BackendProtocol, ProxyTimeouts, ResponseBuffering
from services.edge import connection
from tests.support.edge import (
    HOST,
    NO_HTTPS,
    OK,
    STREAMED,
    Edge,
    Seen,
    ask,
    edge,
    host,
    origin,
    read_reply,
    request,
    route,
    settings,
    upstream,
)
from tests.support.edge import connection as connect
from tests.support.h2_endpoint import Request
from tests.support.h2_endpoint import endpoint as h2_endpoint
from tests.support.waiting import eventually


def unsent(running: Edge) -> int:
    """Bytes that the edge holds for clients."""
    return sum(
        held.transport.get_write_buffer_size()
        for listeners in running.listeners
        for listener in listeners.each
        for held in listener.connections
    )


async def small_window(port: int) -> socket.socket:
    """A connected client that takes little."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.setblocking(False)
    await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
    return made


async def test_a_head_that_drips_is_ended_whatever_comes() -> None:
    async with (
        edge(host(), settings(client_header_timeout=0.5)) as running,
        asyncio.timeout(10),
        connect(running.http) as (reader, writer),
    ):
        writer.write(b"GET / HTTP/1.1\r\nHost: t.example\r\nX: ")

        async def drip() -> None:
            while True:
                writer.write(b"a")
                await asyncio.sleep(0.05)

        dripping = asyncio.ensure_future(drip())
        assert (await read_reply(reader)).status == 408
        assert await reader.read() == b""
        dripping.cancel()


async def test_a_body_that_stops_is_ended() -> None:
    slow = settings(client_body_timeout=0.3, proxy_request_buffering=False)
    async with origin() as web, edge(host(), upstream(web.port), slow) as running:
        reply = await ask(running.http, request("POST", "/", "Content-Length: 10") + b"half")
        assert (reply.status, reply.value("Connection")) == (408, b"close")
        await eventually(lambda: web.open == 0)
        assert not web.seen[0].complete


async def test_idle_connections_end() -> None:
    impatient = settings(keep_alive=0.2, client_header_timeout=0.2)
    async with origin() as web, edge(host(), upstream(web.port), impatient) as running:
        async with asyncio.timeout(10), connect(running.http) as (reader, writer):
            writer.write(request())
            assert (await read_reply(reader)).status == 200
            assert await reader.read() == b""
        async with asyncio.timeout(10), connect(running.http) as (reader, _writer):
            assert await reader.read() == b""


async def test_the_number_of_requests_of_a_connection() -> None:
    async with origin() as web, edge(host(), upstream(web.port), settings(keep_alive_requests=3)) as running:
        async with connect(running.http) as (reader, writer):
            writer.write(request() * 5)
            replies = [await read_reply(reader) for _ in range(3)]
            assert [reply.value("Connection") for reply in replies] == [b"", b"", b"close"]
            assert await reader.read() == b""
        assert len(web.seen) == 3


@pytest.mark.parametrize("tls", [None, "t.example"])
async def test_a_body_in_chunks_that_grows_too_large_is_413(tls: str | None) -> None:
    async with origin() as web, edge(host(), upstream(web.port), STREAMED) as running:
        port = running.https if tls else running.http
        async with asyncio.timeout(10), connect(port, tls=tls) as (reader, writer):
            writer.write(request("POST", "/", "Transfer-Encoding: chunked"))
            for _ in range(20):
                writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
            assert (await read_reply(reader)).status == 413
        await eventually(lambda: web.open == 0)
        assert not web.seen[0].complete


async def test_a_body_in_chunks_as_large_as_it_may_be_passes() -> None:
    async with origin() as web, edge(host(), upstream(web.port), STREAMED) as running:
        body = b"".join(b"400\r\n" + bytes(1024) + b"\r\n" for _ in range(1024)) + b"0\r\n\r\n"
        assert (await ask(running.http, request("POST", "/", "Transfer-Encoding: chunked") + body)).status == 200
        assert len(web.seen[0].body) == 1024 * 1024


async def test_a_client_that_takes_nothing_holds_little_and_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SEND_TIME", 1.0)
    sent = 0

    async def answer(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while True:
            writer.write(bytes(65536))
            await writer.drain()
            sent += 65536

    async with origin(answer) as web, edge(host(), upstream(web.port)) as running:
        slow = await small_window(running.http)
        await asyncio.get_running_loop().sock_sendall(slow, request())
        await eventually(lambda: unsent(running) > 65536)
        assert unsent(running) < 1024 * 1024
        await eventually(lambda: web.open == 0, what="the connection to the endpoint ends")
        assert sent < 30_000_000
        slow.close()


async def test_pipelined_requests_of_a_client_that_takes_no_responses_wait() -> None:
    body = bytes(100_000)

    async def answer(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + body)

    async with origin(answer) as web, edge(host(), upstream(web.port)) as running:
        slow = await small_window(running.http)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(slow, request() * 300)
        await eventually(lambda: unsent(running) > 65536)
        await asyncio.sleep(0.2)
        assert len(web.seen) < 100
        assert unsent(running) < 1024 * 1024
        received = 0
        async with asyncio.timeout(20):
            while received < 300 * len(body):
                received += len(await loop.sock_recv(slow, 1 << 20))
        await eventually(lambda: running.statuses == {200: 300})
        slow.close()


async def test_an_upload_may_take_longer_than_the_endpoint_may_be_silent() -> None:
    """The endpoint has nothing to say before it has the whole request."""
    async with (
        origin() as web,
        edge(host(), upstream(web.port), settings(proxy_read_timeout=0.3, proxy_request_buffering=False)) as running,
        asyncio.timeout(10),
        connect(running.http) as (reader, writer),
    ):
        writer.write(request("PUT", "/", "Content-Length: 10"))
        for byte in b"0123456789":
            await asyncio.sleep(0.15)
            writer.write(bytes((byte,)))
        assert (await read_reply(reader)).status == 200
        assert web.seen[0].body == b"0123456789"


@pytest.mark.parametrize("collected", [False, True])
async def test_an_endpoint_that_never_takes_the_body_is_504(collected: bool) -> None:
    size = 32 << 20  # more than the kernel takes on the endpoint's behalf

    async def answer(_seen: Seen, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(5)

    async with (
        origin(answer, receive_buffer=4096) as web,
        edge(
            host(),
            upstream(web.port),
            settings(proxy_send_timeout=0.3, proxy_body_size=size, proxy_request_buffering=collected),
        ) as running,
        asyncio.timeout(10),
        connect(running.http) as (reader, writer),
    ):
        writer.write(request("POST", "/", body=bytes(size)))
        assert (await read_reply(reader)).status == 504


@pytest.mark.parametrize("size", [300_000, 100_000], ids=["client-stopped", "all-handed-on"])
async def test_an_endpoint_that_opens_its_window_slowly_is_waited_for(size: int) -> None:
    patience = 1.2

    async def slowly(seen: Request) -> None:
        for _ in range(6):  # all of it takes longer than nothing may be taken
            await asyncio.sleep(patience / 4)
            more_room(seen, 1_000)
        more_room(seen, size)
        await eventually(lambda: len(seen.body) == size)
        seen.answer()

    def more_room(seen: Request, size: int) -> None:
        seen.link.engine.increment_flow_control_window(size)
        seen.link.engine.increment_flow_control_window(size, seen.stream_id)
        seen.link.flush()

    def act(seen: Request) -> None:
        tasks.append(asyncio.create_task(slowly(seen)))

    tasks: list[asyncio.Task[None]] = []
    policies = (*NO_HTTPS, BackendProtocol("grpc"), ProxyTimeouts(read=patience, send=patience))
    async with (
        h2_endpoint(act, early=True, takes=False) as web,
        edge(host(HOST, route(policies=policies)), upstream(web.port)) as running,
        asyncio.timeout(20),
        connect(running.http) as (reader, writer),
    ):
        writer.write(request("POST", "/", body=bytes(size)))
        assert (await read_reply(reader)).status == 200
        await asyncio.gather(*tasks)


async def test_an_endpoint_whose_window_stays_shut_is_504() -> None:
    policies = (*NO_HTTPS, BackendProtocol("grpc"), ProxyTimeouts(send=0.3))
    async with (
        h2_endpoint(early=False, takes=False) as web,
        edge(host(HOST, route(policies=policies)), upstream(web.port)) as running,
        asyncio.timeout(20),
        connect(running.http) as (reader, writer),
    ):
        writer.write(request("POST", "/", body=bytes(300_000)))
        assert (await read_reply(reader)).status == 504


async def test_an_endpoint_that_takes_nothing_stops_the_client() -> None:
    gate = asyncio.Event()

    async def answer(_seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await gate.wait()
        reader._transport.resume_reading()  # type: ignore[attr-defined]
        await reader.readexactly(900_000)
        writer.write(OK)

    async with (
        origin(answer) as web,
        edge(host(), upstream(web.port), STREAMED) as running,
        asyncio.timeout(20),
        connect(running.http) as (reader, writer),
    ):
        writer.write(request("PUT", "/", body=bytes(900_000)))
        await eventually(lambda: web.seen)
        gate.set()
        assert (await read_reply(reader)).status == 200


@pytest.mark.parametrize("pieces", [1, 7])
async def test_heads_may_be_as_large_as_is_said(pieces: int) -> None:
    async def status(port: int, *lines: str, path: str = "/") -> int:
        data = request("GET", path, *lines)
        async with asyncio.timeout(10), connect(port) as (reader, writer):
            step = len(data) // pieces + 1
            for at in range(0, len(data), step):
                writer.write(data[at : at + step])
                await asyncio.sleep(0)
            return (await read_reply(reader)).status

    long, longer = "X-Long: " + "a" * 12_000, "X-Longer: " + "a" * 20_000
    async with origin() as web:
        async with edge(host(), upstream(web.port)) as running:
            assert await status(running.http, long) == 431
            assert await status(running.http, path="/" + "a" * 9000) == 414
        async with edge(host(), upstream(web.port), settings(large_client_header_buffers=(4, 16384))) as running:
            assert await status(running.http, long, long, long) == 200
            assert await status(running.http, path="/" + "a" * 12_000) == 200
            assert await status(running.http, longer) == 431
            assert await status(running.http, *[long] * 6) == 431
        async with edge(host(), upstream(web.port), settings(large_client_header_buffers=(2, 1024))) as running:
            assert await status(running.http, "X: " + "a" * 900) == 200
            assert await status(running.http, "X: " + "a" * 1100) == 431
            assert await status(running.http, path="/" + "a" * 1100) == 414
            assert await status(running.http, *["X: " + "a" * 900] * 3) == 431


async def test_heads_of_responses_may_be_as_large_as_the_buffer() -> None:
    async def answer(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + b"X: %b\r\n" % (b"a" * 8000) * 8 + b"\r\n"
        writer.write(head + b"ok")
        await writer.drain()

    large = route(path="/large", policies=(ResponseBuffering(piece=128 * 1024),))
    async with origin(answer) as web, edge(host("t.example", route(), large), upstream(web.port)) as running:
        assert (await ask(running.http)).status == 502
        for _ in range(2):
            assert (await ask(running.http, request("GET", "/large"))).body == b"ok"
