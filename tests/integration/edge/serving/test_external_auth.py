"""Another server that is asked who may pass, on real sockets: what it is asked, and what follows from what it says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from proto.policies import ExternalAuth, SatisfyAny, SourceRanges
from tests.support.edge import NO_HTTPS, ask, bound, edge, host, origin, request, route, settings, upstream
from tests.support.endpoints import identity, server_context
from tests.support.http2 import http2
from tests.support.waiting import eventually

YES = b"HTTP/1.1 200 OK\r\nX-User: ann\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok"
NO = b"HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n"


def table(port: int, web: int, *more: object, **said: object) -> tuple:  # type: ignore[type-arg]
    policy = ExternalAuth(f"http://127.0.0.1:{port}/check?x=$host", **said)  # type: ignore[arg-type]
    return (host("t.example", route(policies=(*NO_HTTPS, policy, *more))), upstream(web))  # type: ignore[arg-type]


async def test_what_is_asked_and_what_is_handed_on() -> None:
    async with origin(YES) as auth, origin() as web:
        told = (("X-Shop", "$remote_addr"), ("X-Sent-From", "limen"))
        records = table(auth.port, web.port, handed_on=("X-User", "X-Group"), method="POST", headers=told)
        async with edge(*records) as running:
            sent = (
                "X-User: evil",
                "X-Group: evil",
                "X-Forwarded-Proto: evil",
                "Cookie: c=1",
                "ssl-client-verify: SUCCESS",
            )
            reply = await ask(running.http, request("PUT", "/a?b=%20", *sent, body=b"hello"))
            assert reply.status == 200
            assert b"\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n" in reply.head
            (question,) = auth.seen
            assert question.line == b"POST /check?x=t.example HTTP/1.1"
            assert question.body == b""
            for name, value in (
                ("Host", b"127.0.0.1"),
                ("Cookie", b"c=1"),
                ("X-Original-URL", b"http://t.example/a?b=%20"),
                ("X-Original-Method", b"PUT"),
                ("X-Original-URI", b"/a?b=%20"),
                ("X-Scheme", b"http"),
                ("X-Auth-Request-Redirect", b"/a?b=%20"),
                ("X-Real-IP", b"127.0.0.1"),
                ("X-Forwarded-For", b"127.0.0.1"),
                ("X-Shop", b"127.0.0.1"),
                ("X-Sent-From", b"limen"),
            ):
                assert question.values(name) == [value], name
            for name in ("Content-Length", "X-Forwarded-Proto", "ssl-client-verify", "Connection"):
                assert question.values(name) == [], name
            (seen,) = web.seen
            assert seen.values("X-User") == [b"ann"]
            assert seen.values("X-Group") == []
            assert seen.body == b"hello"
            assert seen.value("X-Request-ID") == question.value("X-Request-ID") != b""
            assert (await ask(running.http)).status == 200


@pytest.mark.parametrize(("said", "status"), [(b"401 No", 401), (b"403 No", 403), (b"302 No", 500), (b"500 No", 500)])
async def test_anything_else_keeps_the_request_out(said: bytes, status: int) -> None:
    answer = b"HTTP/1.1 %b\r\nWWW-Authenticate: Bearer\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n" % said
    async with origin(answer) as auth, origin() as web, edge(*table(auth.port, web.port)) as running:
        reply = await ask(running.http)
        assert reply.status == status
        assert reply.value("WWW-Authenticate") == (b"Bearer" if status == 401 else b"")
        assert reply.value("Set-Cookie") == b""
        assert web.seen == []


@pytest.mark.parametrize("answer", [b"garbage\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"])
async def test_what_cannot_be_understood_keeps_the_request_out(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, origin() as web, edge(*table(server.sockets[0].getsockname()[1], web.port)) as running:
        assert (await ask(running.http)).status == 500
        assert web.seen == []


async def test_nobody_there_or_nobody_who_answers() -> None:
    with bound() as silent:
        silent.listen()
        async with origin() as web:
            records = table(silent.getsockname()[1], web.port)
            async with edge(*records, settings(proxy_read_timeout=0.05)) as running:
                assert (await ask(running.http)).status == 500
                silent.close()
                assert (await ask(running.http)).status == 500
                assert web.seen == []


async def test_the_whole_chain_ends_with_the_peer() -> None:
    chained = settings(use_forwarded_headers=True, compute_full_forwarded_for=True)
    async with origin(YES) as auth, origin() as web, edge(*table(auth.port, web.port), chained) as running:
        for said, told in (
            (("X-Forwarded-For: 192.0.2.1, 192.0.2.2",), b"192.0.2.1, 192.0.2.2, 127.0.0.1"),
            ((), b"127.0.0.1"),
        ):
            assert (await ask(running.http, request("GET", "/", *said))).status == 200
            assert auth.seen[-1].values("X-Forwarded-For") == web.seen[-1].values("X-Forwarded-For") == [told]


async def test_an_address_that_the_request_spoils() -> None:
    policy = ExternalAuth("http://127.0.0.1:$arg_port/")
    async with origin() as web:
        records = (host("t.example", route(policies=(*NO_HTTPS, policy))), upstream(web.port))
        async with edge(*records) as running:
            for port in ("0", "99999", "x@y", ""):
                assert (await ask(running.http, request("GET", f"/?port={port}"))).status in (400, 500)
            assert web.seen == []


async def test_a_browser_is_sent_to_sign_in() -> None:
    async with origin(NO) as auth, origin() as web:
        records = table(auth.port, web.port, signin="http://$host/start?x=1", parameter="back")
        async with edge(*records) as running:
            reply = await ask(running.http, request("GET", "/a/?b=c&d=%20"))
            assert reply.status == 302
            wanted = b"http://t.example/start?x=1&back=http://t.example%2Fa%2F%3Fb%3Dc%26d%3D%2520"
            assert reply.value("Location") == wanted
            assert reply.value("Set-Cookie") == b"a=1"


async def test_the_way_back_may_stand_in_the_address_already() -> None:
    async with origin(NO) as auth, origin() as web:
        records = table(auth.port, web.port, signin="http://$host/start?rd=$escaped_request_uri")
        async with edge(*records) as running:
            reply = await ask(running.http, request("GET", "/a?b=c"))
            assert reply.value("Location") == b"http://t.example/start?rd=%2Fa%3Fb%3Dc"


async def test_verdicts_are_remembered_by_their_key() -> None:
    verdict = b"HTTP/1.1 200 OK\r\nX-User: ann\r\nContent-Length: 0\r\n\r\n"
    async with origin(verdict) as auth, origin() as web:
        records = table(
            auth.port, web.port, handed_on=("X-User",), cache_key="$http_authorization", lifetimes=((200, 300),)
        )
        async with edge(*records) as running:
            for user in ("x", "x", "y", "x"):
                assert (await ask(running.http, request("GET", "/", f"Authorization: {user}"))).status == 200
            assert len(auth.seen) == 2
            assert [seen.value("X-User") for seen in web.seen] == [b"ann"] * 4
            for _ in range(2):
                assert (await ask(running.http, request("GET", "/", "Authorization: " + 4000 * "z"))).status == 200
            assert len(auth.seen) == 3
            assert sum(map(len, running.serving.verdicts._remembered)) < 3 * 100, "clients choose how long keys are"


async def test_answers_with_cookies_are_for_one_client() -> None:
    async with origin(YES) as auth, origin() as web:
        records = table(auth.port, web.port, cache_key="all", lifetimes=((0, 300),))
        async with edge(*records) as running:
            for _ in range(2):
                assert (await ask(running.http)).value("Set-Cookie")
            assert len(auth.seen) == 2


async def test_any_guard_is_enough_and_still_nobody_says_who_they_are() -> None:
    async with origin(NO) as auth, origin() as web:
        more = (SatisfyAny(), SourceRanges(("127.0.0.0/8",)))
        async with edge(*table(auth.port, web.port, *more, handed_on=("X-User",))) as running:
            assert (await ask(running.http, request("GET", "/", "X-User: evil"))).status == 200
            assert web.seen[0].values("X-User") == []
            assert auth.seen == []


async def test_what_comes_unasked_answers_nobody() -> None:
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            asked += 1
            writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\n")
            await asyncio.sleep(0)
            writer.write(b"noHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, origin() as web, edge(*table(server.sockets[0].getsockname()[1], web.port)) as running:
        for _ in range(4):
            assert (await ask(running.http)).status == 403
        assert asked == 4
        assert web.seen == []


async def test_a_connection_that_was_kept_and_ended_is_no_failure() -> None:
    async with origin(YES) as auth, origin() as web, edge(*table(auth.port, web.port)) as running:
        for _ in range(3):
            assert (await ask(running.http)).status == 200
            auth.close_connections()
        assert len(auth.seen) == 3
        await eventually(lambda: len(web.seen) == 3, what="all three requests")


async def test_over_tls_and_for_clients_over_http2(tmp_path: Path) -> None:
    served: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            served.append(head)
            said = b"200 OK" if b"\r\ncookie: yes\r\n" in head.lower() else b"401 No"
            writer.write(b"HTTP/1.1 %b\r\nX-User: ann\r\nContent-Length: 0\r\n\r\n" % said)

    context = server_context(identity(tmp_path, "localhost"))
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    policy = ExternalAuth(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", handed_on=("X-User",))
    async with server, origin() as web:
        records = (host("t.example", route(policies=(*NO_HTTPS, policy))), upstream(web.port))
        async with edge(*records) as running, http2(running.https) as client:
            assert (await client.ask("GET", "/a")).status == 401
            said = await client.ask("POST", "/a", [("cookie", "yes"), ("x-user", "evil")], body=b"hello")
            assert said.status == 200
        assert [head.partition(b"\r\n")[0] for head in served] == [b"GET / HTTP/1.1"] * 2
        assert b"\r\nX-Original-URL: https://t.example/a\r\n" in served[1]
        (seen,) = web.seen
        assert (seen.values("X-User"), seen.body) == ([b"ann"], b"hello")
