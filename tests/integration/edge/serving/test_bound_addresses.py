"""Connections to addresses of the edge at which nobody is to be let in."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.edge import (
    HOST,
    NO_HTTPS,
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

PLAIN = host(HOST, route(policies=NO_HTTPS))


async def test_only_connections_to_the_address_are_let_in() -> None:
    async with origin() as web, edge(PLAIN, upstream(web.port), settings(bind_address=("127.0.0.2",))) as running:
        with pytest.raises((ConnectionError, EOFError)):
            await ask(running.http, request())
        with pytest.raises((ConnectionError, EOFError)):
            await ask(running.https, request(), tls=HOST)
        assert running.serving.traffic.counters["refused-address"] == 2
        running.change(settings(bind_address=("127.0.0.1",)))
        assert (await ask(running.http, request())).status == 200
        assert (await ask(running.https, request(), tls=HOST)).status == 200
        async with http2(running.https) as client:
            assert (await client.ask()).status == 200
        running.change(settings(use_proxy_protocol=True, disable_ipv6=True))
        assert (await ask(running.http, b"PROXY TCP4 192.0.2.1 192.0.2.2 1 80\r\n" + request())).status == 200


async def _ask(port: int) -> int:
    async with asyncio.timeout(10), connection(port, address="::1") as (reader, writer):
        writer.write(request())
        return (await read_reply(reader)).status


async def test_nobody_comes_by_ipv6_where_that_is_off() -> None:
    async with origin() as web, edge(PLAIN, upstream(web.port), settings(disable_ipv6=True), address="::1") as running:
        with pytest.raises((ConnectionError, EOFError)):
            await _ask(running.http)
        running.change(settings())
        assert await _ask(running.http) == 200
