"""Requests that come before their predecessors were answered: in order, whole, in bounded memory."""

from __future__ import annotations

import asyncio

import pytest

from services.edge import connection as connections
from services.edge.connection import Connection
from tests.support.edge import (
    OK,
    STREAMED,
    Seen,
    connection,
    edge,
    host,
    origin,
    read_reply,
    request,
    settings,
    upstream,
)
from tests.support.waiting import eventually


async def test_a_client_that_asks_faster_than_is_answered_is_read_no_further_than_a_limit() -> None:
    """However small the requests are: each answer lets in no more than the limit."""
    most = 0

    async def answer(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal most
        most = max(most, *(len(held._pending) for held in running.listeners[0].each[0].connections))
        writer.write(OK)

    async with (
        origin(answer) as web,
        edge(host(), upstream(web.port), settings(keep_alive_requests=100_000)) as running,
        asyncio.timeout(20),
        connection(running.http) as (reader, writer),
    ):
        count = 60_000
        writer.write(request() * count)
        for _ in range(200):
            assert (await read_reply(reader)).status == 200
        assert most < connections.PIPELINE_LIMIT + 512 * 1024


async def test_the_last_answer_of_a_connection_survives_the_requests_behind_it() -> None:
    """Closing with bytes unread would reset the connection, and take the answer along."""
    async with (
        origin() as web,
        edge(host(), upstream(web.port), settings(keep_alive_requests=1)) as running,
        asyncio.timeout(10),
        connection(running.http) as (reader, writer),
    ):
        writer.write(request())
        await eventually(lambda: running.statuses == {200: 1})
        for _ in range(50):
            writer.write(request())
            await asyncio.sleep(0.002)
        reply = await read_reply(reader)
        assert (reply.body, reply.value("Connection")) == (b"ok", b"close")
        assert await reader.read() == b""


async def test_connections_that_are_not_to_be_kept_say_so() -> None:
    async with (
        origin() as web,
        edge(host(), upstream(web.port), settings(keep_alive=0.0)) as running,
        asyncio.timeout(5),
        connection(running.http) as (reader, writer),
    ):
        writer.write(request())
        assert (await read_reply(reader)).value("Connection") == b"close"
        assert await reader.read() == b""


async def test_a_body_that_ends_with_the_connection_is_given_up_at_once() -> None:
    """Also where the half-close came while the request before it was under way."""
    proceed = asyncio.Event()

    async def answer(seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if seen.line.startswith(b"GET"):
            await proceed.wait()
            writer.write(OK)

    async with (
        origin(answer) as web,
        edge(host(), upstream(web.port), STREAMED) as running,
        asyncio.timeout(5),
        connection(running.http) as (reader, writer),
    ):
        writer.write(request() + request("POST", "/", "Content-Length: 10") + b"half")
        writer.write_eof()
        await eventually(lambda: web.seen)
        proceed.set()
        assert (await read_reply(reader)).body == b"ok"
        await eventually(lambda: web.open == 0, what="the endpoint hears that the upload broke off")


async def test_a_refused_client_that_reads_slowly_and_never_leaves_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it takes bytes again, the time for leaving still runs."""
    monkeypatch.setattr(connections, "LINGER_TIME", 0.3)
    held: list[Connection] = []
    async with edge(host()) as running, asyncio.timeout(10), connection(running.http) as (reader, writer):
        writer.write(b"nonsense\r\n\r\n")
        await read_reply(reader)
        held += running.listeners[0].each[0].connections
        held[0].pause_writing()
        held[0].resume_writing()
        await eventually(lambda: not running.listeners[0].connections)


async def test_a_refused_client_that_goes_on_sending_gets_the_answer_and_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it sends meanwhile is thrown away, but not for ever."""
    monkeypatch.setattr(connections, "LINGER_TIME", 1.0)
    monkeypatch.setattr(connections, "LINGER_PAUSE", 0.4)
    async with edge(host()) as running, asyncio.timeout(10), connection(running.http) as (reader, writer):
        writer.write(request("POST", "/", "Content-Length: 100000000"))
        began = asyncio.get_running_loop().time()
        while running.listeners[0].connections:
            writer.write(b"x" * 1000)
            await asyncio.sleep(0.1)
        assert 0.9 <= asyncio.get_running_loop().time() - began < 5
        assert (await read_reply(reader)).status == 413


async def test_a_client_that_has_just_come_may_still_ask_when_draining_begins() -> None:
    async with (
        origin() as web,
        edge(host(), upstream(web.port)) as running,
        asyncio.timeout(10),
        connection(running.http) as (reader, writer),
    ):
        await eventually(lambda: running.listeners[0].connections == 1)
        draining = asyncio.ensure_future(running.listeners[0].drain(5))
        await asyncio.sleep(0)
        writer.write(request())
        reply = await read_reply(reader)
        assert (reply.status, reply.value("Connection")) == (200, b"close")
        assert await reader.read() == b""
        writer.close()  # so that it need not be listened to any longer
        assert await draining
