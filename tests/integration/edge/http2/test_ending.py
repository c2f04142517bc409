"""How streams and connections end: reset, drained, idle, too slow, too old."""

from __future__ import annotations

import asyncio
import socket
from time import monotonic

import pytest
from hyperframe.frame import ContinuationFrame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame

from services.edge.core import generation
from services.edge.http2 import lasting
from services.edge.http2.connection import Http2Connection
from tests.support.edge import HOST, NO_HTTPS, STREAMED, Seen, edge, host, origin, route, settings, upstream
from tests.support.http2 import PREFACE, http2
from tests.support.waiting import eventually

PLAIN = host(HOST, route(policies=NO_HTTPS))
LAST = (1 << 31) - 1


class Slow:
    """An endpoint that answers when it is told to, and notices when nobody waits any more."""

    def __init__(self) -> None:
        self.release = asyncio.Event()

    async def __call__(self, _seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told, gone = asyncio.ensure_future(self.release.wait()), asyncio.ensure_future(reader.read())
        await asyncio.wait((told, gone), return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if not told.done():
            told.cancel()
            raise ConnectionResetError
        await asyncio.wait((gone,))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@pytest.mark.parametrize("body", [b"", b"abc"])
async def test_a_reset_ends_the_request_at_the_endpoint(body: bytes) -> None:
    async with (
        origin(Slow()) as web,
        edge(PLAIN, upstream(web.port), STREAMED) as running,
        http2(running.https) as client,
    ):
        head = client.head("POST" if body else "GET", ended=not body)
        client.send(head)
        if body:
            client.data(head.stream_id, body, ended=False)
        await eventually(lambda: web.seen)
        client.send(RstStreamFrame(head.stream_id, 8))
        await eventually(lambda: web.open == 0, what="the endpoint's connection ended")
        await eventually(lambda: running.statuses == {499: 1})
        await client.answers_ping()


async def test_a_client_that_leaves_ends_its_requests_at_the_endpoints() -> None:
    async with origin(Slow()) as web, edge(PLAIN, upstream(web.port)) as running:
        async with http2(running.https) as client:
            for _ in range(5):
                client.request()
            await eventually(lambda: web.open == 5)
        await eventually(lambda: web.open == 0)
        await eventually(lambda: running.statuses == {499: 5})


async def test_an_answer_before_the_request_was_read_stops_the_client() -> None:
    async def answer(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        await asyncio.Event().wait()

    async with (
        origin(answer) as web,
        edge(PLAIN, upstream(web.port), STREAMED) as running,
        http2(running.https) as client,
    ):
        head = client.head("POST", ended=False)
        client.send(head)
        client.data(head.stream_id, b"abc", ended=False)
        await client.until(lambda: client.at(head.stream_id).reset is not None)
        response = client.at(head.stream_id)
        assert (response.status, response.body, response.ended, response.reset) == (403, b"no", True, 0)
        client.data(head.stream_id, b"still on the way", ended=False)
        await client.answers_ping()
        assert not client.goaway


async def test_draining_takes_what_is_on_its_way_and_finishes_what_runs() -> None:
    slow = Slow()
    async with origin(slow) as web, edge(PLAIN, upstream(web.port)) as running, http2(running.https) as client:
        before = client.request("GET", "/before")
        await eventually(lambda: len(web.seen) == 1)
        drained = asyncio.create_task(running.listeners[1].drain(10))
        await client.until(lambda: len(client.goaway) == 1)
        assert (client.goaway[0].last_stream_id, client.error) == (LAST, 0)
        await client.until(lambda: len(client.goaway) == 2)
        assert client.goaway[1].last_stream_id == before
        late = client.request("GET", "/late")
        assert (await client.response(late)).reset == 7
        slow.release.set()
        assert (await client.response(before)).body == b"ok"
        await client.ended()
        await client.close()
        assert await drained


async def test_a_request_behind_the_first_goaway_is_served() -> None:
    async with origin() as web, edge(PLAIN, upstream(web.port)) as running, http2(running.https) as client:
        await client.ask()
        client.answers = False  # as if the answer to the PING were still on its way
        running.listeners[1].last_responses()
        await client.until(lambda: len(client.goaway) == 1)
        assert (await client.ask()).status == 200
        await client.until(lambda: len(client.goaway) == 2)
        await client.ended()


async def test_idle_connections_end_with_a_word() -> None:
    async with (
        origin() as web,
        edge(PLAIN, upstream(web.port), settings(keep_alive=0.2)) as running,
        http2(running.https) as client,
    ):
        assert (await client.ask()).status == 200
        await client.ended()
        assert client.error == 0
    assert running.serving.traffic.counters["client-aborted"] == 0


async def test_pings_keep_no_connection_that_brings_no_request() -> None:
    async with edge(PLAIN, settings(client_header_timeout=0.3)) as running, http2(running.https) as client:
        while not client.closed:
            client.send(PingFrame(0, b"so alive"))
            await asyncio.sleep(0.05)
        assert client.error == 0


@pytest.mark.parametrize("begun", ["PRI", "preface", "settings"])
async def test_who_begins_to_speak_has_the_time_of_a_head(begun: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is less than the default time until the first byte; in the clear what is spoken may not even be known."""
    monkeypatch.setattr(generation, "HEAD_TIME", 0.3)
    async with edge(PLAIN, h2c=True) as running, http2(running.http, tls=False, greet=begun == "settings") as client:
        if begun != "settings":
            client.send(PREFACE[:3] if begun == "PRI" else PREFACE)
        await client.ended(10)


@pytest.mark.parametrize("dripping", [False, True])
async def test_a_head_that_never_ends(dripping: bool) -> None:
    async with edge(PLAIN, settings(client_header_timeout=0.5)) as running, http2(running.https) as client:
        await client.answers_ping()
        client.send(HeadersFrame(1, client.encoder.encode([(":method", "GET")])))
        while not client.closed:
            if dripping:
                client.send(ContinuationFrame(1, b""))
            await asyncio.sleep(0.2)
        assert client.error == 1
        assert running.serving.traffic.counters["http2-head-timeout"] == 1


async def test_a_body_that_never_ends() -> None:
    async with (
        origin() as web,
        edge(PLAIN, upstream(web.port), settings(client_body_timeout=0.2)) as running,
        http2(running.https) as client,
    ):
        head = client.head("POST", ended=False)
        client.send(head)
        client.data(head.stream_id, b"abc", ended=False)
        assert (await client.response(head.stream_id)).status == 408
        assert (await client.ask()).status == 200
    assert len(web.seen) == 1


async def test_a_connection_is_given_up_after_its_requests() -> None:
    async with (
        origin() as web,
        edge(PLAIN, upstream(web.port), settings(keep_alive_requests=2, http2_max_concurrent_streams=3)) as running,
        http2(running.https) as client,
    ):
        for _ in range(6):
            assert (await client.ask()).status == 200
        await client.ended()
        assert [type(frame) for frame in client.goaway] == [GoAwayFrame, GoAwayFrame]
        assert client.settings[3] == 3


async def test_streams_over_the_limit_are_refused_and_the_others_served() -> None:
    slow = Slow()
    async with (
        origin(slow) as web,
        edge(PLAIN, upstream(web.port), settings(http2_max_concurrent_streams=3)) as running,
        http2(running.https) as client,
    ):
        taken = [client.request() for _ in range(3)]
        over = client.request()
        assert (await client.response(over)).reset == 7
        slow.release.set()
        for stream in taken:
            assert (await client.response(stream)).status == 200
        assert (await client.ask()).status == 200


async def test_nothing_is_left_of_many_connections() -> None:
    async with origin() as web, edge(PLAIN, upstream(web.port)) as running:
        for _ in range(20):
            async with http2(running.https) as client:
                await client.ask()
                client.request()
        listeners = [listener for each in running.listeners for listener in each.each]
        await eventually(lambda: not any(listener.connections or listener.handshakes for listener in listeners))


async def test_a_slow_client_gets_the_rest_of_the_last_response(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "LINGER_TIME", 0.0)
    body = bytes(60_000)
    may = asyncio.Event()

    async def answer(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await may.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async with (
        origin(answer) as web,
        edge(PLAIN, upstream(web.port), h2c=True) as running,
        http2(running.http, tls=False) as client,
    ):
        stream = client.request()
        await eventually(lambda: web.seen)
        (kept,) = running.listeners[0].each[0].connections
        assert isinstance(kept, Http2Connection)
        kept.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.pause()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        kept._say_last_word()
        may.set()
        await eventually(lambda: kept._state == lasting.LINGER)
        assert kept.transport.get_write_buffer_size() > 10_000
        kept.expire(monotonic())
        client.resume()
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert len((await client.response(stream)).body) == len(body)
