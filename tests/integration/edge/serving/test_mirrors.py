"""Copies of requests on real sockets: what their target gets, and that clients never notice."""

from __future__ import annotations

import asyncio

import pytest

from proto.policies import BackendProtocol, Mirror, SourceRanges
from services.edge import copies
from tests.support.edge import (
    HOST,
    NO_HTTPS,
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
from tests.support.http2 import http2
from tests.support.waiting import eventually


def table(port: int, web: int, *more: object, target: str = "/m", body: bool = True) -> tuple:  # type: ignore[type-arg]
    policy = Mirror(f"http://127.0.0.1:{port}{target}", "shadow", body)
    return (host("t.example", route(policies=(*NO_HTTPS, policy, *more))), upstream(web))  # type: ignore[arg-type]


async def test_the_target_gets_a_copy_and_its_answer_is_thrown_away() -> None:
    gone = b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno"
    async with origin(gone) as shadow, origin() as web, edge(*table(shadow.port, web.port)) as running:
        assert (await ask(running.http, request("POST", "/x?q=1", "Cookie: c", body=b"hello"))).status == 200
        await eventually(lambda: shadow.seen and shadow.seen[0].complete)
        (copy,), (seen,) = shadow.seen, web.seen
        assert copy.line == b"POST /m?q=1 HTTP/1.1"
        assert copy.body == seen.body == b"hello"
        assert copy.value("Host") == b"shadow"
        for name in ("X-Request-ID", "X-Real-IP", "X-Forwarded-For", "X-Forwarded-Host", "Cookie"):
            assert copy.value(name) == seen.value(name) != b""
        assert (await ask(running.http, request("GET", "/y"))).status == 200
        await eventually(lambda: len(shadow.seen) == 2)
        assert shadow.connections == 1
        assert shadow.seen[1].values("Content-Length") == []


@pytest.mark.parametrize("tls", [False, True])
async def test_bodies_however_they_come(tls: bool) -> None:
    big = bytes(range(256)) * 1024
    async with origin() as shadow, origin() as web:
        records = (*table(shadow.port, web.port), settings(proxy_request_buffering=tls))
        async with (
            edge(*records) as running,
            connection(running.https if tls else running.http, tls=HOST if tls else None) as (reader, writer),
        ):
            writer.write(request("PUT", "/", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n")
            await asyncio.sleep(0)
            writer.write(b"2\r\nde\r\n0\r\n\r\n")
            assert (await read_reply(reader)).status == 200
            writer.write(request("PUT", "/", body=big))
            assert (await read_reply(reader)).status == 200
            await eventually(lambda: len(shadow.seen) == 2 and all(seen.complete for seen in shadow.seen))
            assert sorted(shadow.seen, key=lambda seen: len(seen.body))[0].body == b"abcde"
            assert sorted(shadow.seen, key=lambda seen: len(seen.body))[1].body == big
            await eventually(lambda: running.serving.traffic.counters["mirror-sent"] == 2)


async def test_clients_of_http2() -> None:
    async with origin() as shadow, origin() as web, edge(*table(shadow.port, web.port)) as running:
        async with http2(running.https) as client:
            assert (await client.ask("POST", body=b"hello")).status == 200
        await eventually(lambda: shadow.seen and shadow.seen[0].complete)
        assert shadow.seen[0].body == b"hello"


async def test_no_body_where_none_is_wanted() -> None:
    async with origin() as shadow, origin() as web, edge(*table(shadow.port, web.port, body=False)) as running:
        assert (await ask(running.http, request("POST", body=b"hello"))).status == 200
        await eventually(lambda: shadow.seen)
        assert shadow.seen[0].values("Content-Length") == []
        assert shadow.seen[0].values("Transfer-Encoding") == []


async def test_requests_that_are_refused_or_break_off_are_not_copied() -> None:
    async with origin() as shadow, origin() as web:
        denied = SourceRanges(deny=("127.0.0.1/32",))
        async with edge(*table(shadow.port, web.port, denied)) as running:
            assert (await ask(running.http)).status == 403
        async with edge(*table(shadow.port, web.port), settings(proxy_body_size=4)) as running:
            async with connection(running.http) as (_, writer):
                writer.write(request("POST", "/", "Content-Length: 4") + b"ab")
                await eventually(lambda: running.serving.copies._held == 2)
            await eventually(lambda: running.serving.traffic.counters["mirror-dropped"] == 1)
            assert running.serving.copies._held == 0
        assert shadow.seen == []


async def test_a_target_that_never_answers_delays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "AT_ONCE", 2)
    monkeypatch.setattr(copies, "WAITING_AT_MOST", 3)
    silent = asyncio.Event()

    async def hold(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(seen, reader)
        await silent.wait()
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with origin(hold) as shadow, origin() as web, edge(*table(shadow.port, web.port)) as running:
        counters = running.serving.traffic.counters
        for number in range(10):
            assert (await ask(running.http, request("POST", f"/{number}", body=b"x"))).status == 200
        await eventually(lambda: len(shadow.seen) == 2)
        assert counters["mirror-dropped"] == 5
        silent.set()
        await eventually(lambda: counters["mirror-sent"] == 5)
        assert running.serving.copies._held == 0
        assert running.serving.copies._lanes == {}


async def test_a_target_that_is_not_there() -> None:
    with bound() as nobody:
        port = nobody.getsockname()[1]
    async with origin() as web, edge(*table(port, web.port)) as running:
        assert (await ask(running.http)).status == 200
        await eventually(lambda: running.serving.traffic.counters["mirror-failed"] == 1)


async def test_targets_that_clients_choose_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "ADDRESSES_AT_MOST", 0)
    async with origin() as shadow, origin() as web, edge(*table(shadow.port, web.port)) as running:
        assert (await ask(running.http)).status == 200
        assert running.serving.traffic.counters["mirror-dropped"] == 1


async def test_bodies_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "BYTES_AT_MOST", 4)
    async with origin() as shadow, origin() as web, edge(*table(shadow.port, web.port)) as running:
        assert (await ask(running.http, request("POST", body=b"hello"))).status == 200
        await eventually(lambda: running.serving.traffic.counters["mirror-dropped"] == 1)
        assert running.serving.copies._held == 0
        assert (await ask(running.http, request("POST", body=b"hell"))).status == 200
        await eventually(lambda: len(shadow.seen) == 1)


async def test_a_kept_connection_that_ended_costs_no_copy_that_may_be_sent_twice() -> None:
    async with origin() as shadow, origin() as web, edge(*table(shadow.port, web.port)) as running:
        for method in ("GET", "POST"):
            assert (await ask(running.http, request(method))).status == 200
            await eventually(lambda: running.serving.traffic.counters["mirror-sent"] == len(shadow.seen))
            shadow.close_connections()
        await eventually(lambda: len(shadow.seen) == 2)


async def test_grpc_endpoints() -> None:
    policy = BackendProtocol("grpc")
    async with origin() as shadow, origin(b"") as web, edge(*table(shadow.port, web.port, policy)) as running:
        asked = asyncio.create_task(ask(running.http, request("POST", body=b"hello")))
        await eventually(lambda: shadow.seen and shadow.seen[0].complete)
        assert shadow.seen[0].body == b"hello"
        asked.cancel()
