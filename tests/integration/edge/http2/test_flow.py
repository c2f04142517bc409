"""Flow control both ways: nobody is made to keep what the other side does not take."""

from __future__ import annotations

import asyncio
import socket

import pytest

from services.edge.deadlines import Timed
from services.edge.http2 import lasting
from services.edge.http2.stream import Stream
from tests.support.edge import HOST, NO_HTTPS, Edge, Seen, edge, host, origin, route, settings, upstream
from tests.support.http2 import Client, http2
from tests.support.waiting import eventually

PLAIN = host(HOST, route(policies=NO_HTTPS))
BIG = 8 * 1024 * 1024


class Flood:
    """An endpoint that sends a large response as fast as it is taken; ``sent``: how much that was."""

    def __init__(self) -> None:
        self.sent = 0

    async def __call__(self, seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"/quick" in seen.line:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            return
        writer.transport.set_write_buffer_limits(high=0)
        own: socket.socket = writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
        for _ in range(0, BIG, 65536):
            writer.write(bytes(65536))
            await writer.drain()
            self.sent += 65536


async def test_an_endpoint_is_read_no_faster_than_the_client_opens_its_window() -> None:
    flood = Flood()
    async with origin(flood) as web, edge(PLAIN, upstream(web.port)) as running, http2(running.https) as client:
        client.opens = False
        stream = client.request("GET", "/big")
        await client.until(lambda: len(client.at(stream).body) == 65535)
        assert (await client.ask("HEAD", "/quick")).status == 200
        before = -1
        while before != flood.sent:  # until the kernel's buffers are full too
            before = flood.sent
            await asyncio.sleep(0.1)
        assert flood.sent < BIG
        client.opens = True
        client.open(0, 1 << 30)
        client.open(stream, 1 << 30)
        response = await client.response(stream, 30)
    assert len(response.body) == BIG


async def test_a_stream_with_window_goes_on_though_much_waits_for_the_windows_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lasting, "HELD_AT_MOST", 1000)
    flood, release = Flood(), asyncio.Event()

    async def answer(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"/quick" in seen.line:
            await release.wait()
        await flood(seen, reader, writer)

    async with (
        origin(answer) as web,
        edge(PLAIN, upstream(web.port)) as running,
        http2(running.https, initial_window_size=10) as client,
    ):
        client.opens = False
        quick = client.request("GET", "/quick")
        big = client.request("GET", "/big")
        client.open(big, 65525)  # it takes up the connection's window and its own, and what waits is too much
        await client.until(lambda: len(client.at(big).body) == 65535)
        await such(running, "full")
        release.set()
        client.open(0, 1 << 20)
        assert (await client.response(quick, 5)).body == b"ok"


async def test_small_windows_are_used_to_the_last_byte() -> None:
    async with (
        origin(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789") as web,
        edge(PLAIN, upstream(web.port)) as running,
        http2(running.https, initial_window_size=2) as client,
    ):
        response = await client.ask()  # which opens the window by as much as comes
    assert (response.body, response.ended) == (b"123456789", True)


async def test_a_client_that_opens_no_window_loses_the_stream_alone() -> None:
    async with (
        origin(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789") as web,
        edge(PLAIN, upstream(web.port)) as running,
        http2(running.https, initial_window_size=2) as client,
    ):
        client.opens = False
        stream = client.request()
        await client.until(lambda: client.at(stream).body == b"12")
        first = await waiting(running)
        first.deadline = 0.0  # the send time is over
        client.open(stream, 1)
        await client.until(lambda: client.at(stream).body == b"123")
        await eventually(lambda: first.deadline > 0.0, what="time given again to who took a byte")
        first.deadline = 0.0
        assert (await client.response(stream)).reset == 8
        client.opens = True
        assert (await client.ask("HEAD")).status == 200


async def waiting(running: Edge) -> Timed:
    """The one stream whose time is watched."""

    def watched() -> list[Timed]:
        return [timed for slot in running.serving.deadlines._slots for timed in slot if isinstance(timed, Stream)]

    return (await eventually(watched))[0]


async def test_an_endpoint_that_takes_nothing_stops_the_client_and_nobody_else() -> None:
    release = asyncio.Event()

    async def answer(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if seen.line.startswith(b"POST"):
            await release.wait()
            seen.body = await reader.readexactly(BIG)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with (
        origin(answer, receive_buffer=16384) as web,
        edge(PLAIN, upstream(web.port), settings(proxy_request_buffering=False, proxy_body_size=0)) as running,
        http2(running.https) as client,
    ):
        head = client.head("POST", fields=[("content-length", str(BIG))], ended=False)
        client.send(head)
        sent = await upload(client, head.stream_id, BIG, patience=0.3)
        assert sent < BIG
        assert (await client.ask()).status == 200
        release.set()
        assert await upload(client, head.stream_id, BIG - sent, patience=10) == BIG - sent
        assert (await client.response(head.stream_id)).status == 200
    assert web.seen[0].body == bytes(BIG)


async def upload(client: Client, stream: int, size: int, patience: float) -> int:
    """Send ``size`` bytes as the edge's windows allow; how many were sent when it had opened none for a while."""
    sent = 0
    while sent < size:
        try:
            await client.until(lambda: client.window(stream) > 0, patience)
        except TimeoutError:
            break
        piece = min(size - sent, client.window(stream), 16384)
        client.data(stream, bytes(piece), ended=False)
        sent += piece
    return sent


async def test_who_reads_nothing_is_read_no_further() -> None:
    flood = Flood()
    async with origin(flood) as web, edge(PLAIN, upstream(web.port)) as running:
        async with http2(running.https, initial_window_size=1 << 30) as client:
            client.open(0, 1 << 30)
            client.pause()
            for number in range(8):
                client.request("GET", f"/big/{number}")
            await eventually(lambda: web.open == 8)
            connection = await such(running, "congested")
            before = -1
            while before != flood.sent:
                before = flood.sent
                await asyncio.sleep(0.1)
            assert flood.sent < 8 * BIG
            assert connection.engine.queued < 4 * 1024 * 1024
        await eventually(lambda: web.open == 0, what="endpoints told that the client has left")
        assert running.statuses == {200: 8}


async def such(running: Edge, state: str) -> object:
    """The connection of the client that takes nothing: ``congested``, or ``full``."""

    def found() -> list[object]:
        each = [listener for listeners in running.listeners for listener in listeners.each]
        return [kept for listener in each for kept in listener.connections if getattr(kept, state, False)]

    return (await eventually(found))[0]


async def test_who_opens_no_window_gets_no_more_responses() -> None:
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + bytes(200_000)
    async with (
        origin(large) as web,
        edge(PLAIN, upstream(web.port)) as running,
        http2(running.https, initial_window_size=0) as client,
    ):
        client.opens = False
        streams: list[int] = []
        while not any(client.at(stream).reset == 7 for stream in streams):
            streams.append(client.request())
            await client.until(lambda: client.at(streams[-1]).status == 200 or client.at(streams[-1]).over)
        taken = streams[:-1]
        assert 20 < len(taken) < 80
        kept = [found for each in running.listeners[1].each for found in each.connections]
        assert kept[0].engine.waiting < 6 * 1024 * 1024  # type: ignore[attr-defined]
        client.opens = True
        client.open(0, 1 << 30)
        for stream in taken:
            client.open(stream, 1 << 20)
            assert len((await client.response(stream)).body) == 200_000
        assert kept[0].engine.waiting == 0  # type: ignore[attr-defined]
        stream = client.request()
        client.open(stream, 1 << 20)
        assert (await client.response(stream)).status == 200
