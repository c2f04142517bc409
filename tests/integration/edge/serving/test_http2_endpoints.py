"""Endpoints that speak HTTP/2: what they are told, and what becomes of a client when they do what they should not."""

from __future__ import annotations

import asyncio

import h2.settings
import pytest

from proto.policies import BackendProtocol, ProxyTimeouts, SSLRedirect
from tests.support.edge import STREAMED, ask, connection, edge, host, read_reply, request, route, settings, upstream
from tests.support.h2_endpoint import Request, endpoint
from tests.support.waiting import eventually

POLICIES = [SSLRedirect(False, False), BackendProtocol("grpc")]
HOST = host("t.example", route(policies=POLICIES))


async def test_the_head_says_what_http1_would_in_the_words_of_http2() -> None:
    async with endpoint() as web, edge(HOST, upstream(web.port)) as running:
        sent = request("GET", "/a?b=c", "Connection: X-Hop, keep-alive", "X-Hop: 1", "Cookie: a=b; c=d", "TE: trailers")
        assert (await ask(running.http, sent)).body == b"ok"
    seen = web.requests[0].headers
    assert seen[":method"] == "GET"
    assert seen[":path"] == "/a?b=c"
    assert seen[":scheme"] == "http"
    assert seen[":authority"] == "t.example"
    assert seen["cookie"] == "a=b; c=d"
    assert seen["te"] == "trailers"
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert len(seen["x-request-id"]) == 32
    assert not {"host", "connection", "x-hop", "keep-alive", "transfer-encoding"} & set(seen)


async def test_heads_that_repeat_differ_in_their_ids_alone() -> None:
    async with (
        endpoint() as web,
        edge(HOST, upstream(web.port)) as running,
        connection(running.http) as (reader, writer),
    ):
        for number in range(5):
            writer.write(request("GET", f"/{number}"))
            assert (await read_reply(reader)).status == 200
    assert [seen.headers[":path"] for seen in web.requests] == [f"/{number}" for number in range(5)]
    assert len({seen.headers["x-request-id"] for seen in web.requests}) == 5
    assert web.connections == 1


@pytest.mark.parametrize("chunked", [False, True])
async def test_bodies_go_as_they_are(chunked: bool) -> None:
    body = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n" if chunked else b"hello world"
    line = "Transfer-Encoding: chunked" if chunked else "Content-Length: 11"
    async with endpoint() as web, edge(HOST, upstream(web.port)) as running:
        assert (await ask(running.http, request("POST", "/", line) + body)).status == 200
    assert web.requests[0].body == b"hello world"
    assert web.requests[0].headers.get("content-length") == (None if chunked else "11")


async def test_what_a_response_says_reaches_the_client() -> None:
    def act(seen: Request) -> None:
        seen.answer(b"body", ("content-type", "text/x"), ("x-more", "1"), status="404")

    async with (
        endpoint(act) as web,
        edge(HOST, upstream(web.port)) as running,
        connection(running.http) as (reader, writer),
    ):
        for _ in range(2):
            writer.write(request())
            reply = await read_reply(reader)
            assert reply.head.startswith(b"HTTP/1.1 404 Not Found\r\n")
            assert (reply.value("content-type"), reply.value("x-more"), reply.body) == (b"text/x", b"1", b"body")


@pytest.mark.parametrize("status", ["204", "304"])
async def test_responses_without_body(status: str) -> None:
    def act(seen: Request) -> None:
        seen.link.engine.send_headers(seen.stream_id, [(":status", status)], end_stream=True)

    async with (
        endpoint(act) as web,
        edge(HOST, upstream(web.port)) as running,
        connection(running.http) as (reader, writer),
    ):
        for _ in range(2):
            writer.write(request())
            assert (await read_reply(reader)).status == int(status)


async def test_head_requests_have_no_body() -> None:
    def act(seen: Request) -> None:
        headers = [(":status", "200"), ("content-length", "5")]
        seen.link.engine.send_headers(seen.stream_id, headers, end_stream=True)

    async with endpoint(act) as web, edge(HOST, upstream(web.port)) as running:
        reply = await ask(running.http, request("HEAD"), bodiless=True)
        assert (reply.status, reply.value("content-length")) == (200, b"5")


def no_status(seen: Request) -> None:
    seen.link.engine.send_headers(seen.stream_id, [("x", "y")], end_stream=True)


def wrong_length(seen: Request) -> None:
    seen.link.engine.send_headers(seen.stream_id, [(":status", "200"), ("content-length", "5")], end_stream=True)


def upper_case(seen: Request) -> None:
    seen.link.engine.send_headers(seen.stream_id, [(":status", "200"), ("X-Upper", "y")], end_stream=True)


def line_break(seen: Request) -> None:
    seen.link.engine.send_headers(seen.stream_id, [(":status", "200"), ("x", "a\r\nb: c")], end_stream=True)


def too_large(seen: Request) -> None:
    headers = [(":status", "200"), *((f"x-{number}", "v" * 1000) for number in range(100))]
    seen.link.engine.send_headers(seen.stream_id, headers, end_stream=True)


def connection_header(seen: Request) -> None:
    seen.link.engine.send_headers(seen.stream_id, [(":status", "200"), ("connection", "close")], end_stream=True)


def garbage(seen: Request) -> None:
    seen.link.write(b"HTTP/1.1 200 OK\r\n\r\n")


def goes_silent(seen: Request) -> None:
    seen.link.close()


def resets(seen: Request) -> None:
    seen.link.engine.reset_stream(seen.stream_id, 2)


def interim_without_end(seen: Request) -> None:
    for _ in range(200):
        seen.link.engine.send_headers(seen.stream_id, [(":status", "103")])


@pytest.mark.parametrize(
    "act",
    [
        no_status,
        wrong_length,
        upper_case,
        connection_header,
        line_break,
        too_large,
        garbage,
        goes_silent,
        resets,
        interim_without_end,
    ],
)
async def test_what_is_no_response_is_answered_502(act: object) -> None:
    async with endpoint(act) as web, edge(HOST, upstream(web.port)) as running:  # type: ignore[arg-type]
        assert (await ask(running.http, request("POST", "/", body=b"x"))).status == 502


async def test_a_response_that_breaks_off_is_not_taken_for_complete() -> None:
    def act(seen: Request) -> None:
        seen.link.engine.send_headers(seen.stream_id, [(":status", "200"), ("content-length", "10")])
        seen.link.engine.send_data(seen.stream_id, b"half")
        seen.link.flush()
        seen.link.engine.reset_stream(seen.stream_id, 2)

    async with endpoint(act) as web, edge(HOST, upstream(web.port)) as running:
        with pytest.raises(asyncio.IncompleteReadError):
            await ask(running.http)


async def test_a_request_that_was_refused_unseen_goes_elsewhere_whatever_its_method() -> None:
    def refuse(seen: Request) -> None:
        seen.link.engine.reset_stream(seen.stream_id, 7)

    async with (
        endpoint(refuse) as busy,
        endpoint() as idle,
        edge(HOST, upstream(busy.port, idle.port)) as running,
    ):
        for _ in range(4):
            assert (await ask(running.http, request("POST", "/", body=b"x"))).status == 200
        assert busy.requests


async def test_goaway_lets_finish_what_is_under_way_and_the_next_goes_to_a_new_connection() -> None:
    waiting: list[Request] = []

    def act(seen: Request) -> None:
        if seen.headers[":path"] == "/slow":
            waiting.append(seen)
            seen.link.engine.close_connection(last_stream_id=seen.stream_id)
        else:
            seen.answer()

    async with endpoint(act) as web, edge(HOST, upstream(web.port)) as running:
        slow = asyncio.create_task(ask(running.http, request("GET", "/slow")))
        await eventually(lambda: waiting)
        assert (await ask(running.http, request("GET", "/next"))).status == 200
        assert web.connections == 2
        link = waiting[0].link
        link.write(_response(waiting[0].stream_id))  # h2 itself says no more after GOAWAY
        assert (await slow).status == 204
        await eventually(lambda: web.open == 1)
        assert running.serving.traffic.counters["upstream-session-goaway"] == 1


def _response(stream_id: int) -> bytes:
    """HEADERS with ``:status 204`` that ends the stream."""
    return b"\x00\x00\x01\x01\x05" + stream_id.to_bytes(4, "big") + b"\x89"


async def test_more_connections_where_one_takes_no_more_requests() -> None:
    waiting: list[Request] = []

    def act(seen: Request) -> None:
        if len(waiting) == 0:
            seen.link.engine.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 2})
        waiting.append(seen)

    async with endpoint(act) as web, edge(HOST, upstream(web.port)) as running:
        asking = [asyncio.create_task(ask(running.http))]
        await eventually(lambda: len(waiting) == 1)
        for number in range(2, 6):
            asking.append(asyncio.create_task(ask(running.http)))
            await eventually(lambda number=number: len(waiting) == number)  # type: ignore[misc]
        assert web.connections >= 2
        for seen in waiting:
            seen.answer()
        assert [reply.status for reply in await asyncio.gather(*asking)] == [200] * 5


async def test_an_endpoint_that_takes_no_requests_at_all_is_left_alone() -> None:
    def act(seen: Request) -> None:
        seen.link.engine.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 0})
        seen.answer()

    async with endpoint(act) as web, edge(HOST, upstream(web.port)) as running:
        assert (await ask(running.http)).status == 200
        reply = await ask(running.http, request("POST", "/", body=b"x"))
        assert reply.status in (200, 502)
        assert web.connections <= 4


async def test_a_session_that_ended_unnoticed_costs_nobody_anything() -> None:
    def act(seen: Request) -> None:
        seen.answer()
        seen.link.close()

    async with (
        endpoint(act) as web,
        edge(HOST, upstream(web.port)) as running,
        connection(running.http) as (reader, writer),
    ):
        for _ in range(50):
            writer.write(request("POST", "/", body=b"x"))
            assert (await read_reply(reader)).status == 200
        assert web.connections == 50


@pytest.mark.usefixtures("soon_missed")
async def test_a_client_that_leaves_resets_its_stream_alone() -> None:
    waiting: list[Request] = []
    async with endpoint(waiting.append) as web, edge(HOST, upstream(web.port)) as running:
        async with connection(running.http) as (_reader, writer):
            writer.write(request())
            await eventually(lambda: waiting)
            writer.transport.abort()
        await eventually(lambda: waiting[0].reset)
        assert web.open == 1


async def test_an_endpoint_that_says_nothing_times_out_and_its_connection_is_left() -> None:
    policies = [*POLICIES, ProxyTimeouts(read=0.2)]
    waiting: list[Request] = []
    async with (
        endpoint(waiting.append) as web,
        edge(host("t.example", route(policies=policies)), upstream(web.port)) as running,
    ):
        assert (await ask(running.http, request("POST", "/", body=b"x"))).status == 504
        await eventually(lambda: waiting[0].reset)
        assert (await ask(running.http, request("POST", "/", body=b"x"))).status == 504
        assert web.connections == 2
        assert running.serving.traffic.counters["upstream-session-silent"] == 2


async def test_an_endpoint_without_window_stops_the_client() -> None:
    size = 32_000_000  # more than the kernel takes
    async with (
        endpoint(takes=False) as web,
        edge(HOST, upstream(web.port), STREAMED, settings(proxy_body_size=0, proxy_request_buffering=False)) as running,
        connection(running.http) as (_reader, writer),
    ):
        writer.write(request("POST", "/", f"Content-Length: {size}") + bytes(size))
        await eventually(lambda: web.requests and len(web.requests[0].body) == 65535)
        (listener,) = running.listeners[0].each
        (client,) = listener.connections
        await eventually(lambda: not client._reading)  # type: ignore[attr-defined]
        assert writer.transport.get_write_buffer_size() > 0
        writer.transport.abort()


async def test_a_slow_client_stops_the_endpoint() -> None:
    sent = 0

    async def act(seen: Request) -> None:
        nonlocal sent
        engine = seen.link.engine
        engine.send_headers(seen.stream_id, [(":status", "200")])
        while (window := min(engine.local_flow_control_window(seen.stream_id), 16384)) > 0:
            engine.send_data(seen.stream_id, bytes(window))
            sent += window
        seen.link.flush()

    async with (
        endpoint(act) as web,
        edge(HOST, upstream(web.port)) as running,
        connection(running.http) as (reader, writer),
    ):
        writer.transport.pause_reading()
        writer.write(request())
        await eventually(lambda: sent)
        assert sent <= 300_000
        writer.transport.resume_reading()
        assert await reader.readuntil(b"\r\n\r\n")


async def test_an_endpoint_that_is_no_longer_named_loses_its_idle_session() -> None:
    async with endpoint() as web, endpoint() as other, edge(HOST, upstream(web.port)) as running:
        assert (await ask(running.http)).status == 200
        running.change(upstream(other.port))
        await eventually(lambda: not web.open)
        assert (await ask(running.http)).status == 200
        assert running.serving.pools.counts()["active"] == 1


async def test_an_idle_session_ends_in_time() -> None:
    async with endpoint() as web, edge(HOST, upstream(web.port), settings(upstream_keepalive_timeout=0.2)) as running:
        assert (await ask(running.http)).status == 200
        await eventually(lambda: not web.open)
        assert (await ask(running.http)).status == 200


async def test_a_session_carries_no_more_requests_than_it_may() -> None:
    async with endpoint() as web, edge(HOST, upstream(web.port), settings(upstream_keepalive_requests=2)) as running:
        for _ in range(6):
            assert (await ask(running.http)).status == 200
        assert web.connections == 3
        await eventually(lambda: not web.open)
