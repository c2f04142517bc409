"""Responses on real sockets that go no faster than they may, and that are packed with brotli."""

from __future__ import annotations

import asyncio
import re
from time import monotonic

import brotli
import pytest

from proto.policies import ResponseBuffering, ResponseRate
from tests.support.edge import (
    HOST,
    NO_HTTPS,
    Seen,
    ask,
    connection,
    edge,
    host,
    origin,
    request,
    route,
    settings,
    upstream,
)
from tests.support.http2 import http2
from tests.support.waiting import eventually

BODY = bytes(range(256)) * 4096
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
SLOW = (*NO_HTTPS, ResponseBuffering(enabled=True), ResponseRate(700, 100))
"""At least 0.3 s for the body."""


@pytest.mark.parametrize("answer", [WHOLE, CHUNKED])
async def test_a_response_goes_as_fast_as_it_may(answer: bytes) -> None:
    async with origin(answer) as web, edge(host(HOST, route(policies=SLOW)), upstream(web.port)) as running:
        began = monotonic()
        over_http1, over_http2 = await asyncio.gather(ask(running.http), _over_http2(running.https))
        assert monotonic() - began >= 0.3
        assert over_http1.body == over_http2 == BODY
        assert web.open == 2  # the endpoint was done long before: it waits for the next request


async def _over_http2(port: int) -> bytes:
    async with http2(port) as client:
        return (await client.ask()).body


async def test_the_next_request_follows_and_a_client_may_leave() -> None:
    async with origin(WHOLE) as web, edge(host(HOST, route(policies=SLOW)), upstream(web.port)) as running:
        async with connection(running.http) as (reader, writer):
            writer.write(request() + request("HEAD"))
            head = await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(len(BODY)) == BODY
            dates = re.compile(rb"Date: [^\r]*")  # it may have taken more than a second
            assert dates.sub(b"", await reader.readuntil(b"\r\n\r\n")) == dates.sub(b"", head)
        async with connection(running.http) as (reader, writer):
            writer.write(request())
            await reader.readuntil(b"\r\n\r\n")
        await eventually(lambda: running.serving.traffic.counters["client-aborted"] == 1)


async def test_streams_are_packed_piece_by_piece() -> None:
    more = asyncio.Event()

    async def stream(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await more.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")

    said = settings(enable_brotli=True, use_gzip=True)
    table = (host(HOST, route(policies=NO_HTTPS)), said)
    async with origin(stream) as web, edge(*table, upstream(web.port)) as running, http2(running.https) as client:
        number = client.request(fields=[("accept-encoding", "gzip, br;q=0.5")])
        reader = brotli.Decompressor()
        await client.until(lambda: bool(client.at(number).body))
        response = client.at(number)
        assert response.headers["content-encoding"] == "br"
        first = len(response.body)
        assert reader.process(response.body) == b"one"
        more.set()
        response = await client.response(number)
        assert reader.process(response.body[first:]) == b"two"
        assert reader.is_finished()
