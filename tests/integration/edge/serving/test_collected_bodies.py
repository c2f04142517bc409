"""Bodies that are collected before an endpoint hears of their request: small ones in memory, large ones in a file."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from proto.policies import RequestBody
from services.edge import sending, spool
from tests.integration.edge.serving.test_misbehaving_endpoints import refusing_port
from tests.support.edge import (
    OK,
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
from tests.support.waiting import eventually

ANY_SIZE = settings(proxy_body_size=0)
SIZES = (1, spool.ALWAYS, spool.ROOMY, spool.ROOMY + 1, 3 * spool.PIECE, 5_000_000)


def pattern(size: int) -> bytes:
    """So many bytes of which no two runs are alike."""
    return b"".join(number.to_bytes(4) for number in range(size // 4 + 1))[:size]


def chunked(body: bytes, step: int) -> bytes:
    """``body`` in chunks of ``step`` bytes."""
    pieces = (body[at : at + step] for at in range(0, len(body), step))
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def nothing_kept(running: Edge) -> None:
    spools = running.serving.spools
    assert (spools.held, spools.files) == (0, 0)


@pytest.mark.parametrize("tls", [None, "t.example"])
@pytest.mark.parametrize("size", SIZES)
async def test_a_body_of_any_size_arrives_whole_and_with_its_length(size: int, tls: str | None) -> None:
    body = pattern(size)
    async with origin() as web, edge(host(), upstream(web.port), ANY_SIZE) as running:
        port = running.https if tls else running.http
        assert (await ask(port, request("PUT", "/", body=body), tls=tls)).status == 200
        in_chunks = request("POST", "/", "Transfer-Encoding: chunked") + chunked(body, 10_000)
        assert (await ask(port, in_chunks, tls=tls)).status == 200
        for seen in web.seen:
            assert seen.body == body
            assert seen.value("Content-Length") == b"%d" % size
            assert not seen.values("Transfer-Encoding")
        nothing_kept(running)


async def test_requests_behind_a_body_are_answered_in_order() -> None:
    body = pattern(200_000)
    async with (
        origin() as web,
        edge(host(), upstream(web.port)) as running,
        connection(running.http) as (reader, writer),
    ):
        writer.write(request("POST", "/1", body=body) + request("GET", "/2") + request("POST", "/3", body=b"x"))
        for _ in range(3):
            assert (await read_reply(reader)).status == 200
        assert [seen.line.split()[1] for seen in web.seen] == [b"/1", b"/2", b"/3"]
        assert [seen.body for seen in web.seen] == [body, b"", b"x"]


BROKEN = {
    "malformed": (request("POST", "/", "Transfer-Encoding: chunked"), b"5\r\nhello\r\nzz\r\n", 400),
    "too large": (request("POST", "/", "Transfer-Encoding: chunked"), chunked(bytes(1024 * 1024 + 1), 65536), 413),
    "declared too large": (request("POST", "/", "Content-Length: 1048577"), b"x", 413),
    "too slow": (request("POST", "/", "Content-Length: 10"), b"half", 408),
    "too slow, in a file": (request("POST", "/", "Content-Length: 900000"), bytes(800_000), 408),
    "too slow, in chunks": (request("POST", "/", "Transfer-Encoding: chunked"), b"5\r\nhe", 408),
}


@pytest.mark.parametrize("tls", [None, "t.example"])
@pytest.mark.parametrize("name", BROKEN)
async def test_an_upload_that_is_refused_never_reaches_an_endpoint(name: str, tls: str | None) -> None:
    head, body, status = BROKEN[name]
    async with origin() as web, edge(host(), upstream(web.port), settings(client_body_timeout=0.3)) as running:
        port = running.https if tls else running.http
        async with asyncio.timeout(10), connection(port, tls=tls) as (reader, writer):
            writer.write(head)
            for at in range(0, len(body), 50_000):
                writer.write(body[at : at + 50_000])
            reply = await read_reply(reader)
            assert (reply.status, reply.value("Connection")) == (status, b"close")
            assert b"<center>nginx</center>" in reply.body
            assert await reader.read() == b""
        assert web.connections == 0
        assert running.statuses == {status: 1}
        (series,) = running.serving.traffic.snapshot()
        assert series.labels.ingress == "web"
        nothing_kept(running)
        assert (await ask(running.http)).status == 200


@pytest.mark.parametrize("size", [10, 900_000])
@pytest.mark.parametrize("how", ["close", "abort", "half-close"])
async def test_an_upload_that_breaks_off_never_reaches_an_endpoint(size: int, how: str) -> None:
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        async with asyncio.timeout(10), connection(running.http) as (_reader, writer):
            writer.write(request("POST", "/", f"Content-Length: {size}") + bytes(size - 1))
            await eventually(lambda: running.listeners[0].connections == 1)
            await writer.drain()
            if how == "half-close":
                writer.write_eof()
            elif how == "abort":
                writer.transport.abort()
            else:
                writer.close()
            await eventually(lambda: running.statuses == {499: 1})
        assert web.connections == 0
        nothing_kept(running)


async def test_a_body_that_never_stops_dripping_is_ended() -> None:
    """Each pause may be long, but not all of them."""
    slow = settings(client_body_timeout=0.5)
    async with origin() as web, edge(host(), upstream(web.port), slow) as running, asyncio.timeout(20):
        async with connection(running.http) as (reader, writer):
            writer.write(request("POST", "/", "Content-Length: 100000"))

            async def drip() -> None:
                while True:
                    writer.write(b"a")
                    await asyncio.sleep(0.05)

            dripping = asyncio.ensure_future(drip())
            assert (await read_reply(reader)).status == 408
            dripping.cancel()
        assert web.connections == 0


async def test_a_body_that_is_expected_is_asked_for_only_if_it_is_wanted() -> None:
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        async with asyncio.timeout(10), connection(running.http) as (reader, writer):
            writer.write(request("PUT", "/", "Expect: 100-continue", "Content-Length: 2000000"))
            assert (await read_reply(reader)).status == 413
        async with asyncio.timeout(10), connection(running.http) as (reader, writer):
            writer.write(request("PUT", "/", "Expect: 100-continue", "Content-Length: 3"))
            assert (await read_reply(reader)).status == 100
            assert web.connections == 0
            writer.write(b"abc")
            assert (await read_reply(reader)).status == 200


@pytest.mark.parametrize("size", [10, 900_000])
async def test_an_endpoint_that_refuses_costs_no_upload(size: int) -> None:
    body = pattern(size)
    async with origin() as web, edge(host(), upstream(web.port, refusing_port())) as running:
        for number in range(4):
            assert (await ask(running.http, request("POST", f"/{number}", body=body))).status == 200
        assert [seen.body for seen in web.seen] == [body] * 4
        nothing_kept(running)


@dataclass
class Moody:
    """An origin that resets its first connections in the middle of the body."""

    resets: int
    taken: list[int] = field(default_factory=list)

    async def __call__(self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self.taken) < self.resets:
            self.taken.append(len(await reader.readexactly(1000)))
            writer.transport.abort()
            return
        await read_body(seen, reader)
        writer.write(OK)


@pytest.mark.parametrize("size", [2000, 900_000, 9_000_000])
async def test_a_body_is_sent_again_from_its_beginning(size: int) -> None:
    body = pattern(size)
    moody = Moody(2)
    async with origin(moody) as web, edge(host(), upstream(web.port), ANY_SIZE) as running:
        assert (await ask(running.http, request("PUT", "/", body=body))).status == 200
        assert (len(web.seen), web.seen[-1].body == body) == (3, True)
        moody.taken.clear()
        assert (await ask(running.http, request("POST", "/", body=body))).status == 502, "never sent twice"
        nothing_kept(running)


async def test_a_kept_connection_that_died_costs_no_large_upload() -> None:
    closing = False

    async def answer(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if closing and seen.connection == 1:
            writer.transport.abort()
            return
        await read_body(seen, reader)
        writer.write(OK)

    body = pattern(900_000)
    async with origin(answer) as web, edge(host(), upstream(web.port)) as running:
        assert (await ask(running.http)).status == 200
        closing = True
        assert (await ask(running.http, request("PUT", "/", body=body))).status == 200
        assert web.seen[-1].body == body


async def test_a_slow_endpoint_takes_a_large_body_at_its_pace_and_others_get_their_turn() -> None:
    """The client is done with it long before, and the edge holds no more of it in memory than usual."""
    gate = asyncio.Event()

    async def answer(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if seen.line.startswith(b"PUT"):
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            await gate.wait()
            reader._transport.resume_reading()  # type: ignore[attr-defined]
        await read_body(seen, reader)
        writer.write(OK)

    body = pattern(20_000_000)
    async with (
        origin(answer, receive_buffer=4096) as web,
        edge(host(), upstream(web.port), ANY_SIZE) as running,
        asyncio.timeout(30),
        connection(running.http) as (reader, writer),
    ):
        writer.write(request("PUT", "/", body=body))
        await writer.drain()
        await eventually(lambda: web.seen)
        assert running.serving.spools.files == 1
        assert running.serving.spools.held == 0
        assert (await ask(running.http)).status == 200
        gate.set()
        assert (await read_reply(reader)).status == 200
        assert web.seen[0].body == body
        writer.write(request())
        assert (await read_reply(reader)).status == 200
        nothing_kept(running)


async def test_an_answer_before_all_was_sent_keeps_the_client_and_not_the_endpoint() -> None:
    async def answer(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if seen.line.startswith(b"GET"):
            writer.write(OK)
            return
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        await asyncio.sleep(10)

    async with (
        origin(answer, receive_buffer=4096) as web,
        edge(host(), upstream(web.port), ANY_SIZE) as running,
        asyncio.timeout(20),
        connection(running.http) as (reader, writer),
    ):
        writer.write(request("POST", "/", body=bytes(20_000_000)))
        reply = await read_reply(reader)
        assert (reply.status, reply.body) == (403, b"no")
        writer.write(request())
        assert (await read_reply(reader)).status == 200
        assert web.connections == 2
        nothing_kept(running)


async def test_routes_have_limits_of_their_own() -> None:
    routes = (
        route(path="/"),
        route(path="/any", policies=(RequestBody(limit=0),)),
        route(path="/small", policies=(RequestBody(limit=5),)),
        route(path="/streamed", policies=(RequestBody(limit=5, collected=False),)),
    )
    async with origin() as web, edge(host("t.example", *routes), upstream(web.port)) as running:
        for path, size, status in (
            ("/", 1024 * 1024, 200),
            ("/", 1024 * 1024 + 1, 413),
            ("/any", 1024 * 1024 + 1, 200),
            ("/small", 5, 200),
            ("/small", 6, 413),
            ("/streamed", 5, 200),
            ("/streamed", 6, 413),
        ):
            in_chunks = request("POST", path, "Transfer-Encoding: chunked") + chunked(bytes(size), 300_000)
            for data in (request("POST", path, body=bytes(size)), in_chunks):
                assert (await ask(running.http, data)).status == status, (path, size)


@pytest.fixture
def cramped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "SPARED", 1 << 62)


@pytest.mark.usefixtures("cramped")
async def test_a_full_disk_is_500_and_harms_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        for _ in range(2):
            reply = await ask(running.http, request("POST", "/", body=bytes(900_000)))
            assert (reply.status, reply.value("Connection")) == (500, b"close")
            assert (await ask(running.http, request("POST", "/", body=bytes(spool.ROOMY)))).status == 200
        assert len([record for record in caplog.records if "could not be kept" in record.message]) == 1
        assert len(web.seen) == 2
        nothing_kept(running)


async def test_a_file_that_cannot_be_read_again_is_500(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: object, _at: int) -> bytes:
        raise OSError("gone")

    monkeypatch.setattr(spool.Collected, "read", fail)
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        assert (await ask(running.http, request("POST", "/", body=bytes(900_000)))).status == 500
        await eventually(lambda: web.open == 0)
        nothing_kept(running)


async def test_a_bodiless_request_keeps_nothing() -> None:
    async with (
        origin() as web,
        edge(host(), upstream(web.port)) as running,
        connection(running.http) as (reader, writer),
    ):
        for _ in range(3):
            writer.write(request())
            assert (await read_reply(reader)).status == 200
        (client,) = running.listeners[0].each[0].connections
        assert client._upload is None  # type: ignore[attr-defined]


async def test_no_more_is_handed_to_a_transport_than_it_asks_for() -> None:
    """While nobody listens at the other end the body stays where it is."""
    with bound() as full:
        full.listen(0)
        async with (
            edge(
                host(),
                upstream(full.getsockname()[1]),
                ANY_SIZE,
            ) as running,
            asyncio.timeout(10),
            connection(running.http) as (_reader, writer),
        ):
            writer.write(request("PUT", "/", body=bytes(20_000_000)))
            await writer.drain()

            def unsent() -> int:
                return max((pool.open for pool in running.serving.pools._pools.values()), default=0)

            await eventually(unsent)
            (client,) = running.listeners[0].each[0].connections
            made = client._exchange.connection  # type: ignore[attr-defined]
            assert made is not None
            await eventually(lambda: made.transport.get_write_buffer_size() > 0)
            assert made.transport.get_write_buffer_size() <= sending.UNTAKEN + spool.PIECE
