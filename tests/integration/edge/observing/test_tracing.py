"""Spans of requests, as a real collector gets them and as endpoints are told of them."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from proto.policies import BackendProtocol, BasicAuth, CustomErrors, ExternalAuth, Moved, RequestBody, Tracing
from proto.resources import ResourceRecord, Respond, Route
from services.edge.access.form import Renderer, form_of
from services.edge.tracing import exporter
from tests.support.collector import Collected, collector
from tests.support.edge import (
    HOST,
    NO_HTTPS,
    Edge,
    ask,
    bound,
    connection,
    edge,
    host,
    origin,
    request,
    route,
    settings,
    upstream,
)
from tests.support.grpc_service import SERVICE, Echo, grpc_client, grpc_server
from tests.support.http2 import http2
from tests.support.waiting import eventually

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = f"traceparent: 00-{TRACE}-{SPAN}-01"
CONTEXT = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-0[01]")


def traced(collected: Collected | None, **more: object) -> ResourceRecord:
    """Settings that have all requests traced; spans go out soon."""
    where = {} if collected is None else {"otlp_collector_host": "127.0.0.1", "otlp_collector_port": collected.port}
    return settings(enable_opentelemetry=True, **{"otel_schedule_delay_millis": 10, **where, **more})


@asynccontextmanager
async def traced_edge(*records: ResourceRecord) -> AsyncIterator[Edge]:
    async with edge(*records) as running:
        try:
            yield running
        finally:
            await running.serving.tracing.close(1)


async def test_a_span_for_each_request() -> None:
    async with (
        collector() as collected,
        origin() as web,
        traced_edge(host(HOST, route(policies=NO_HTTPS)), upstream(web.port), traced(collected)) as running,
    ):
        before = time.time()
        reply = await ask(running.http, request("GET", "/a?b=c", "User-Agent: me"))
        assert reply.status == 200
        await eventually(lambda: collected.spans)
        (span,) = collected.spans
        found = CONTEXT.fullmatch(web.seen[0].value("traceparent"))
        assert found is not None
        assert (span.trace, span.id, span.parent) == (found[1].decode(), found[2].decode(), "")
        assert (span.name, span.kind, span.status) == ("/", 2, 0)
        assert before - 1 < span.started < time.time() + 1
        assert 0 < span.seconds < 5
        assert span.resource["service.name"] == "nginx"
        assert collected.metadata[0]["user-agent"].startswith("limen")
        port = span.attributes.pop("net.peer.port")
        assert isinstance(port, int)
        assert span.attributes == {
            "http.method": "GET",
            "http.target": "/a?b=c",
            "http.flavor": "1.1",
            "http.scheme": "http",
            "http.host": HOST,
            "http.server_name": HOST,
            "http.user_agent": "me",
            "http.status_code": 200,
            "net.host.port": running.http,
            "net.peer.ip": "127.0.0.1",
            "ingress.namespace": "default",
            "ingress.name": "web",
            "ingress.service_name": "web",
            "ingress.upstream": "default-web-80",
        }


async def test_a_trusted_parent_and_its_state_go_on() -> None:
    own = Tracing(trusts=False, operation="HTTP $request_method $service_name $uri")
    routes = (route(policies=NO_HTTPS), route(path="/own", policies=(*NO_HTTPS, own)))
    async with (
        collector() as collected,
        origin() as web,
        traced_edge(host(HOST, *routes), upstream(web.port), traced(collected)) as running,
        http2(running.https) as client,
    ):
        await ask(running.http, request("GET", "/", PARENT, "tracestate: a=1", "tracestate: b=2"))
        await ask(running.http, request("GET", "/own/x", PARENT, "tracestate: a=1"))
        await client.ask("GET", "/h2", ((b"traceparent", PARENT.partition(" ")[2].encode()),))
        await eventually(lambda: len(collected.spans) == 3)
        first, own_span, second = collected.spans
        assert own_span.name == "HTTP GET web /own/x"
        assert (first.trace, first.parent, first.state) == (TRACE, SPAN, "a=1, b=2")
        assert web.seen[0].value("traceparent").decode() == f"00-{TRACE}-{first.id}-01"
        assert web.seen[0].values("tracestate") == [b"a=1", b"b=2"]
        assert own_span.parent == own_span.state == ""
        assert own_span.trace != TRACE
        assert web.seen[1].values("tracestate") == []
        assert second.trace == TRACE
        assert (second.attributes["http.flavor"], second.attributes["http.scheme"]) == ("2.0", "https")


async def test_a_client_cannot_make_a_name_that_a_collector_would_refuse() -> None:
    named = Tracing(operation="GET $request_uri")
    async with (
        collector() as collected,
        origin() as web,
        traced_edge(host(HOST, route(policies=(*NO_HTTPS, named))), upstream(web.port), traced(collected)) as running,
    ):
        await ask(running.http, request("GET", "/" + "x" * 5000))
        await eventually(lambda: len(collected.spans) == 1)
        assert collected.spans[0].name == "GET /" + "x" * 1019


async def test_what_the_edge_answers_itself_has_spans_too() -> None:
    routes = (
        route(path="/moved", policies=(*NO_HTTPS, Moved(302, "http://x/"))),
        route(path="/closed", policies=(*NO_HTTPS, BasicAuth("default/nobody"))),
        route(path="/small", policies=(*NO_HTTPS, RequestBody(limit=1))),
        route("default/gone:80", path="/gone", policies=NO_HTTPS),
        route(path="/quiet", policies=(*NO_HTTPS, Tracing(enabled=False))),
        Route(route().match, Respond(503), (), "default/web", "/"),
    )
    async with (
        collector() as collected,
        origin() as web,
        traced_edge(host(HOST, *routes), upstream(web.port), traced(collected)) as running,
    ):
        for path in ("/moved", "/closed", "/gone", "/quiet", "/denied"):
            await ask(running.http, request("GET", path))
        await ask(running.http, request("POST", "/small", body=b"xx"))
        await eventually(lambda: len(collected.spans) == 5)
        found = {span.name: (span.attributes["http.status_code"], span.status) for span in collected.spans}
        assert found == {
            "/moved": (302, 0),
            "/closed": (503, 2),
            "/gone": (503, 2),
            "/": (503, 2),
            "/small": (413, 0),
        }
        assert web.seen[0].line.startswith(b"GET /quiet")
        assert web.seen[0].values("traceparent") == []


async def test_who_is_asked_whether_a_request_may_pass_is_told_too() -> None:
    async with origin() as gate, origin() as web:
        asks = ExternalAuth(f"http://127.0.0.1:{gate.port}/check")
        routes = host(HOST, route(policies=(*NO_HTTPS, asks)))
        async with traced_edge(routes, upstream(web.port), traced(None)) as running:
            await ask(running.http, request("GET", "/", PARENT))
            told = gate.seen[0].value("traceparent")
            assert told == web.seen[0].value("traceparent")
            assert told != PARENT.partition(" ")[2].encode()


async def test_a_client_that_leaves_and_an_error_backend() -> None:
    never = asyncio.Event()

    async def waits(seen: object, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"X-Code" not in seen.head:  # type: ignore[attr-defined]
            await never.wait()
        writer.write(b"HTTP/1.1 404 Not Found\r\nDate: now\r\nContent-Length: 0\r\n\r\n")

    errors = CustomErrors((503,), backend="default/web:80")
    routes = (route(policies=NO_HTTPS), route("default/gone:80", path="/gone", policies=(*NO_HTTPS, errors)))
    async with (
        collector() as collected,
        origin(waits) as web,
        traced_edge(host(HOST, *routes), upstream(web.port), traced(collected)) as running,
    ):
        async with connection(running.http) as (_, writer):
            writer.write(request("GET", "/"))
            await eventually(lambda: web.seen)
            reset = struct.pack("ii", 1, 0)  # a client that only closes might still read
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            writer.transport.abort()
        await eventually(lambda: collected.spans)
        assert collected.spans[0].attributes["http.status_code"] == 499
        await ask(running.http, request("GET", "/gone", PARENT))
        await eventually(lambda: len(collected.spans) == 2)
        assert web.seen[1].value("traceparent").decode() == f"00-{TRACE}-{collected.named('/gone').id}-01"
        never.set()


async def test_lines_name_the_span() -> None:
    form = "$opentelemetry_trace_id $opentelemetry_span_id $opentelemetry_context_traceparent $http_traceparent"
    wanted = settings(enable_opentelemetry=True, log_format_upstream=form)
    lines: list[bytes] = []
    async with (
        origin() as web,
        traced_edge(host(HOST, route(policies=NO_HTTPS)), upstream(web.port), wanted) as running,
    ):
        assert running.serving.generation is not None
        renderer = Renderer(form_of(running.serving.generation.settings))
        running.serving.traffic.on_batch(lambda *batch: lines.extend(renderer.text(*batch).splitlines(keepends=True)))
        await ask(running.http, request("GET", "/", PARENT))
        await ask(running.http, request("GET", "/"))
        running.serving.traffic.flush()
        sent = [seen.value("traceparent").decode() for seen in web.seen]
        assert [line.decode().split() for line in lines] == [
            [TRACE, sent[0].split("-")[2], sent[0], PARENT.partition(" ")[2]],
            [sent[1].split("-")[1], sent[1].split("-")[2], sent[1], "-"],
        ]


async def test_calls_of_grpc_have_spans_and_tell_them_on() -> None:
    policies = (*NO_HTTPS, BackendProtocol("grpc"))
    async with (
        collector() as collected,
        grpc_server(Echo()) as echo,
        edge(host(HOST, route(policies=policies)), upstream(echo.port), traced(collected), h2c=True) as running,
        grpc_client(running.http, HOST) as channel,
    ):
        for _ in range(2):
            call = channel.unary_unary(f"/{SERVICE}/Unary")(b"x", metadata=(tuple(PARENT.split(": ")),))
            assert await call == b"x"
        await eventually(lambda: len(collected.spans) == 2)
        told = [call["traceparent"] for call in echo.calls]
        assert told == [f"00-{TRACE}-{span.id}-01" for span in collected.spans]
        assert {span.attributes["http.flavor"] for span in collected.spans} == {"2.0"}
        await running.serving.tracing.close(1)


async def test_nobody_else_can_say_what_lines_say_of_spans() -> None:
    async with origin() as web, traced_edge(host(HOST, route(policies=NO_HTTPS)), upstream(web.port)) as running:
        for forbidden in (False, True):
            running.change(settings(enable_opentelemetry=True, ignore_invalid_headers=forbidden))
            reply = await ask(running.http, request("GET", "/", f"@{PARENT}"))
            assert reply.status == 400
        assert web.seen == []


async def test_what_is_not_sampled_is_told_on_and_not_sent() -> None:
    async with (
        collector() as collected,
        origin() as web,
        traced_edge(
            host(HOST, route(policies=NO_HTTPS)), upstream(web.port), traced(collected, otel_sampler="AlwaysOff")
        ) as running,
    ):
        await ask(running.http, request("GET", "/"))
        await ask(running.http, request("GET", "/", PARENT))
        await eventually(lambda: collected.spans)
        assert [seen.value("traceparent")[-2:] for seen in web.seen] == [b"00", b"01"]
        assert [span.trace for span in collected.spans] == [TRACE]


async def test_nothing_waits_for_a_collector_and_what_it_does_not_take_is_counted() -> None:
    small = {"otel_max_queuesize": 8, "otel_max_export_batch_size": 4, "otel_schedule_delay_millis": 60_000}
    async with (
        collector(open=False) as collected,
        origin() as web,
        traced_edge(host(HOST, route(policies=NO_HTTPS)), upstream(web.port), traced(collected, **small)) as running,
    ):
        counters = running.serving.tracing.counters
        for _ in range(4):
            await ask(running.http, request("GET", "/"))
        await eventually(lambda: collected.calls == 1)
        for _ in range(20):
            assert (await ask(running.http, request("GET", "/"))).status == 200
        assert counters["dropped"] == 12
        collected.reject = 1
        collected.go_on.set()
        await eventually(lambda: counters["sent"] + counters["rejected"] == 12)
        assert sum(collected.sizes) == 12
        assert max(collected.sizes) == 4
        assert counters["rejected"] == collected.calls
        assert len(collected.peers) == 1


async def test_a_collector_that_fails_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(exporter, "FIRST_PAUSE", 0.01)
    held = bound()
    port = held.getsockname()[1]
    held.close()
    async with origin() as web:
        nowhere = Collected(port=port)
        async with traced_edge(host(HOST, route(policies=NO_HTTPS)), upstream(web.port), traced(nowhere)) as running:
            counters = running.serving.tracing.counters
            await ask(running.http, request("GET", "/"))
            await eventually(lambda: counters["failed"] == 1)
            assert counters["retries"] == exporter.TRIES - 1
            async with collector(port) as collected:
                collected.refuse = grpc.StatusCode.UNAVAILABLE
                await ask(running.http, request("GET", "/"))
                await eventually(lambda: collected.calls >= 2)
                collected.refuse = None
                await eventually(lambda: counters["sent"] == 1)
                collected.refuse = grpc.StatusCode.INVALID_ARGUMENT
                await ask(running.http, request("GET", "/"))
                await eventually(lambda: counters["failed"] == 2)
            warned = [record for record in caplog.records if "spans cannot be sent" in record.message]
            assert len(warned) == 2


async def test_a_server_that_is_no_collector() -> None:
    async with origin(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as web, origin() as other:
        stranger = Collected(port=other.port)
        async with traced_edge(host(HOST, route(policies=NO_HTTPS)), upstream(web.port), traced(stranger)) as running:
            assert (await ask(running.http, request("GET", "/"))).status == 200
            await running.serving.tracing.close(0.2)
            assert running.serving.tracing.counters["sent"] == 0


async def test_a_change_of_the_collector_and_the_last_spans() -> None:
    async with collector() as first, collector() as second, origin() as web:
        plain = host(HOST, route(policies=NO_HTTPS))
        async with traced_edge(plain, upstream(web.port), traced(first, otel_schedule_delay_millis=60_000)) as running:
            await ask(running.http, request("GET", "/"))
            running.change(traced(second, otel_schedule_delay_millis=60_000, otel_service_name="shop"))
            await ask(running.http, request("GET", "/"))
            await running.serving.tracing.close(5)
            assert (first.calls, second.sizes) == (0, [2])
            assert second.spans[0].resource["service.name"] == "shop"


async def test_requests_that_are_not_traced_run_as_before() -> None:
    async with origin() as web, edge(host(HOST, route(policies=NO_HTTPS)), upstream(web.port)) as running:
        await ask(running.http, request("GET", "/", PARENT, "tracestate: a=1"))
        assert web.seen[0].value("traceparent").decode() == PARENT.partition(" ")[2]
        assert web.seen[0].value("tracestate") == b"a=1"
        running.change(traced(None))
        await ask(running.http, request("GET", "/", PARENT))
        assert web.seen[1].value("traceparent").decode().startswith(f"00-{TRACE}-")
        assert running.serving.tracing.counters["unsent"] == 1
