"""Clients that take their responses slowly, or not at all: what waits for them is bounded, others are served on."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
import uvloop

from proto.policies import BackendProtocol
from services.edge.clients import Doing
from services.edge.http2 import lasting
from services.edge.narrow import PIECE
from services.edge.outflow import ORDINARY
from tests.support.edge import NO_HTTPS, Edge, Seen, ask, edge, host, origin, request, route, upstream
from tests.support.h2_endpoint import Request, endpoint
from tests.support.http2 import http2 as speaking_http2
from tests.support.waiting import eventually

LARGE = 4_000_000
READ = 256 * 1024
"""The most that an event loop reads at a time."""


async def large(seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer /small with 2 bytes, everything else with LARGE ones."""
    if b"/small" in seen.line:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
    for at in range(0, LARGE, 50_000):
        writer.write(b"%06d" % (at // 50_000) + bytes(49_994))
        await writer.drain()


async def small_window(port: int) -> socket.socket:
    """A connected client for which the kernel keeps little."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.setblocking(False)
    await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
    return made


async def takes_nothing(stack: AsyncExitStack, running: Edge) -> socket.socket:
    """Ask for a large response, and never read."""
    made = stack.enter_context(await small_window(running.http))
    await asyncio.get_running_loop().sock_sendall(made, request("GET", "/large"))
    return made


async def test_hundreds_who_read_nothing_hold_no_more_than_the_budget() -> None:
    highest = 0
    async with origin(large) as web, edge(host("t.example", route(policies=NO_HTTPS)), upstream(web.port)) as running:
        outflow = running.serving.outflow
        outflow.budget = 8 * 1024 * 1024
        async with AsyncExitStack() as stack, asyncio.timeout(60):
            for _ in range(200):
                await takes_nothing(stack, running)
                highest = max(highest, outflow.held)
                assert (await ask(running.http, request("GET", "/small"))).body == b"ok"
            await eventually(lambda: running.serving.traffic.counters["overload-untaken"] > 100)
            assert outflow.held <= outflow.budget
            assert highest < outflow.budget + 4 * (READ + ORDINARY)
            assert (await ask(running.http, request("GET", "/small"))).body == b"ok"
        await eventually(lambda: outflow.held == 0 == outflow.clients, what="nothing is counted for who left")
        await eventually(lambda: running.serving.pools.open() <= 2, what="endpoints know")


async def test_who_reads_slowly_outlasts_those_who_read_nothing() -> None:
    async with origin(large) as web, edge(host("t.example", route(policies=NO_HTTPS)), upstream(web.port)) as running:
        outflow, counters = running.serving.outflow, running.serving.traffic.counters
        outflow.budget = 2 * 1024 * 1024
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack, asyncio.timeout(60):
            reader = await takes_nothing(stack, running)
            got = 0
            while counters["overload-untaken"] < 40:
                await takes_nothing(stack, running)
                for _ in range(8):
                    got += len(await loop.sock_recv(reader, 16384))
            while got < LARGE:
                piece = len(await loop.sock_recv(reader, 65536))
                assert piece, "it was cut off"
                got += piece


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_endpoint_is_read_in_small_pieces_while_much_waits(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(small_pieces())


class Much:
    """Somebody for whom much waits."""

    transport = asyncio.Transport()

    def untaken(self) -> int:
        return 64 * 1024 * 1024

    def give_up(self) -> None:
        raise AssertionError("the budget is not used up")


async def small_pieces() -> None:
    """The response arrives whole, little of it waits, and the connection to the endpoint is as good as before."""
    async with origin(large) as web, edge(host("t.example", route(policies=NO_HTTPS)), upstream(web.port)) as running:
        loop = asyncio.get_running_loop()
        running.serving.outflow.note(Much())
        assert running.serving.outflow.pressed
        listener = running.listeners[0].each[0]
        with await small_window(running.http) as client:
            await loop.sock_sendall(client, request("GET", "/large"))
            (kept,) = await eventually(lambda: list(listener.connections))
            await eventually(lambda: kept.transport.get_write_buffer_size() > ORDINARY // 4)
            received = bytearray()
            held = []
            while len(received) < LARGE:
                received += await loop.sock_recv(client, 65536)
                held.append(kept.transport.get_write_buffer_size())
            head, _, body = bytes(received).partition(b"\r\n\r\n")
            while len(body) < LARGE:
                body += await loop.sock_recv(client, 65536)
            assert head.startswith(b"HTTP/1.1 200 OK")
            assert all(body[at : at + 6] == b"%06d" % (at // 50_000) for at in range(0, LARGE, 50_000))
            drained = next(number for number, size in enumerate(held) if size <= ORDINARY // 4)
            assert drained < len(held) * 0.9, "the first read is as large as ever, and takes its time"
            assert max(held[drained:]) <= ORDINARY + PIECE
            for _ in range(2):
                assert len((await ask(running.http, request("GET", "/large"))).body) == LARGE
        assert web.connections == 1


async def test_streams_without_window_do_not_stop_one_that_is_taken() -> None:
    async with (
        origin(large) as web,
        edge(host("t.example", route(policies=NO_HTTPS)), upstream(web.port)) as running,
        speaking_http2(running.https, initial_window_size=0) as client,
    ):
        client.opens = False
        client.open(0, 1 << 30)
        stuck = []
        (kept,) = await eventually(lambda: list(running.listeners[1].each[0].connections))
        assert isinstance(kept, lasting.Lasting)
        while not kept.full:
            stuck.append(client.request("GET", "/large"))
            await client.until(lambda: client.at(stuck[-1]).status == 200)
        held = kept.engine.waiting
        assert lasting.HELD_AT_MOST < held < lasting.HELD_AT_MOST + 2 * READ
        assert running.serving.outflow.held >= held
        taken = client.request("GET", "/large")
        client.open(taken, 1 << 30)
        assert len((await client.response(taken, 30)).body) == LARGE
        assert kept.full
        for stream in stuck[1:]:
            client.open(stream, 1 << 30)
            assert len((await client.response(stream, 30)).body) == LARGE
        assert not kept.full
        client.open(stuck[0], 1 << 30)
        assert len((await client.response(stuck[0], 30)).body) == LARGE
        await eventually(lambda: running.serving.outflow.held == 0)


async def test_a_connection_without_window_goes_on_when_it_gets_some() -> None:
    """Endpoints that had not answered when the client's window ended are read as soon as there is some again."""
    async with (
        origin(large) as web,
        edge(host("t.example", route(policies=NO_HTTPS)), upstream(web.port)) as running,
        speaking_http2(running.https, initial_window_size=1 << 30) as client,
    ):
        client.opens = False
        streams = [client.request("GET", "/large") for _ in range(20)]
        (kept,) = await eventually(lambda: list(running.listeners[1].each[0].connections))
        assert isinstance(kept, lasting.Lasting)
        await eventually(lambda: kept.full)
        client.open(0, 1 << 30)
        for stream in streams:
            assert len((await client.response(stream, 30)).body) == LARGE
        assert not kept.full
        assert running.statuses == {200: 20}


async def test_a_client_of_http2_that_takes_nothing_is_given_up_for_others() -> None:
    async with origin(large) as web, edge(host("t.example", route(policies=NO_HTTPS)), upstream(web.port)) as running:
        outflow = running.serving.outflow
        outflow.budget = 3 * 1024 * 1024
        async with AsyncExitStack() as stack:
            clients = []
            for _ in range(4):
                client = await stack.enter_async_context(speaking_http2(running.https))
                client.opens = False
                clients.append(client)
                for _ in range(8):
                    client.request("GET", "/large")
            await eventually(lambda: running.serving.traffic.counters["overload-untaken"] > 0)
            await eventually(lambda: any(client.closed for client in clients))
            assert (await ask(running.http, request("GET", "/small"))).body == b"ok"
            assert outflow.held <= outflow.budget
        await eventually(lambda: outflow.held == 0)


async def flood(seen: Request) -> None:
    """Answer /small at once, everything else with LARGE bytes, as fast as the windows open."""
    if seen.headers[":path"] == "/small":
        seen.answer()
        return
    engine, number = seen.link.engine, seen.stream_id
    engine.send_headers(number, [(":status", "200"), ("content-length", str(LARGE))])
    left = LARGE
    while left and not seen.reset:
        size = min(left, engine.local_flow_control_window(number), engine.max_outbound_frame_size)
        if size <= 0:
            seen.link.flush()
            await asyncio.sleep(0.01)  # the windows' opening is no event of the library that can be waited for here
            continue
        engine.send_data(number, bytes(size), end_stream=size == left)
        left -= size
    seen.link.flush()


async def test_slow_clients_do_not_stop_others_of_the_same_session() -> None:
    """Their bytes fill more than the window of the one connection to the endpoint that all share."""
    floods: set[asyncio.Task[None]] = set()

    def act(seen: Request) -> None:
        floods.add(asyncio.create_task(flood(seen)))

    policies = (*NO_HTTPS, BackendProtocol("grpc"))
    async with (
        endpoint(act) as web,
        edge(host("t.example", route(policies=policies)), upstream(web.port)) as running,
        AsyncExitStack() as stack,
        asyncio.timeout(30),
    ):
        for _ in range(24):
            await takes_nothing(stack, running)
        await eventually(lambda: running.serving.outflow.clients == 24)
        assert (await ask(running.http, request("GET", "/small"))).body == b"ok"
        assert len((await ask(running.http, request("GET", "/large"))).body) == LARGE
        assert web.connections == 1
    for task in floods:
        task.cancel()


async def test_what_nobody_was_told_to_wait_for_counts_where_there_are_many_clients() -> None:
    """Responses that are just small enough for no connection to be told to wait."""
    async with origin(large) as web, edge(host("t.example", route(policies=NO_HTTPS)), upstream(web.port)) as running:
        outflow = running.serving.outflow
        outflow.budget = 4 * ORDINARY
        crowd = [Unread() for _ in range(5)]
        running.listeners[0].each[0].connections.update(crowd)
        try:
            await eventually(lambda: sum(each.gone for each in crowd) == 1)
            assert outflow.held <= outflow.budget
        finally:
            running.listeners[0].each[0].connections.difference_update(crowd)


class Unread:
    """A client's connection that holds a little less than what it is told to wait for."""

    doing: Doing = "writing"
    deadline = lasts_until = 0.0

    def __init__(self) -> None:
        self.transport = asyncio.Transport()
        self.gone = False

    def untaken(self) -> int:
        return 0 if self.gone else ORDINARY - 1

    def give_up(self) -> None:
        self.gone = True

    def announce(self) -> None:
        raise NotImplementedError

    def drain(self) -> None:
        raise NotImplementedError
