"""What one request leaves behind touches no other: connections given back, streams and exchanges that serve again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hyperframe.frame import RstStreamFrame

from proto.policies import BackendProtocol, NextUpstream
from services.edge import attempts, spool
from services.edge.connecting import connect
from services.edge.http2.connection import Http2Connection
from services.edge.http2_upstream import sessions
from services.edge.upstream import UpstreamConnection
from tests.support.edge import (
    NO_HTTPS,
    OK,
    STREAMED,
    Edge,
    Seen,
    ask,
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
from tests.support.h2_endpoint import Request, endpoint
from tests.support.http2 import http2
from tests.support.waiting import eventually

UNAVAILABLE = b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno"
ON_503 = host("t.example", route(policies=[*NO_HTTPS, NextUpstream(("http_503",), 0, 0.0)]))
BY_HTTP2 = host("t.example", route(policies=[*NO_HTTPS, BackendProtocol("grpc")]))
LARGE = 12_000_000
"""More than the kernel takes on behalf of a slow client."""


@contextmanager
def slow_to_connect(monkeypatch: pytest.MonkeyPatch, where: object, port: int) -> Iterator[asyncio.Event]:
    """Connections to ``port`` are not there before the event."""
    there = asyncio.Event()

    async def later(*arguments: object) -> None:
        if arguments[2].port == port:  # type: ignore[attr-defined]
            await there.wait()
        await connect(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(where, "connect", later)
        yield there


class OneByOne:
    """An origin's answers, each when it is told; ``began``: how many requests wait or waited."""

    def __init__(self, *answers: bytes, reads: bool = True) -> None:
        self.began = 0
        self._answers = answers
        self._reads = reads
        self._may = [asyncio.Event() for _ in answers]

    def let(self, number: int) -> None:
        """Say the answer of that number."""
        self._may[number].set()

    async def __call__(self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._reads:
            await read_body(seen, reader)
        number = self.began
        self.began += 1
        await self._may[number].wait()
        writer.write(self._answers[number])
        if not self._answers[number]:
            writer.close()


def retried(running: Edge) -> bool:
    """Whether another endpoint is being asked."""
    return running.serving.traffic.counters["retry"] == 1


@pytest.mark.usefixtures("soon_missed")
async def test_whose_response_was_passed_over_owns_the_connection_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection may be another request's by the time its client leaves."""
    first = OneByOne(UNAVAILABLE, OK)
    async with (
        origin(first) as web,
        origin() as other,
        edge(ON_503, upstream(web.port)) as running,
        connection(running.http) as (_, leaving),
        connection(running.http) as (reader, staying),
    ):
        with slow_to_connect(monkeypatch, attempts, other.port):
            leaving.write(request())
            await eventually(lambda: first.began == 1)
            running.change(upstream(web.port, other.port))
            first.let(0)
            await eventually(lambda: retried(running))
            running.change(upstream(web.port))
            staying.write(request("GET", "/staying"))
            await eventually(lambda: first.began == 2)
            assert web.connections == 1
            leaving.close()
            await eventually(lambda: running.serving.traffic.counters["client-aborted"] == 1)
            first.let(1)
            async with asyncio.timeout(5):
                assert (await read_reply(reader)).status == 200


async def test_a_body_that_comes_while_another_endpoint_is_asked_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent without its head it would be a request of its own."""
    first = OneByOne(UNAVAILABLE, reads=False)
    evil = b"GET /evil HTTP/1.1\r\nHost: t.example\r\n\r\n"
    async with (
        origin(first) as web,
        origin() as other,
        edge(ON_503, STREAMED, upstream(web.port), h2c=True) as running,
        http2(running.http, tls=False) as client,
    ):
        with slow_to_connect(monkeypatch, attempts, other.port) as there:
            head = client.head("PUT", "/put", [("content-length", str(len(evil)))], ended=False, scheme="http")
            client.send(head)
            await eventually(lambda: first.began == 1)
            running.change(upstream(web.port, other.port))
            first.let(0)
            await eventually(lambda: retried(running))
            client.data(head.stream_id, evil)
            await client.answers_ping()
            there.set()
            assert (await client.response(head.stream_id)).status == 200
    assert [(seen.line, seen.body) for seen in other.seen] == [(b"PUT /put HTTP/1.1", evil)]


async def large(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """More than anybody keeps for a client."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE + bytes(LARGE))
    await writer.drain()


def stopped(running: Edge, stream_id: int) -> bool:
    """Whether the endpoint of the one client's stream is read no further."""
    for client in running.listeners[0].each[0].connections:
        assert isinstance(client, Http2Connection)
        stream = client._streams.get(stream_id)
        asked = None if stream is None else stream.exchange.connection
        return isinstance(asked, UpstreamConnection) and not asked.transport.is_reading()
    return False


async def test_a_stream_that_ended_while_its_endpoint_was_stopped_stops_the_next_one_too() -> None:
    async with (
        origin(large) as web,
        edge(host("t.example", route(policies=NO_HTTPS)), upstream(web.port), h2c=True) as running,
        http2(running.http, tls=False) as client,
    ):
        client.opens = False
        for _ in range(2):
            head = client.head(scheme="http")
            client.send(head)
            await eventually(lambda stream=head.stream_id: stopped(running, stream))  # type: ignore[misc]
            client.send(RstStreamFrame(head.stream_id, error_code=8))
            await client.answers_ping()


async def test_an_endpoint_that_resets_every_stream_is_not_asked_without_end() -> None:
    def act(asked: Request) -> None:
        if asked.stream_id == 1:
            asked.answer()
        else:
            asked.link.engine.reset_stream(asked.stream_id, 2)

    async with endpoint(act) as web, edge(BY_HTTP2, upstream(web.port)) as running:
        assert (await ask(running.http)).status == 200
        assert (await ask(running.http)).status == 502
        assert len(web.requests) == 4


async def test_a_request_sent_again_goes_where_requests_go_now_and_turns_nobody_back() -> None:
    gone = OneByOne(OK, b"", OK)
    async with (
        origin(gone) as before,
        origin() as now,
        edge(host("t.example", route(policies=NO_HTTPS)), upstream(before.port)) as running,
    ):
        gone.let(0)
        gone.let(2)
        assert (await ask(running.http)).status == 200
        async with connection(running.http) as (reader, writer):
            writer.write(request())
            await eventually(lambda: gone.began == 2)
            running.change(upstream(now.port))
            gone.let(1)
            assert (await read_reply(reader)).status == 200
        assert len(now.seen) == 1
        for balancer in running.serving.pools.balancers.values():
            assert [pool.port for pool in balancer.pools] == [now.port]


async def test_a_body_that_took_long_finds_the_endpoints_of_now() -> None:
    async with (
        origin() as before,
        edge(host("t.example", route(policies=NO_HTTPS)), upstream(before.port)) as running,
        connection(running.http) as (reader, writer),
    ):
        writer.write(request("POST", "/", "Content-Length: 4") + b"ab")
        await eventually(lambda: [one.doing for one in running.listeners[0].each[0].connections] == ["writing"])
        running.change(upstream())
        writer.write(b"cd")
        assert (await read_reply(reader)).status == 503
        assert not before.seen
        assert not any(balancer.pools for balancer in running.serving.pools.balancers.values())


async def test_a_connection_with_a_body_that_nobody_read_serves_nobody_else() -> None:
    async def answer(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        if seen.connection == 1:
            await asyncio.Event().wait()

    roomy = settings(client_body_buffer_size=8_000_000, proxy_body_size=0)
    async with (
        origin(answer, receive_buffer=4096) as web,
        edge(host("t.example", route(policies=NO_HTTPS)), roomy, upstream(web.port)) as running,
    ):
        assert (await ask(running.http, request("POST", body=bytes(7_000_000)))).status == 200
        async with asyncio.timeout(5):
            assert (await ask(running.http)).status == 200
        assert web.connections == 2


async def test_a_response_that_breaks_off_with_its_last_bytes_is_over_once(monkeypatch: pytest.MonkeyPatch) -> None:
    last = asyncio.Event()

    async def answer(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (LARGE + 2) + bytes(LARGE))
        await writer.drain()
        await last.wait()
        writer.write(b"ok")

    def full(_self: spool.Backlog, _data: bytes) -> None:
        raise OSError("full")

    async with (
        origin(answer) as web,
        edge(
            host("t.example", route(policies=NO_HTTPS)), settings(proxy_buffering=True), upstream(web.port), h2c=True
        ) as running,
        http2(running.http, tls=False) as client,
    ):
        client.opens = False
        head = client.head(scheme="http")
        client.send(head)
        spools = running.serving.spools
        await eventually(lambda: spools.files == 1)
        (kept,) = running.listeners[0].each[0].connections
        assert isinstance(kept, Http2Connection)
        exchange = kept._streams[head.stream_id].exchange
        await eventually(lambda: exchange.upstream_length == LARGE)
        monkeypatch.setattr(spool.Backlog, "put", full)
        last.set()
        assert (await client.response(head.stream_id)).reset == 2
        assert spools.files == 0
        assert len(running.serving.traffic.buffer) == 1


async def test_what_comes_of_a_body_after_the_whole_response_is_thrown_away() -> None:
    both = settings(proxy_request_buffering=False, proxy_buffering=True, proxy_body_size=0)
    async with (
        origin(large) as web,
        edge(host("t.example", route(policies=NO_HTTPS)), both, upstream(web.port), h2c=True) as running,
        http2(running.http, tls=False) as client,
    ):
        client.opens = False
        head = client.head("PUT", ended=False, scheme="http")
        client.send(head)
        await eventually(lambda: web.open == 0 and web.connections == 1)
        (kept,) = running.listeners[0].each[0].connections
        assert isinstance(kept, Http2Connection)
        exchange = kept._streams[head.stream_id].exchange
        await eventually(lambda: exchange.connection is None)
        client.data(head.stream_id, bytes(40_000), ended=False)
        await client.answers_ping()
        assert exchange.received >= 40_000
        assert not exchange._head


async def test_a_session_whose_endpoint_went_while_it_was_opened_serves_who_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    never = host("t.example", route(policies=[*NO_HTTPS, BackendProtocol("grpc"), NextUpstream(("off",), 1, 0.0)]))
    async with (
        endpoint() as before,
        endpoint() as now,
        edge(never, upstream(before.port)) as running,
        connection(running.http) as (reader, writer),
    ):
        with slow_to_connect(monkeypatch, sessions, before.port) as there:
            writer.write(request())
            await eventually(lambda: bool(running.serving._tasks))
            running.change(upstream(now.port))
            there.set()
            assert (await read_reply(reader)).status == 200
        assert (await ask(running.http)).status == 200
        assert (len(before.requests), len(now.requests)) == (1, 1)
        await eventually(lambda: before.open == 0)
