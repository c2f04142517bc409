"""What is remembered of heads, edits and verdicts is never another request's: with it and without all is the same.

Requests of any kind go to two edges that serve the same. The one gets them over one connection of HTTP/1.1 and one of
HTTP/2, so that whatever it remembers is there; the other each over a connection of its own, from another endpoint
connection, with nothing remembered. What endpoints and clients get has to be equal byte for byte.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from proto.policies import CustomHeaders, Decorations, ExternalAuth, RequestHop, UpstreamHost
from services.edge.core import edited_heads
from services.edge.core.policies import external
from tests.support.edge import (
    NO_HTTPS,
    Edge,
    Seen,
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
from tests.support.http2 import Client, http2

HOSTS = ("one.example", "two.example", "ONE.example", "one.example:80", "two.example:8080")
PATHS = ("/plain", "/edited", "/guarded", "/old")
LINES = (
    "Accept: a",
    "Cookie: c=1",
    "Cookie: c=2",
    "Authorization: Bearer ann",
    "Authorization: Bearer bob",
    "X-Forwarded-For: 192.0.2.1",
    "X-Forwarded-For: 192.0.2.2",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: two.example",
    "X-Request-ID: mine",
    "X_Odd: 1",
    "X-User: evil",
    "Expect: nothing",
)
ANSWERS = (
    b"200 OK\r\nDate: d\r\nServer: s\r\nContent-Length: 2\r\n\r\nok",
    b"200 OK\r\nDate: d\r\nServer: t\r\nContent-Length: 2\r\n\r\nok",
    b"200 OK\r\nDate: d\r\nSet-Cookie: a=1\r\nContent-Length: 3\r\n\r\nabc",
    b"200 OK\r\nDate: d\r\nSet-Cookie: a=2\r\nContent-Length: 3\r\n\r\nabd",
    b"200 OK\r\nDate: d\r\nX-A: 1\r\nStrict-Transport-Security: x\r\nContent-Length: 0\r\n\r\n",
    b"404 No\r\nDate: d\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nno",
    b"204 No Content\r\nDate: d\r\n\r\n",
    b"200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
)
_own = re.compile(
    rb"(?<=\r\n)(?:X-Request-ID: [0-9a-f]{32}|X-Forwarded-Port: [0-9]{4,}|Date: \w+, [^\r]*|Connection: close)\r\n"
).sub
"""Takes out what is another with each request, edge, or second."""

Asked = tuple[str, str, int, list[str], bool]
"""(Host, path, the answer's number, header lines, whether there is a body)."""

ASKED: st.SearchStrategy[Asked] = st.tuples(
    st.sampled_from(HOSTS),
    st.sampled_from(PATHS),
    st.integers(0, len(ANSWERS) - 1),
    st.lists(st.sampled_from(LINES), max_size=4, unique_by=lambda line: line.partition(":")[0]),
    st.booleans(),
)


async def answer(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The one that the target asks for."""
    await read_body(seen, reader)
    number = int(re.findall(rb"n=([0-9]+)", seen.line)[0])
    writer.write(b"HTTP/1.1 " + ANSWERS[number])


async def judge(seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Who says who he is may pass, and is told on."""
    user = b"".join(seen.values("Authorization"))
    status = b"200 OK" if user else b"401 No"
    writer.write(b"HTTP/1.1 %b\r\nX-User: %b\r\nContent-Length: 0\r\n\r\n" % (status, user))


class Pair:
    """The two edges, and what their endpoints saw. The clients of the one whose memory is at work stay."""

    def __init__(self, trusted: bool) -> None:
        self._trusted = trusted
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Begin to serve."""
        enter = self._stack.enter_async_context
        self._auth = await enter(origin(judge))
        self._seen = [await enter(origin(answer)) for _ in range(2)]
        self._edges = [
            await enter(edge(*self._records(self._seen[0].port, "$http_authorization"), h2c=True)),
            await enter(edge(*self._records(self._seen[1].port, ""), h2c=True)),
        ]
        await self.connect()
        self._kept_http2 = await enter(http2(self._edges[0].http, tls=False))

    async def connect(self) -> None:
        """Have a connection that is kept."""
        self._kept = await self._stack.enter_async_context(connection(self._edges[0].http))

    async def stop(self) -> None:
        """Serve no more."""
        await self._stack.aclose()

    def _records(self, port: int, key: str) -> list:  # type: ignore[type-arg]
        guard = ExternalAuth(
            f"http://127.0.0.1:{self._auth.port}/", handed_on=("X-User",), cache_key=key, lifetimes=((0, 60),)
        )
        edits = (
            CustomHeaders((("X-C", "1"), ("Server", "t"))),
            Decorations(put=(("X-From", "$remote_addr"), ("X-To", "$host"))),
            UpstreamHost("$http_cookie.example"),
        )
        routes = [
            route(path="/plain", policies=NO_HTTPS),
            route(path="/edited", policies=(*NO_HTTPS, *edits)),
            route(path="/guarded", policies=(*NO_HTTPS, guard, edits[0])),
            route(path="/old", policies=(*NO_HTTPS, RequestHop(version="1.0"))),
        ]
        trust = settings(use_forwarded_headers=self._trusted, proxy_real_ip_cidr=("127.0.0.0/8",))
        return [host("one.example", *routes), host("two.example", *routes), upstream(port), trust]

    async def compare(self, asked: list[Asked]) -> None:
        """Ask all of it of both."""
        for number, one in enumerate(asked):
            target = f"{one[1]}?n={one[2]}&at={number}"
            for over in (over_http1, over_http2):
                got = []
                for side, (running, web) in enumerate(zip(self._edges, self._seen, strict=True)):
                    web.seen.clear()
                    reply = await over(self, side, running, target, one)
                    got.append((reply, [(_own(b"", seen.head), seen.body) for seen in web.seen]))
                assert got[0] == got[1]


def forget() -> None:
    """What a worker remembers for all of its connections."""
    edited_heads._around_id.cache_clear()
    edited_heads._remembered.cache_clear()
    external._remembered.cache_clear()


async def over_http1(pair: Pair, side: int, running: Edge, target: str, one: Asked) -> object:
    """Ask over the kept connection, or over one of its own."""
    name, _, _, lines, has_body = one
    data = request("PUT" if has_body else "GET", target, *lines, name=name, body=b"hello" if has_body else b"")
    if side == 0:
        reader, writer = pair._kept
        writer.write(data)
        reply = await read_reply(reader)
        if reply.value("Connection"):  # a body was not waited for, or it has had its requests
            await pair.connect()
    else:
        forget()
        async with connection(running.http) as (reader, writer):
            writer.write(data)
            reply = await read_reply(reader)
    return _own(b"", reply.head), reply.body


async def over_http2(pair: Pair, side: int, running: Edge, target: str, one: Asked) -> object:
    """The same over HTTP/2."""
    if side == 0:
        return await multiplexed(pair._kept_http2, target, one)
    forget()
    async with http2(running.http, tls=False) as client:
        return await multiplexed(client, target, one)


async def multiplexed(client: Client, target: str, one: Asked) -> object:
    name, _, _, lines, has_body = one
    fields = [(line.partition(": ")[0].lower(), line.partition(": ")[2]) for line in lines]
    frame = client.head("PUT" if has_body else "GET", target, fields, name=name, scheme="http", ended=not has_body)
    client.send(frame)
    if has_body:
        client.data(frame.stream_id, b"hello")
    response = await client.response(frame.stream_id)
    dated = response.headers.get("date") == "d"
    return response.headers | {"date": "d" if dated else "now"}, response.body, response.reset


@pytest.fixture(scope="module", params=[False, True], ids=("strangers", "trusted"))
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[asyncio.Runner, Pair]]:
    with asyncio.Runner() as runner:
        made = Pair(request.param)
        runner.run(made.start())
        yield runner, made
        runner.run(made.stop())


ANN, BOB = LINES[3], LINES[4]


@given(st.lists(ASKED, min_size=2, max_size=6))
@example([(HOSTS[0], "/guarded", 0, [who], False) for who in (ANN, BOB, ANN, LINES[0])])
@example([(HOSTS[0], "/plain", 0, [*lines, LINES[0]], False) for lines in ([], [LINES[5]], [], [LINES[6]], [LINES[9]])])
@example([(name, "/edited", 0, [LINES[1]], False) for name in (HOSTS[0], HOSTS[1], HOSTS[2], HOSTS[3])] * 2)
@effort(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_with_a_memory_and_without(pair: tuple[asyncio.Runner, Pair], asked: list[Asked]) -> None:
    runner, both = pair
    runner.run(both.compare(asked))
