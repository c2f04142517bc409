"""Clients that stay, hashes, latencies and canaries over sockets: who gets the request, and what the client is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from proto.codec import record_of
from proto.policies import Affinity, Balancing, Canary, Policy
from proto.resources import Endpoint, ResourceRecord, Upstream
from tests.support.edge import HOST, NO_HTTPS, Edge, Origin, Reply, Seen, ask, bound, edge, host, origin, request, route
from tests.support.http2 import http2

NAME = "default/web:80"


def upstream(ports: Sequence[int], balancing: Balancing | None = None, name: str = NAME) -> ResourceRecord:
    return record_of(name, Upstream(tuple(Endpoint("127.0.0.1", port) for port in sorted(ports)), balancing=balancing))


def named(number: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 1\r\n\r\n%d" % number


@asynccontextmanager
async def several(
    count: int, *policies: Policy, balancing: Balancing | None = None, dead: int = 0
) -> AsyncIterator[tuple[Edge, list[Origin]]]:
    """An edge before ``count`` origins that answer with their number, and ``dead`` ports where nobody listens."""
    async with AsyncExitStack() as stack:
        origins = [await stack.enter_async_context(origin(named(number))) for number in range(count)]
        closed = [stack.enter_context(bound()) for _ in range(dead)]  # bound and not listening: refused
        ports = [one.port for one in origins] + [one.getsockname()[1] for one in closed]
        plain = host(HOST, route(policies=(*NO_HTTPS, *policies)))
        yield await stack.enter_async_context(edge(plain, upstream(ports, balancing))), origins


def cookie_of(reply: Reply) -> str:
    """What the client brings from now on."""
    assert reply.head.count(b"Set-Cookie:") == 1
    value = reply.value("Set-Cookie").decode()
    assert value.startswith("INGRESSCOOKIE="), value
    return value.partition(";")[0]


def told(reply: Reply) -> bool:
    """Whether the client is told where to stay."""
    return b"Set-Cookie:" in reply.head


@pytest.mark.parametrize("mode", [False, True], ids=["balanced", "persistent"])
async def test_a_client_stays_with_its_cookie(mode: bool) -> None:
    async with several(4, Affinity(persistent=mode)) as (running, _):
        homes = set()
        for _ in range(12):
            first = await ask(running.http)
            cookie = cookie_of(first)
            homes.add(first.body)
            for _ in range(3):
                again = await ask(running.http, request("GET", "/", f"Cookie: {cookie}"))
                assert (again.body, told(again)) == (first.body, False)
        assert len(homes) > 1


async def test_an_endpoint_that_refuses_is_passed_over_and_the_cookie_kept() -> None:
    async with several(1, Affinity(), dead=1) as (running, _):
        for number in range(8):
            reply = await ask(running.http, request("GET", "/", f"Cookie: INGRESSCOOKIE=key{number}|x"))
            assert (reply.status, reply.body, told(reply)) == (200, b"0", False)


async def test_a_client_without_a_cookie_stays_with_who_served_it_after_a_failure() -> None:
    async with several(1, Affinity(), dead=1) as (running, _):
        reply = await ask(running.http)
        assert (reply.status, reply.body) == (200, b"0")
        assert cookie_of(reply)


async def test_the_cookie_over_tls_and_over_http2() -> None:
    async with several(3, Affinity()) as (running, _):
        over_tls = await ask(running.https, tls=HOST)
        assert over_tls.value("Set-Cookie").endswith(b"; Path=/; Secure; HttpOnly")
        async with http2(running.https) as client:
            reply = await client.ask("GET", "/", [("cookie", cookie_of(over_tls))])
            assert (reply.body, "set-cookie" in reply.headers) == (over_tls.body, False)


async def test_the_same_hash_the_same_endpoint_whoever_asks() -> None:
    async with several(4, balancing=Balancing(hash_by="$request_uri")) as (running, origins):
        homes = {}
        for number in range(12):
            homes[number] = (await ask(running.http, request("GET", f"/{number}"))).body
        assert len(set(homes.values())) > 1
        running.change(upstream([*(one.port for one in origins[1:])], Balancing(hash_by="$request_uri")))
        for number, home in homes.items():
            now = (await ask(running.http, request("GET", f"/{number}"))).body
            assert now == home or home == b"0"


async def test_a_group_takes_what_the_hash_chooses() -> None:
    async with several(6, balancing=Balancing(hash_by="$host", group=2)) as (running, _):
        assert len({(await ask(running.http)).body for _ in range(40)}) == 2


async def test_the_slow_one_gets_little() -> None:
    async def slowly(seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)  # what is measured
        writer.write(named(9))

    async with several(2, balancing=Balancing("ewma")) as (running, origins), origin(slowly) as slow:
        running.change(upstream([*(one.port for one in origins), slow.port], Balancing("ewma")))
        shares = Counter([(await ask(running.http)).body for _ in range(60)])
        assert sum(shares.values()) == 60
        assert shares[b"9"] <= 6
        assert shares[b"0"] > 5
        assert shares[b"1"] > 5


async def test_canaries_take_their_share_and_clients_stay_with_them() -> None:
    canary = Canary("default/next:80", weight=50)
    async with several(1, Affinity(), canary) as (running, _), origin(named(7)) as next_one:
        running.change(upstream([next_one.port], name="default/next:80"))
        replies = [await ask(running.http) for _ in range(60)]
        shares = Counter(reply.body for reply in replies)
        assert shares[b"0"] > 10
        assert shares[b"7"] > 10
        series = running.serving.traffic.snapshot()
        assert {(found.labels.service, found.labels.alternative) for found in series} == {
            ("web", b""),
            ("web", b"default-next-80"),
        }
        for reply in replies[:10]:
            again = await ask(running.http, request("GET", "/", f"Cookie: {cookie_of(reply)}"))
            assert again.body == reply.body
