"""Policed requests over sockets: phases that ask somebody, edits of both heads, replaced answers; both protocols."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from msgspec import Struct

from proto.policies import CustomErrors, Moved, RequestBody, UpstreamHost
from proto.resources import Respond, Route
from services.edge import questions
from services.edge.client import ClientConnection
from services.edge.connection import PIPELINE_LIMIT
from services.edge.core import phases
from services.edge.core.asked import Asked
from services.edge.core.edits import request_edit, response_edit
from services.edge.core.outcomes import Answer, Ask, Outcome, Pass
from services.edge.core.phases import PHASES, Phase
from services.edge.serving import Serving
from tests.support.edge import (
    NO_HTTPS,
    Edge,
    Seen,
    ask,
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
from tests.support.http2 import http2
from tests.support.waiting import eventually

HOST = "t.example"
PLAIN = host(HOST, route(policies=NO_HTTPS))


class May(Struct, frozen=True):
    """The question of the phase that these tests add: may this request pass?"""

    target: bytes


class Gate:
    """Who answers it, when told to. ``asked``: how often; ``ended``: how many requests are over."""

    def __init__(self) -> None:
        self.asked = self.ended = self.cancelled = 0
        self.open = asyncio.Event()
        self.verdict: Callable[[], bool] = lambda: True

    def answer(self, _serving: Serving, question: May) -> bool | Awaitable[bool]:
        self.asked += 1
        if question.target.startswith(b"/now"):
            return self.verdict()
        return self._later()

    async def _later(self) -> bool:
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self.verdict()

    def check(self, asked: Asked) -> Outcome:
        return Ask(May(asked.target), self._after)

    def _after(self, may: bool) -> Outcome:
        if not may:
            return Answer(403, lines=b"X-Why: no\r\n")
        edit = request_edit({b"X-Checked": b"yes"}, removed=[b"authorization"])
        return Pass(request=edit, response=response_edit({b"X-Passed": b"1"}), at_end=self._end)

    def _end(self) -> None:
        self.ended += 1


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """A phase on every route that asks this gate, before all others; and a header on whatever is answered."""
    made = Gate()
    monkeypatch.setattr(phases, "PHASES", (Phase("gate", "of this test", lambda _context: made.check), *PHASES))
    dressing = lambda _asked: response_edit({b"X-Dressed": b"always"}, removed=[b"x-secret"])  # noqa: E731
    monkeypatch.setattr(phases, "DRESSINGS", (lambda _context: dressing,))
    monkeypatch.setitem(questions.ANSWERERS, May, made.answer)
    return made


async def test_a_question_that_is_answered_at_once_costs_no_wait(gate: Gate) -> None:
    secretive = b"HTTP/1.1 200 OK\r\nDate: now\r\nX-Secret: 1\r\nX-Open: 2\r\nContent-Length: 2\r\n\r\nok"
    async with origin(secretive) as web, edge(PLAIN, upstream(web.port)) as running:
        reply = await ask(running.http, request("GET", "/now", "Authorization: Basic x"))
        assert reply.head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert (reply.value("X-Dressed"), reply.value("X-Passed"), reply.value("X-Open")) == (b"always", b"1", b"2")
        assert b"X-Secret" not in reply.head
        assert web.seen[0].value("X-Checked") == b"yes"
        assert web.seen[0].values("Authorization") == []
        gate.verdict = lambda: False
        refused = await ask(running.http, request("GET", "/now"))
        assert (refused.status, refused.value("X-Why"), refused.value("X-Dressed")) == (403, b"no", b"always")
        assert running.statuses == {200: 1, 403: 1}
    assert gate.ended == 1


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("size", [1, 70_000, 400_000])
async def test_bodies_wait_while_it_is_decided(gate: Gate, size: int, streamed: bool) -> None:
    policies = (*NO_HTTPS, RequestBody(collected=not streamed))
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    async with origin() as web, edge(host(HOST, route(policies=policies)), upstream(web.port)) as running:
        async with connection(running.http) as (reader, writer), http2(running.https) as client:
            writer.write(request("POST", "/wait", body=body) + request("GET", "/now/next"))
            stream = client.request("POST", "/wait", body=body[: client.window(1)])
            await eventually(lambda: gate.asked == 2)
            assert not web.seen
            gate.open.set()
            assert (await read_reply(reader)).status == 200
            assert (await read_reply(reader)).status == 200
            assert (await client.response(stream)).status == 200
        bodies = sorted(len(seen.body) for seen in web.seen)
        assert bodies == sorted([0, size, min(size, 65535)])
        assert all(body.startswith(seen.body) for seen in web.seen)
    assert gate.ended == 3


async def test_a_connection_that_was_stopped_for_a_body_nobody_wanted_is_read_again(gate: Gate) -> None:
    gate.verdict = lambda: False
    body = bytes(PIPELINE_LIMIT + 5)
    async with (
        origin() as web,
        edge(PLAIN, upstream(web.port)) as running,
        connection(running.http) as (reader, writer),
    ):
        writer.write(request("POST", "/wait", body=body)[:-10])
        (client,) = await eventually(lambda: running.listeners[0].each[0].connections)
        assert isinstance(client, ClientConnection)
        await eventually(lambda: len(client._pending) == len(body) - 10)
        writer.write(body[-10:])
        await eventually(lambda: len(client._pending) == len(body))
        gate.open.set()
        async with asyncio.timeout(5):
            assert (await read_reply(reader)).status == 403
            writer.write(request("GET", "/now"))
            assert (await read_reply(reader)).status == 403


async def test_a_client_that_waits_for_100_continue_hears_of_it_when_it_may_send(gate: Gate) -> None:
    async with (
        origin() as web,
        edge(PLAIN, upstream(web.port)) as running,
        connection(running.http) as (reader, writer),
    ):
        writer.write(request("POST", "/wait", "Content-Length: 3", "Expect: 100-continue"))
        await eventually(lambda: gate.asked == 1)
        gate.open.set()
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert (await read_reply(reader)).status == 200
    assert web.seen[0].body == b"abc"


async def test_a_refusal_leaves_the_body_of_its_request_alone(gate: Gate) -> None:
    gate.verdict = lambda: False
    async with origin() as web, edge(PLAIN, upstream(web.port)) as running:
        async with connection(running.http) as (reader, writer):
            writer.write(request("POST", "/now", body=b"x" * 10) + request("GET", "/now/next"))
            assert [(await read_reply(reader)).status for _ in range(2)] == [403, 403]
        async with connection(running.http) as (reader, writer):
            writer.write(request("POST", "/now", "Content-Length: 100000") + b"x" * 100)
            reply = await read_reply(reader)
            assert (reply.status, reply.value("Connection")) == (403, b"close")
        async with http2(running.https) as client:
            refused = await client.ask("POST", "/now", body=b"x" * 10)
            assert (refused.status, refused.headers["x-why"]) == (403, "no")
            stream = client.request("POST", "/wait", body=b"x" * 40_000)
            await eventually(lambda: gate.asked == 5)
            gate.open.set()
            assert (await client.response(stream)).status == 403
            assert (await client.ask("GET", "/now")).status == 403
    assert not web.seen


@pytest.mark.usefixtures("soon_missed")
async def test_clients_that_leave_end_the_wait(gate: Gate) -> None:
    async with origin() as web, edge(PLAIN, upstream(web.port)) as running:
        async with connection(running.http) as (_, writer):
            writer.write(request("GET", "/wait"))
            await eventually(lambda: gate.asked == 1)
        async with http2(running.https) as client:
            client.request("GET", "/wait")
            await eventually(lambda: gate.asked == 2)
        await eventually(lambda: gate.cancelled == 2)
        await eventually(lambda: running.statuses == {499: 2})
        gate.open.set()
        assert (await ask(running.http, request("GET", "/wait"))).status == 200
        assert len(web.seen) == 1
        assert not running.serving._tasks


@pytest.mark.usefixtures("soon_missed")
async def test_a_client_that_leaves_ends_the_wait_for_a_second_question_too(gate: Gate) -> None:
    first = gate._after

    def ask_again(_may: bool) -> Outcome:
        gate.open.clear()
        return Ask(May(b"/again"), first)

    gate._after = ask_again  # type: ignore[method-assign]
    async with origin() as web, edge(PLAIN, upstream(web.port)) as running:
        async with connection(running.http) as (_, writer):
            writer.write(request("GET", "/later"))
            await eventually(lambda: gate.asked == 1)
            gate.open.set()
            await eventually(lambda: gate.asked == 2)
        await eventually(lambda: gate.cancelled == 1)
        assert running.statuses == {499: 1}
        assert web.seen == []


async def test_a_phase_that_fails_lets_nothing_pass(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> bool:
        raise KeyError("defect")

    gate.verdict = fails
    gate.open.set()
    async with origin() as web, edge(PLAIN, upstream(web.port)) as running:
        assert (await ask(running.http, request("GET", "/now"))).status == 500
        assert (await ask(running.http, request("GET", "/wait"))).status == 500
        async with http2(running.https) as client:
            assert (await client.ask("GET", "/wait")).status == 500
        assert running.serving.traffic.counters["defect"] == 3
    assert not web.seen
    assert caplog.text.count("in phase gate") == caplog.text.count("a defect:") == 1, "told once, not for each request"


async def test_answers_that_are_the_edges_own_are_dressed_whatever_they_are(gate: Gate) -> None:
    gone = Route(host_route().match, Respond(404), NO_HTTPS, "default/web", "/gone")
    routes = (route(path="/dead", upstream="default/dead:80", policies=NO_HTTPS), gone)
    async with edge(host(HOST, *routes), settings(proxy_body_size=10)) as running:
        for target, status in (("/now", 404), ("/dead/now", 503)):
            gate.open.set()
            reply = await ask(running.http, request("GET", target))
            assert (reply.status, reply.value("X-Dressed")) == (status, b"always")
        large = await ask(running.http, request("POST", "/dead/now", body=b"x" * 11))
        assert (large.status, large.value("X-Dressed")) == (413, b"always")


def host_route() -> Route:
    return route(path="/")


# --- custom errors ------------------------------------------------------------------------------------------------


def failing(seen: Seen) -> bytes:
    """An answer with the status that the path ends in."""
    status = int(seen.line.split(b" ")[1].partition(b"?")[0].rpartition(b"/")[2] or b"200")
    return b"HTTP/1.1 %d Broken\r\nDate: now\r\nContent-Length: 8\r\n\r\noriginal" % status


async def broken(seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(failing(seen))


async def sorry(seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    body = b"" if seen.line.startswith(b"HEAD") else b"sorry"
    writer.write(b"HTTP/1.1 470 Sorry\r\nDate: now\r\nContent-Length: 5\r\n\r\n%b" % body)


ERRORS = (*NO_HTTPS, CustomErrors((404, 502, 503), None, "default/sorry:"))


async def both(running: Edge, target: str) -> tuple[tuple[int, bytes], tuple[int, bytes]]:
    """What both protocols get."""
    first = await ask(running.http, request("GET", target, "Accept: text/html"))
    async with http2(running.https) as client:
        second = await client.ask("GET", target, [("accept", "text/html")])
    return (first.status, first.body), (second.status, second.body)


async def test_errors_of_endpoints_are_replaced_by_the_backends_answer() -> None:
    async with origin(broken) as web, origin(sorry) as other:
        records = (host(HOST, route(policies=ERRORS)), upstream(web.port), upstream(other.port, name="default/sorry:"))
        async with edge(*records) as running:
            assert await both(running, "/a/404?b=c") == ((470, b"sorry"),) * 2
            assert await both(running, "/a/500") == ((500, b"original"),) * 2
            assert running.statuses == {470: 2, 500: 2}
        seen = other.seen[0]
        assert seen.line == b"GET /?b=c HTTP/1.1"
        told = {name: seen.value(name) for name in ("X-Code", "X-Format", "X-Original-URI", "X-Namespace", "Host")}
        assert told == {
            "X-Code": b"404",
            "X-Format": b"text/html",
            "X-Original-URI": b"/a/404?b=c",
            "X-Namespace": b"default",
            "Host": HOST.encode(),
        }
        assert (seen.value("X-Ingress-Name"), seen.value("X-Service-Name"), seen.value("X-Service-Port")) == (
            b"web",
            b"web",
            b"80",
        )
        assert len(seen.value("X-Request-ID")) == 32


async def test_the_edges_own_errors_are_replaced_too_and_bodies_are_not_sent_again() -> None:
    async with origin(sorry) as other:
        records = (host(HOST, route(policies=ERRORS)), upstream(other.port, name="default/sorry:"))
        async with edge(*records) as running, connection(running.http) as (reader, writer):
            writer.write(request("POST", "/x", body=b"some body") + request("HEAD", "/y"))
            first = await read_reply(reader)
            second = await read_reply(reader, bodiless=True)
            assert (first.status, first.body, second.status) == (470, b"sorry", 470)
            running.change(upstream(1))  # nobody listens there: 502
            assert await both(running, "/z") == ((470, b"sorry"),) * 2
        assert [seen.value("X-Code") for seen in other.seen] == [b"503", b"503", b"502", b"502"]
        assert other.seen[0].line == b"POST / HTTP/1.1"
        assert other.seen[0].value("Content-Length") == b"0"
        assert other.seen[1].line == b"HEAD / HTTP/1.1"


async def test_an_endpoints_errors_pass_where_the_route_says_so_and_nginxs_own_backend_answers_404() -> None:
    policies = (*NO_HTTPS, CustomErrors((404, 503), False, "default/sorry:"))
    async with origin(broken) as web:
        async with edge(host(HOST, route(policies=policies)), upstream(web.port)) as running:
            assert await both(running, "/404") == ((404, b"original"),) * 2
        records = (host(HOST, route(policies=NO_HTTPS)), upstream(web.port))
        async with edge(*records, settings(custom_http_errors=(503,))) as running:
            (first, page), (second, _) = await both(running, "/503")
            assert (first, second) == (404, 404)
            assert b"404 Not Found" in page


async def test_a_long_answer_that_is_replaced_leaves_nothing_behind() -> None:
    async def long(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)

    async with origin(long) as web, origin(sorry) as other:
        records = (host(HOST, route(policies=ERRORS)), upstream(web.port), upstream(other.port, name="default/sorry:"))
        async with edge(*records) as running, connection(running.http) as (reader, writer):
            for _ in range(3):
                writer.write(request("GET", "/404"))
                reply = await read_reply(reader)
                assert (reply.status, reply.body) == (470, b"sorry")
            await eventually(lambda: web.open == 0)


# --- what endpoints are told, and redirects -----------------------------------------------------------------------


async def test_endpoints_get_another_host_and_all_else_as_it_was() -> None:
    policies = (*NO_HTTPS, UpstreamHost("$service_name.svc"))
    async with origin() as web, edge(host(HOST, route(policies=policies)), upstream(web.port)) as running:
        assert (await ask(running.http, request("POST", "/", "X-A: 1", body=b"abc"))).status == 200
        async with http2(running.https) as client:
            assert (await client.ask("POST", "/", [("x-a", "1")], body=b"abc")).status == 200
    for seen in web.seen:
        assert seen.values("Host") == [b"web.svc"]
        assert seen.value("X-Forwarded-Host") == HOST.encode()
        assert (seen.value("X-A"), seen.body) == (b"1", b"abc")


async def test_redirects_come_before_everything_of_the_route() -> None:
    policies = (Moved(301, "https://new.example"), UpstreamHost("x"))
    async with edge(host(HOST, route(policies=policies), tls=True)) as running:
        reply = await ask(running.http, request("GET", "/a?b"))
        assert (reply.status, reply.value("Location")) == (301, b"https://new.example")
        assert b"Strict-Transport" not in reply.head
        async with http2(running.https) as client:
            response = await client.ask("GET", "/a?b")
        assert (response.status, response.headers["location"]) == (301, "https://new.example")
        assert "strict-transport-security" in response.headers
