"""Limits of clients on real sockets: who shares them, what outlives a swap, and that every end gives back."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from proto.policies import RateLimit
from tests.support.edge import (
    NO_HTTPS,
    OK,
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
from tests.support.waiting import eventually


async def statuses(port: int, *paths: str) -> list[int]:
    return [(await ask(port, request(target=path))).status for path in paths]


async def test_the_paths_of_an_ingress_share_its_limit_and_a_swap_gives_nobody_more() -> None:
    limited = (*NO_HTTPS, RateLimit(per_minute=1, burst=2))
    routes = (route(policies=limited), route(path="/b", policies=limited))
    async with origin() as web, edge(host("t.example", *routes), upstream(web.port)) as running:
        assert await statuses(running.http, "/", "/b", "/", "/b", "/") == [200, 200, 200, 503, 503]
        running.change(settings(limit_req_status_code=429))
        assert await statuses(running.http, "/", "/b") == [429, 429]


@pytest.mark.usefixtures("soon_missed")
async def test_a_client_that_leaves_makes_room() -> None:
    limited = route(policies=(*NO_HTTPS, RateLimit(at_once=2)))
    gate = asyncio.Event()

    async def answer(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        writer.write(OK)

    async with origin(answer) as web, edge(host("t.example", limited), upstream(web.port)) as running:
        async with connection(running.http) as (_, writer):
            writer.write(request())
            await eventually(lambda: len(web.seen) == 1)
            others = [asyncio.create_task(ask(running.http)) for _ in range(3)]
            await eventually(lambda: sum(task.done() for task in others) == 2)
            assert {task.result().status for task in others if task.done()} == {503}
        await eventually(lambda: sum(running.serving.client_rates._under_way.values()) == 1)
        gate.set()
        assert Counter([(await task).status for task in others]) == {200: 1, 503: 2}
        await eventually(lambda: not running.serving.client_rates._under_way)
        assert await statuses(running.http, "/", "/", "/") == [200, 200, 200]
