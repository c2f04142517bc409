"""What is offered to another endpoint, and what is not (nginx: proxy_next_upstream and its kin)."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from proto.policies import NextUpstream, Policy, ProxyTimeouts
from services.edge.core.tried import Tried
from services.edge.traffic import Record
from tests.support.edge import (
    Answer,
    Edge,
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

BAD = b"HTTP/1.1 502 Bad\r\nContent-Length: 3\r\n\r\nbad"
LONG_BAD = b"HTTP/1.1 503 Bad\r\nContent-Length: 9\r\n\r\nbad"


def answers(what: bytes, *, end: bool = False) -> Answer:
    """Read the request whole, then say ``what``, and end the connection or leave it."""

    async def answer(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(seen, reader)
        writer.write(what)
        await writer.drain()
        if end:
            writer.close()

    return answer


def refusing() -> int:
    """A port where nobody listens."""
    free = bound()
    port: int = free.getsockname()[1]
    free.close()
    return port


def tried(running: Edge) -> list[list[tuple[str, int]]]:
    """What the records say of each request: endpoints with statuses, in order."""
    lists = []
    for row in running.serving.traffic.buffer:
        record = Record(*row)  # type: ignore[arg-type]
        earlier = [(one.endpoint.rpartition(":")[2], one.status) for one in record.earlier]
        lists.append([*earlier, (record.endpoint.rpartition(":")[2], record.upstream_status)])
    return lists


def turned(running: Edge, port: int) -> None:
    """The endpoint on ``port`` is next."""
    balancer = next(iter(running.serving.pools.balancers.values()))
    while balancer.next().port != port:
        pass
    for _ in range(len(balancer.turn) - 1):
        balancer.next()


def after(*conditions: str, **more: int) -> tuple[Policy, ...]:
    """The policy of a route."""
    return (NextUpstream(conditions or None, more.get("tries"), more.get("timeout")),)


async def first_try(running: Edge, port: int) -> None:
    """Have the balancer made, and ``port`` first."""
    generation = running.serving.generation
    assert generation is not None
    found = generation.upstream("default/web:80")
    assert found is not None
    running.serving.pools.balancer("default/web:80", found)
    turned(running, port)


@pytest.mark.parametrize("bad", [BAD, LONG_BAD])
async def test_a_status_that_is_named_is_asked_again_elsewhere(bad: bytes) -> None:
    policies = after("http_502", "http_503")
    async with (
        origin(answers(bad)) as first,
        origin() as second,
        edge(host("t.example", route(policies=policies)), upstream(first.port, second.port)) as running,
    ):
        await first_try(running, first.port)
        reply = await ask(running.http)
        assert (reply.status, reply.body) == (200, b"ok")
        assert tried(running) == [[(str(first.port), int(bad[9:12])), (str(second.port), 200)]]


async def test_a_status_that_is_not_named_is_passed_on_and_so_is_that_of_the_last_try() -> None:
    async with (
        origin(answers(BAD)) as first,
        origin(answers(BAD)) as second,
        edge(
            host("t.example", route(policies=after("http_502")), route(path="/as-it-is")),
            upstream(first.port, second.port),
        ) as running,
    ):
        assert (await ask(running.http, request(target="/as-it-is"))).body == b"bad"
        assert len(first.seen) + len(second.seen) == 1
        reply = await ask(running.http)
        assert (reply.status, reply.body) == (502, b"bad"), "what the last endpoint said, not a page of the edge"
        assert len(first.seen) + len(second.seen) == 4
        assert len(tried(running)[1]) == 3


async def test_nonsense_is_asked_again_only_where_invalid_header_says_so() -> None:
    async with (
        origin(answers(b"nonsense\r\n\r\n")) as first,
        origin() as second,
        edge(
            host("t.example", route(policies=after("error", "invalid_header")), route(path="/strict")),
            upstream(first.port, second.port),
        ) as running,
    ):
        await first_try(running, first.port)
        assert (await ask(running.http, request(target="/strict"))).status == 502
        turned(running, first.port)
        assert (await ask(running.http)).status == 200


@pytest.mark.parametrize("method", ["POST", "PATCH", "LOCK"])
async def test_what_is_not_idempotent_is_not_sent_twice(method: str) -> None:
    async with (
        origin(answers(b"", end=True)) as first,
        origin() as second,
        edge(
            host("t.example", route(), route(path="/twice", policies=after("error", "non_idempotent"))),
            upstream(first.port, second.port),
        ) as running,
    ):
        await first_try(running, first.port)
        assert (await ask(running.http, request(method, body=b"x"))).status == 502
        assert second.seen == []
        turned(running, first.port)
        assert (await ask(running.http, request(method, "/twice", body=b"x"))).status == 200
        assert [seen.body for seen in second.seen] == [b"x"]


async def test_what_was_not_sent_may_go_elsewhere_whatever_its_method() -> None:
    async with origin() as web, edge(host(), upstream(refusing(), web.port)) as running:
        for _ in range(4):
            assert (await ask(running.http, request("POST", body=b"x"))).status == 200
        assert [seen.body for seen in web.seen] == [b"x"] * 4


async def test_an_idempotent_request_with_a_body_is_sent_whole_again() -> None:
    async with (
        origin(answers(b"", end=True)) as first,
        origin() as second,
        edge(host(), upstream(first.port, second.port)) as running,
    ):
        await first_try(running, first.port)
        body = b"x" * 300_000
        assert (await ask(running.http, request("PUT", body=body))).status == 200
        assert [seen.body for seen in (*first.seen, *second.seen)] == [body, body]


async def test_off_means_one_try() -> None:
    ports = refusing(), refusing()
    async with edge(host("t.example", route(policies=after("off"))), upstream(*ports)) as running:
        assert (await ask(running.http)).status == 502
        assert running.serving.traffic.counters["connect-error"] == 1


async def test_no_tries_named_means_each_endpoint_once() -> None:
    ports = [refusing() for _ in range(5)]
    async with edge(host("t.example", route(policies=after(tries=0))), upstream(*ports)) as running:
        assert (await ask(running.http)).status == 502
        assert running.serving.traffic.counters["connect-error"] == len(set(ports))


async def test_trying_ends_when_its_time_is_over() -> None:
    policies = (NextUpstream(None, None, 0.1), ProxyTimeouts(read=0.3))

    async def silent(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with (
        origin(silent) as web,
        edge(host("t.example", route(policies=policies)), upstream(web.port)) as running,
    ):
        assert (await ask(running.http)).status == 504
        assert len(web.seen) == 1


async def test_a_routes_own_time_holds_for_it_alone() -> None:
    async def silent(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    policies = (ProxyTimeouts(read=0.2), *after("off"))
    async with (
        origin(silent) as web,
        edge(
            host("t.example", route(policies=policies), route(path="/patient")),
            upstream(web.port),
            settings(proxy_read_timeout=30.0),
        ) as running,
        connection(running.http) as (_, patient),
    ):
        patient.write(request(target="/patient"))
        assert (await ask(running.http)).status == 504
        assert running.statuses == {504: 1}


async def test_each_try_is_put_down_with_its_times() -> None:
    closed = refusing()
    async with origin() as web, edge(host(), upstream(closed, web.port)) as running:
        await first_try(running, closed)
        assert (await ask(running.http)).status == 200
        record = Record(*running.serving.traffic.buffer[0])  # type: ignore[arg-type]
        (earlier,) = record.earlier
        assert isinstance(earlier, Tried)
        assert (earlier.status, earlier.connect_seconds, earlier.header_seconds, earlier.length) == (502, -1.0, -1.0, 0)
        assert 0 <= earlier.response_seconds < 5
        assert (record.upstream_status, record.upstream_length) == (200, 2)


async def test_a_connection_that_ended_unread_carries_no_post() -> None:
    """The endpoint closes just before the request: the end waits in the socket, unread."""
    async with (
        origin() as web,
        edge(host(), upstream(web.port)) as running,
        connection(running.http) as (reader, writer),
    ):
        writer.write(request())
        assert (await read_reply(reader)).status == 200
        (idle,) = running.serving.pools.resting
        idle.transport.pause_reading()  # the loop does not come to reading the end before the request
        web.close_connections()
        await asyncio.sleep(0.05)
        writer.write(request("POST", body=b"x"))
        assert (await read_reply(reader)).status == 200
        assert web.connections == 2
        assert len(web.seen) == 2


async def test_a_failing_upstream_cannot_cost_tries_without_end() -> None:
    async with edge(host("t.example", route(policies=after(tries=3))), upstream(refusing())) as running:
        assert (await ask(running.http)).status == 502
        assert running.serving.traffic.counters["connect-error"] == 3
        (balancer,) = running.serving.pools.balancers.values()
        while balancer.retries.take(monotonic()):
            pass
        assert (await ask(running.http)).status == 502
        assert running.serving.traffic.counters["connect-error"] < 6
        assert running.serving.traffic.counters["retry-budget-spent"] == 1
