"""gRPC end to end, the real ``grpcio`` at both ends: calls of all four kinds, deadlines, errors, and what breaks."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest

from proto.policies import BackendProtocol, EndpointTLS, Policy, ProxyTimeouts, SSLRedirect
from tests.support.edge import Edge, ask, bound, edge, host, origin, request, route, settings, upstream
from tests.support.endpoints import NAME, SECRET, credentials, identity
from tests.support.grpc_service import SERVICE, Echo, grpc_client, grpc_server
from tests.support.waiting import eventually

GRPC = [SSLRedirect(False, False), BackendProtocol("grpc")]
ANY_SIZE = settings(proxy_body_size=0)


@asynccontextmanager
async def serving(
    *policies: Policy, records: tuple[object, ...] = ()
) -> AsyncIterator[tuple[Edge, Echo, grpc.aio.Channel]]:
    """An edge before the service, and a channel to it, in the clear."""
    web = host("t.example", route(policies=[*GRPC, *policies]))
    async with (
        grpc_server(Echo()) as echo,
        edge(web, upstream(echo.port), *records, h2c=True) as running,  # type: ignore[arg-type]
        grpc_client(running.http, "t.example") as channel,
    ):
        yield running, echo, channel


def method(name: str) -> str:
    return f"/{SERVICE}/{name}"


async def test_a_unary_call_with_metadata_both_ways() -> None:
    async with serving() as (_, echo, channel):
        call = channel.unary_unary(method("Unary"))(b"hello", metadata=(("mine", "x"), ("mine-bin", b"\x00\x01")))
        assert await call == b"hello"
        assert dict(await call.initial_metadata())["begin"] == "here"
        assert dict(await call.trailing_metadata())["end"] == "there"
        assert dict(await call.trailing_metadata())["end-bin"] == b"\x00\xff"
        assert await call.code() is grpc.StatusCode.OK
        assert echo.calls[0]["mine"] == "x"
        assert echo.calls[0]["mine-bin"] == b"\x00\x01"
        assert echo.calls[0]["x-real-ip"] == "127.0.0.1"


async def test_an_error_that_is_trailers_and_nothing_else() -> None:
    async with serving() as (_, _echo, channel):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(method("Fail"))(b"x")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert caught.value.details() == "no such thing: 100 %"
        assert dict(caught.value.trailing_metadata())["why"] == "because"


async def test_a_method_that_nobody_has() -> None:
    async with serving() as (_, _echo, channel):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(method("Nothing"))(b"x")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_streams_of_messages_from_the_endpoint() -> None:
    async with serving() as (_, _echo, channel):
        sizes = [len(message) async for message in channel.unary_stream(method("Count"))(b"200 20000")]
        assert sizes == [20000] * 200


async def test_streams_of_messages_to_the_endpoint() -> None:
    async def messages() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield bytes(20000)

    async with serving(records=(ANY_SIZE,)) as (_, _echo, channel):
        assert await channel.stream_unary(method("Collect"))(messages()) == b"200 4000000"


async def test_both_sides_talk_in_turn() -> None:
    async with serving() as (_, _echo, channel):
        call = channel.stream_stream(method("Talk"))()
        for number in range(50):
            await call.write(b"%d" % number)
            assert await call.read() == b"%d" % number
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK


async def test_the_endpoint_may_end_a_conversation() -> None:
    async with serving() as (_, _echo, channel):
        call = channel.stream_stream(method("Talk"))()
        await call.write(b"stop")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.ABORTED


async def test_a_deadline_reaches_the_endpoint_and_its_end_cancels_the_call() -> None:
    async with serving() as (running, echo, channel):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(method("Wait"))(b"x", timeout=0.5)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert echo.remaining[0] is not None
        assert 0 < echo.remaining[0] < 1
        await eventually(lambda: echo.ended)
        assert await channel.unary_unary(method("Unary"))(b"still") == b"still"
        assert len(echo.peers) == 1
        assert running.serving.pools.counts()["active"] == 1


async def test_a_client_that_cancels_cancels_at_the_endpoint() -> None:
    async with serving() as (_, echo, channel):
        call = channel.stream_stream(method("Talk"))()
        await call.write(b"1")
        assert await call.read() == b"1"
        call.cancel()
        await eventually(lambda: echo.ended)


async def test_an_endpoint_that_takes_too_long_is_unavailable() -> None:
    async with serving(ProxyTimeouts(read=0.3)) as (_, echo, channel):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(method("Wait"))(b"x")
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE  # http 504, as nginx answers
        await eventually(lambda: echo.ended)


async def test_no_endpoint_is_unavailable() -> None:
    socket = bound()
    port = socket.getsockname()[1]
    socket.close()
    web = host("t.example", route(policies=GRPC))
    async with (
        edge(web, upstream(port), h2c=True) as running,
        grpc_client(running.http, "t.example") as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(method("Unary"))(b"x")
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE  # http 502


async def test_many_calls_share_one_connection() -> None:
    async with serving() as (running, echo, channel):
        unary = channel.unary_unary(method("Unary"))
        answers = await asyncio.gather(*(unary(b"%d" % number) for number in range(300)))
        assert answers == [b"%d" % number for number in range(300)]
        assert len(echo.peers) <= 3  # a hundred wait for one connection before another is opened
        assert running.statuses == {200: 300}


async def test_an_endpoint_that_restarts_harms_only_what_was_under_way() -> None:
    web = host("t.example", route(policies=GRPC))
    async with grpc_server(Echo()) as echo:
        port = echo.port
        async with edge(web, upstream(port), h2c=True) as running, grpc_client(running.http, "t.example") as channel:
            unary = channel.unary_unary(method("Unary"))
            assert await unary(b"1") == b"1"
    async with (
        grpc_server(Echo(), port=port),
        edge(web, upstream(port), h2c=True) as running,
        grpc_client(running.http, "t.example") as channel,
    ):
        assert await channel.unary_unary(method("Unary"))(b"2") == b"2"


async def test_an_endpoint_that_comes_back_is_found_by_the_same_edge() -> None:
    web = host("t.example", route(policies=GRPC))
    async with grpc_server(Echo()) as first:
        port = first.port
        running_edge = edge(web, upstream(port), h2c=True)
        running = await running_edge.__aenter__()
        client = grpc_client(running.http, "t.example")
        channel = await client.__aenter__()
        assert await channel.unary_unary(method("Unary"))(b"1") == b"1"
    await eventually(lambda: not running.serving.pools.counts()["active"])
    async with grpc_server(Echo(), port=port) as second:
        assert await channel.unary_unary(method("Unary"))(b"2") == b"2"
        assert second.calls
    await client.__aexit__(None, None, None)
    await running_edge.__aexit__(None, None, None)


async def test_a_slow_endpoint_stops_a_fast_client() -> None:
    """The endpoint's window is what bounds how much of a body is on its way."""
    async with serving(records=(ANY_SIZE,)) as (running, echo, channel):
        call = channel.stream_stream(method("Talk"))()
        sent = 0

        async def write() -> None:
            nonlocal sent
            while True:
                await call.write(bytes(100_000))
                sent += 1

        writing = asyncio.create_task(write())  # nobody reads the answers: the endpoint stops reading, in the end
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.3)
        assert sent * 100_000 < 40_000_000
        assert await channel.unary_unary(method("Unary"))(b"others go on") == b"others go on"
        writing.cancel()
        call.cancel()
        await eventually(lambda: echo.ended)
        assert not running.serving.traffic.counters["upstream-invalid"]


async def test_a_client_of_http1_gets_the_body_and_no_trailers() -> None:
    async with serving() as (running, _echo, _channel):
        framed = b"\x00\x00\x00\x00\x02hi"
        sent = request("POST", method("Unary"), "Content-Type: application/grpc", "TE: trailers", body=framed)
        reply = await ask(running.http, sent)
        assert (reply.status, reply.body) == (200, framed)


async def test_by_tls_on_both_sides(tmp_path: Path) -> None:
    own = identity(tmp_path, NAME)
    chain = "".join(map(ssl.DER_cert_to_PEM_cert, own.chain)).encode()
    server = grpc.ssl_server_credentials([(own.key, chain)])
    tls = EndpointTLS(SECRET, verify=True, name=NAME, server_name=True)
    policies = [SSLRedirect(False, False), BackendProtocol("grpcs"), tls]
    async with (
        grpc_server(Echo(), server) as echo,
        edge(host("t.example", route(policies=policies)), upstream(echo.port), credentials(), h2c=True) as running,
        grpc_client(running.http, "t.example") as channel,
    ):
        assert await channel.unary_unary(method("Unary"))(b"hello") == b"hello"
        sizes = [len(message) async for message in channel.unary_stream(method("Count"))(b"50 50000")]
        assert sizes == [50000] * 50


async def test_an_endpoint_that_speaks_http1_answers_502() -> None:
    async with (
        origin() as web,
        edge(host("t.example", route(policies=GRPC)), upstream(web.port), h2c=True) as running,
    ):
        assert (await ask(running.http, request())).status == 502
