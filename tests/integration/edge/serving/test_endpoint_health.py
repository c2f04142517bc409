"""Endpoints that refuse or time out are left out for a while, and come back."""

from __future__ import annotations

import asyncio

import pytest

from proto.policies import BackendProtocol, NextUpstream, ProxyTimeouts
from services.edge import health
from tests.support.edge import Edge, Origin, Seen, ask, bound, edge, host, origin, request, route, settings, upstream
from tests.support.waiting import eventually


def pools_by_port(running: Edge) -> dict[int, str]:
    """Why each endpoint rests."""
    return {pool.port: pool.resting for pool in next(iter(running.serving.pools.balancers.values())).pools}


def turn(running: Edge) -> set[int]:
    """The endpoints that have turns."""
    return {pool.port for pool in next(iter(running.serving.pools.balancers.values())).turn}


async def silent(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await reader.read()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "FIRST_REST", 0.1)
    monkeypatch.setattr(health, "LONGEST_REST", 0.3)


async def test_an_endpoint_that_refuses_is_asked_no_more_until_it_takes_connections() -> None:
    closed = bound()
    port = closed.getsockname()[1]
    async with origin() as web, edge(host(), upstream(port, web.port)) as running:
        for _ in range(8):
            assert (await ask(running.http)).status == 200
        assert running.serving.traffic.counters["connect-error"] == 1
        assert turn(running) == {web.port}
        back = Origin()
        server = await asyncio.start_server(back.serve, sock=closed)
        await eventually(lambda: turn(running) == {port, web.port}, 5)
        for _ in range(4):
            assert (await ask(running.http)).status == 200
        assert back.seen, "it has its turns again"
        assert running.serving.traffic.counters["connect-error"] == 1, "no request paid for finding out"
        server.close()
        back.close_connections()


async def test_where_all_refuse_all_are_tried() -> None:
    closed = [bound(), bound()]
    ports = [one.getsockname()[1] for one in closed]
    async with edge(host(), upstream(*ports)) as running:
        assert (await ask(running.http)).status == 502
        assert set(pools_by_port(running).values()) == {"refusing"}
        assert turn(running) == set(ports)
        back = Origin()
        server = await asyncio.start_server(back.serve, sock=closed[1])
        assert (await ask(running.http)).status == 200
        server.close()
        back.close_connections()
    closed[0].close()


async def test_one_that_times_out_again_and_again_is_left_out_and_comes_back_by_itself() -> None:
    policies = (ProxyTimeouts(read=0.05), NextUpstream(("error",), None, None))
    async with (
        origin(silent) as slow,
        origin() as web,
        edge(host("t.example", route(policies=policies)), upstream(slow.port, web.port)) as running,
    ):
        statuses = [(await ask(running.http)).status for _ in range(2 * health.TIMEOUTS)]
        assert sorted(statuses) == [200] * health.TIMEOUTS + [504] * health.TIMEOUTS
        assert turn(running) == {web.port}
        assert [(await ask(running.http)).status for _ in range(4)] == [200] * 4
        await eventually(lambda: turn(running) == {slow.port, web.port}, 5)


async def test_timeouts_leave_out_no_more_than_half_of_an_upstream() -> None:
    policies = (ProxyTimeouts(read=0.05), NextUpstream(("error",), None, None))
    async with (
        origin(silent) as one,
        origin(silent) as two,
        origin(silent) as three,
        edge(host("t.example", route(policies=policies)), upstream(one.port, two.port, three.port)) as running,
    ):
        replies = await asyncio.gather(*(ask(running.http) for _ in range(4 * health.TIMEOUTS)))
        assert {reply.status for reply in replies} == {504}
        assert len(turn(running)) == 2


async def test_an_answer_in_between_makes_the_timeouts_forgotten() -> None:
    async def in_turns(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if seen.line.startswith(b"GET /slow"):
            await reader.read()
        else:
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    policies = (ProxyTimeouts(read=0.05), NextUpstream(("off",), None, None))
    async with (
        origin(in_turns) as web,
        edge(host("t.example", route(policies=policies)), upstream(web.port)) as running,
    ):
        for _ in range(health.TIMEOUTS):
            assert (await ask(running.http, request(target="/slow"))).status == 504
            assert (await ask(running.http)).status == 204
        assert pools_by_port(running) == {web.port: ""}


async def test_what_rests_goes_on_resting_in_the_next_generation() -> None:
    closed = bound()
    port = closed.getsockname()[1]
    async with origin() as web, origin() as more, edge(host(), upstream(port, web.port)) as running:
        for _ in range(2):
            assert (await ask(running.http)).status == 200
        running.change(settings(proxy_read_timeout=7.0), upstream(port, web.port, more.port))
        assert (await ask(running.http)).status == 200
        assert turn(running) == {web.port, more.port}
        running.change(upstream(web.port, more.port))
        assert (await ask(running.http)).status == 200
        assert turn(running) == {web.port, more.port}
    closed.close()


async def test_want_of_descriptors_is_no_fault_of_an_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        loop = asyncio.get_running_loop()
        create = loop.create_connection

        async def none_left(*args: object, **more: object) -> object:
            if args[1:] == ("127.0.0.1", web.port):
                raise OSError(24, "Too many open files")
            return await create(*args, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(loop, "create_connection", none_left)
        assert (await ask(running.http)).status == 503
        assert pools_by_port(running) == {web.port: ""}
        assert running.serving.traffic.counters["overload-resources"] == 1
        monkeypatch.undo()
        assert (await ask(running.http)).status == 200


async def test_endpoints_that_speak_http2_are_left_out_likewise() -> None:
    closed = bound(), bound()
    ports = {one.getsockname()[1] for one in closed}
    policies = (BackendProtocol("grpc"),)
    async with edge(host("t.example", route(policies=policies)), upstream(*ports)) as running:
        assert (await ask(running.http)).status == 502
        assert pools_by_port(running) == dict.fromkeys(ports, "refusing")
    for one in closed:
        one.close()
