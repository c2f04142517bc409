"""Errors that nobody expected: the request at work comes to its end, the others go on, and each place is told once."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from proto.policies import BackendProtocol
from proto.resources import ResourceRecord
from services.edge import attempts
from services.edge.client import ClientConnection
from services.edge.core.generation import Generation
from services.edge.http2 import stream as streams
from services.edge.http2_upstream import sessions
from services.edge.listener import listen
from services.edge.options import DEFAULT_LIMITS, DEFAULT_METRICS, LimitOptions
from services.edge.process.front import Front
from services.edge.spool import Collected
from tests.support.edge import (
    NO_HTTPS,
    SEALER,
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
from tests.support.http2 import http2
from tests.support.waiting import eventually

CALLED = (*NO_HTTPS, BackendProtocol("grpc"))
PLAIN = host("t.example", route(policies=NO_HTTPS))
GRPC = host("t.example", route(policies=CALLED))


async def _fails(*_args: object, **_more: object) -> None:
    raise LookupError("nobody thought of this")


def _fail(*_args: object, **_more: object) -> None:
    raise LookupError("nobody thought of this")


@pytest.mark.parametrize(("module", "record"), [(attempts, PLAIN), (sessions, GRPC)], ids=["http/1.1", "http/2"])
async def test_a_connection_that_comes_to_nothing_is_500_told_once_and_forgotten(
    module: object, record: ResourceRecord, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "connect", _fails)
    async with edge(record, upstream(9)) as running:
        for _ in range(3):
            assert (await ask(running.http)).status == 500
        assert running.serving.limits._connecting == 0
        assert running.serving.traffic.counters["defect"] == 3
    told = [line for line in caplog.records if line.levelno == logging.ERROR]
    assert len(told) == 1
    assert "LookupError" in told[0].message
    assert "test_defects.py" in told[0].message
    assert told[0].exc_info


@pytest.mark.usefixtures("soon_missed")
async def test_a_connection_that_nobody_waits_for_any_more_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def fails_late(*_args: object) -> None:
        begun.set()
        await go.wait()
        raise LookupError

    monkeypatch.setattr(attempts, "connect", fails_late)
    async with edge(PLAIN, upstream(9)) as running:
        _, writer = await asyncio.open_connection("127.0.0.1", running.http)
        writer.write(request())
        await begun.wait()
        writer.close()
        await eventually(lambda: 499 in running.statuses)
        go.set()
        await eventually(lambda: running.serving.traffic.counters["defect"] == 1)


async def test_a_response_that_cannot_be_written_is_500_over_http1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClientConnection, "respond", _fail)
    async with origin() as web, edge(PLAIN, upstream(web.port)) as running:
        assert (await ask(running.http)).status == 500
        assert running.serving.traffic.counters["defect"] == 1


async def test_an_answer_that_cannot_be_made_either_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClientConnection, "respond", _fail)
    monkeypatch.setattr(ClientConnection, "_answer", _fail)
    async with origin() as web, edge(PLAIN, upstream(web.port)) as running:
        async with asyncio.timeout(10), connection(running.http) as (reader, writer):
            writer.write(request())
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
        assert running.serving.traffic.counters["defect"] == 2


async def test_streams_beside_one_that_meets_a_defect_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async with origin() as web, edge(PLAIN, upstream(web.port)) as running, http2(running.https) as client:
        plan = streams.plan
        monkeypatch.setattr(
            streams, "plan", lambda host, target, *more: (_fail if b"bad" in target else plan)(host, target, *more)
        )
        good, bad, other = (client.request("GET", path) for path in ("/good", "/bad", "/other"))
        assert (await client.response(good)).status == 200
        assert (await client.response(bad)).status == 500
        assert (await client.response(other)).status == 200
        assert running.serving.traffic.counters["defect"] == 1


async def test_a_body_in_a_file_that_cannot_be_handed_on_is_500(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Collected, "read", _fail)
    body = b"x" * 300_000
    async with origin() as web, edge(PLAIN, upstream(web.port), settings(client_body_buffer_size=0)) as running:
        assert (await ask(running.http, request("POST", body=body))).status == 500
        assert running.serving.traffic.counters["defect"] == 1


async def test_connections_of_http2_count_among_those_that_are_being_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def late(*_args: object) -> None:
        begun.set()
        await go.wait()
        raise ConnectionRefusedError

    monkeypatch.setattr(sessions, "connect", late)
    two = host("u.example", route("default/other:80", policies=CALLED))
    records = (GRPC, upstream(9), two, upstream(10, name="default/other:80"))
    async with edge(*records) as running:
        running.serving.limits._options = LimitOptions(pending_connects=1)
        waiting = asyncio.create_task(ask(running.http))
        await begun.wait()
        refused = await ask(running.http, request(name="u.example"))
        assert refused.status == 503
        assert running.serving.traffic.counters["overload-pending-connects"] == 1
        go.set()
        assert (await waiting).status == 502
        assert running.serving.limits._connecting == 0


async def test_what_the_loop_meets_is_told_once_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Bytes that make us fail again and again end their connections, and do not fill the log."""
    monkeypatch.setattr(ClientConnection, "_receive_head", _fail)
    front = Front(SEALER, tmp_path, DEFAULT_METRICS, DEFAULT_LIMITS)
    serving = front._serving
    serving.swap(Generation.first((PLAIN,), 1, 1, bytes(32)))
    made = bound()
    port = made.getsockname()[1]
    listeners = await listen(serving, [made], False)
    try:
        for _ in range(5):
            async with connection(port) as (reader, writer):
                writer.write(b"GET / HT")
                assert await reader.read() == b""
        await eventually(lambda: serving.traffic.counters["defect"] == 5)
    finally:
        await listeners.drain(0)
    assert len([line for line in caplog.records if line.levelno == logging.ERROR]) == 1
