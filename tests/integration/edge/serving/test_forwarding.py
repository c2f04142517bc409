"""Requests and responses on their way through an edge, over real sockets."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.support.edge import (
    NO_HTTPS,
    OK,
    Seen,
    ask,
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


async def test_headers_to_the_endpoint() -> None:
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        reply = await ask(
            running.http,
            request(
                "GET",
                "/a//b?x=%20y",
                "X-Forwarded-For: 6.6.6.6",
                "X-Forwarded-Host: evil",
                "X-Forwarded-Proto: https",
                "X-Forwarded-Prefix: /evil",
                "X-Real-IP: 6.6.6.6",
                "X_Real_IP: 6.6.6.6",
                "Forwarded: for=6.6.6.6",
                "Proxy: http://evil",
                "ssl-client-verify: SUCCESS",
                "Connection: close, X-Hop",
                "X-Hop: 1",
                "TE: trailers",
                "Cookie: a=b",
            ),
        )
        assert (reply.status, reply.body) == (200, b"ok")
        seen = web.seen[0]
        assert seen.line == b"GET /a//b?x=%20y HTTP/1.1"
        assert seen.value("Host") == b"t.example"
        assert seen.value("X-Real-IP") == seen.value("X-Forwarded-For") == b"127.0.0.1"
        assert seen.value("X-Forwarded-Host") == b"t.example"
        assert seen.value("X-Forwarded-Port") == str(running.http).encode()
        for name in ("X-Forwarded-Proto", "X-Forwarded-Scheme", "X-Scheme"):
            assert seen.value(name) == b"http"
        assert seen.value("X-Original-Forwarded-For") == b"6.6.6.6"
        assert seen.value("X-Original-Forwarded-Host") == b"evil"
        assert re.fullmatch(rb"[0-9a-f]{32}", seen.value("X-Request-ID"))
        assert seen.value("Cookie") == b"a=b"
        gone = [
            "X_Real_IP",
            "X-Forwarded-Prefix",
            "Forwarded",
            "Proxy",
            "ssl-client-verify",
            "X-Hop",
            "TE",
            "Connection",
        ]
        assert [name for name in gone if seen.values(name)] == []


async def test_an_incoming_request_id_is_kept() -> None:
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        await ask(running.http, request("GET", "/", "X-Request-ID: abc-1"))
        assert web.seen[0].values("X-Request-ID") == [b"abc-1"]


async def test_trusted_forwarders_are_believed() -> None:
    trusting = settings(use_forwarded_headers=True)
    async with origin() as web, edge(host(), upstream(web.port), trusting) as running:
        said = ("X-Forwarded-For: 1.2.3.4", "X-Forwarded-Host: my.host, b", "X-Forwarded-Proto: myproto")
        await ask(running.http, request("GET", "/", *said, "X-Forwarded-Port: 1234"))
        seen = web.seen[0]
        assert seen.value("Host") == seen.value("X-Forwarded-Host") == b"my.host"
        assert seen.value("X-Forwarded-For") == seen.value("X-Real-IP") == b"1.2.3.4"
        assert seen.value("X-Forwarded-Proto") == seen.value("X-Forwarded-Scheme") == b"myproto"
        assert seen.value("X-Forwarded-Port") == b"1234"


async def test_connections_are_kept_on_both_sides_and_survive_repeated_and_changing_headers() -> None:
    async with (
        origin() as web,
        edge(host(), upstream(web.port)) as running,
        connection(running.http) as (
            reader,
            writer,
        ),
    ):
        for number in range(6):
            writer.write(request("GET", f"/{number}", f"X-Same: {number // 3}"))
            assert (await read_reply(reader)).status == 200
        assert [seen.line.split()[1] for seen in web.seen] == [b"/%d" % n for n in range(6)]
        assert [seen.value("X-Same") for seen in web.seen] == [b"0", b"0", b"0", b"1", b"1", b"1"]
        assert len({seen.value("X-Request-ID") for seen in web.seen}) == 6
        assert web.connections == 1


async def test_server_header_is_removed_and_security_set_on_https() -> None:
    answer = b"HTTP/1.1 200 OK\r\nServer: x\r\nStrict-Transport-Security: max-age=1\r\nContent-Length: 0\r\n\r\n"
    async with origin(answer) as web, edge(host(), upstream(web.port)) as running:
        plain = await ask(running.http)
        assert not plain.value("Server")
        assert plain.value("Date")
        assert plain.value("Strict-Transport-Security") == b"max-age=1"
        secure = await ask(running.https, tls="t.example")
        assert secure.value("Strict-Transport-Security") == b"max-age=31536000; includeSubDomains"
        assert secure.head.count(b"Strict-Transport") == 1
        assert web.seen[1].value("X-Forwarded-Port") == b"443"
        assert web.seen[1].value("X-Forwarded-Proto") == b"https"


@pytest.mark.parametrize("pieces", [1, 3, 1000])
async def test_request_bodies(pieces: int) -> None:
    body = bytes(range(256)) * 40
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        async with connection(running.http) as (reader, writer):
            for framing in ("length", "chunks"):
                if framing == "length":
                    data = request("POST", "/", body=body)
                else:
                    half = len(body) // 2
                    chunks = b"".join(b"%x\r\n%b\r\n" % (half, part) for part in (body[:half], body[half:]))
                    data = request("POST", "/", "Transfer-Encoding: chunked") + chunks + b"0\r\nTrailer: x\r\n\r\n"
                step = max(1, len(data) // pieces)
                for at in range(0, len(data), step):
                    writer.write(data[at : at + step])
                    await asyncio.sleep(0)
                assert (await read_reply(reader)).status == 200
        assert [seen.body for seen in web.seen] == [body, body]


async def test_a_body_that_is_declared_empty_is_declared_to_the_endpoint() -> None:
    """Some answer 411 to a POST without a length."""
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        for lines in (["Content-Length: 0"], []):
            assert (await ask(running.http, request("POST", "/", *lines))).status == 200
        assert [seen.values("Content-Length") for seen in web.seen] == [[b"0"], []]


async def test_a_head_byte_by_byte_reaches_the_endpoint_as_in_one_piece() -> None:
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        data = request("POST", "/x", "Accept: */*", body=b"hello")
        await ask(running.http, data)
        async with connection(running.http) as (reader, writer):
            for at in range(len(data)):
                writer.write(data[at : at + 1])
                await asyncio.sleep(0)
            assert (await read_reply(reader)).status == 200

        def without_id(seen: Seen) -> bytes:
            return re.sub(rb"X-Request-ID: \w+", b"", seen.head)

        assert without_id(web.seen[0]) == without_id(web.seen[1])
        assert web.seen[1].body == b"hello"


async def test_expect_continue_is_answered_by_the_edge_and_not_forwarded() -> None:
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        async with connection(running.http) as (reader, writer):
            writer.write(request("PUT", "/", "Expect: 100-continue", "Content-Length: 3"))
            assert (await read_reply(reader)).status == 100
            writer.write(b"abc")
            assert (await read_reply(reader)).status == 200
        assert web.seen[0].body == b"abc"
        assert not web.seen[0].values("Expect")


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def answer(seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = seen.line.split()[1]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    async with (
        origin(answer) as web,
        edge(host(), upstream(web.port)) as running,
        connection(running.http) as (reader, writer),
    ):
        writer.write(b"".join(request("GET", f"/{n}") for n in range(50)) + request("GET", "/x", name="unknown"))
        for n in range(50):
            assert (await read_reply(reader)).body == b"/%d" % n
        assert (await read_reply(reader)).status == 404


async def test_a_pipelined_request_whose_rest_comes_along_with_the_answer_before_stays_whole() -> None:
    """The bytes read ahead go first, however close behind the next ones follow."""

    async def answer(_seen: Seen, _reader: asyncio.StreamReader, endpoint: asyncio.StreamWriter) -> None:
        endpoint.write(OK)
        writer.write(rest)  # both are in the edge's sockets before it looks at either

    second = request("GET", "/second")
    beginning, rest = second[:10], second[10:]
    async with (
        asyncio.timeout(10),
        origin(answer) as web,
        edge(host(), upstream(web.port)) as running,
        connection(running.http) as (reader, writer),
    ):
        writer.write(request("GET", "/first") + beginning)
        assert [(await read_reply(reader)).status for _ in range(2)] == [200, 200]
        assert [seen.line.split()[1] for seen in web.seen] == [b"/first", b"/second"]


async def test_a_client_that_half_closes_still_gets_its_answers() -> None:
    async with (
        origin() as web,
        edge(host(), upstream(web.port)) as running,
        connection(running.http) as (reader, writer),
    ):
        writer.write(request("GET", "/1") + request("GET", "/2"))
        writer.write_eof()
        assert (await read_reply(reader)).body == b"ok"
        assert (await read_reply(reader)).body == b"ok"
        assert await reader.read() == b""


async def test_http_1_0_clients() -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    async with origin(answer) as web, edge(host(), upstream(web.port)) as running:
        async with connection(running.http) as (reader, writer):
            writer.write(request("GET", "/", version="1.0"))
            whole = await reader.read()
        assert b"chunked" not in whole
        assert whole.endswith(b"\r\n\r\nhi")
        web.answer = OK
        async with connection(running.http) as (reader, writer):
            for _ in range(2):
                writer.write(request("GET", "/", "Connection: keep-alive", version="1.0"))
                reply = await read_reply(reader)
                assert reply.value("Connection") == b"keep-alive"


ANSWERS = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nX: y\r\n\r\n",
        b"hello",
    ),
    "none": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b""),
    "early hints": (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"ok",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("bytewise", [False, True])
async def test_responses(name: str, bytewise: bool) -> None:
    data, body = ANSWERS[name]

    async def answer(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in [data[at : at + 1] for at in range(len(data))] if bytewise else [data]:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    async with origin(answer) as web, edge(host(), upstream(web.port)) as running:
        async with asyncio.timeout(10), connection(running.http) as (reader, writer):
            for _ in range(3):
                writer.write(request())
                reply = await read_reply(reader)
                assert reply.body == body
                assert b"X: y" not in reply.head
        assert web.connections == 1


async def test_a_response_until_close_is_chunked_for_the_client_and_keeps_its_connection() -> None:
    async def answer(_seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhel")
        await writer.drain()
        writer.write(b"lo")
        writer.close()

    async with (
        origin(answer) as web,
        edge(host(), upstream(web.port)) as running,
        connection(running.http) as (reader, writer),
    ):
        for _ in range(2):
            writer.write(request())
            assert (await read_reply(reader)).body == b"hello"


async def test_head_requests() -> None:
    async def answer(seen: Seen, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bodiless = seen.line.startswith(b"HEAD")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + (b"" if bodiless else b"body"))

    async with origin(answer) as web, edge(host(), upstream(web.port)) as running:
        async with connection(running.http) as (reader, writer):
            for _ in range(2):
                writer.write(request("HEAD"))
                reply = await read_reply(reader, bodiless=True)
                assert reply.value("Content-Length") == b"4"
                writer.write(request("GET"))
                assert (await read_reply(reader)).body == b"body"
        assert web.connections == 1


async def test_ipv6_clients() -> None:
    async with origin() as web, edge(host(), upstream(web.port), address="::1") as running:
        async with connection(running.http, address="::1") as (reader, writer):
            writer.write(request(name="t.example:80"))
            assert (await read_reply(reader)).status == 200
        assert web.seen[0].value("X-Real-IP") == b"::1"


@pytest.mark.parametrize(
    ("data", "status", "location"),
    [
        (request(name="nobody.example"), 404, b""),
        (request("GET", "/healthz", name="nobody.example"), 200, b""),
        (request("GET", "/healthz"), 308, b"https://t.example/healthz"),
        (request("GET", "/foo/?a=1"), 308, b"https://t.example/foo/?a=1"),
        (request("GET", "/foo/", name="t.example:8080"), 308, b"https://t.example/foo"),
        (request("GET", "/x%0d%0aSet-Cookie:%20a"), 308, b"https://t.example/x%0d%0aSet-Cookie:%20a"),
        (request("OPTIONS", "*"), 204, b""),
        (request("TRACE"), 405, b""),
        (request("GET", "/%"), 400, b""),
        (request("GET", "/../x"), 400, b""),
        (request("GET", "/empty", name="open.example"), 503, b""),
        (request("POST", "/", "Content-Length: 1048577", name="open.example"), 413, b""),
    ],
)
async def test_answers_of_the_edge_itself(data: bytes, status: int, location: bytes) -> None:
    records = (
        host(tls=True),
        host("open.example", route("default/none:80", "/empty", policies=NO_HTTPS), route(policies=NO_HTTPS)),
        upstream(name="default/none:80"),
    )
    async with edge(*records) as running:
        reply = await ask(running.http, data)
        assert (reply.status, reply.value("Location")) == (status, location)
        if status >= 300:
            assert reply.value("Content-Type") == b"text/html"
            assert b"<center>nginx</center>" in reply.body


async def test_a_default_backend_serves_for_a_service_without_endpoints() -> None:
    shop = route("default/none:80", fallback="default/web:80", policies=NO_HTTPS)
    records = (host("t.example", shop), upstream(name="default/none:80"))
    async with origin() as web, edge(*records, upstream(web.port)) as running:
        assert (await ask(running.http, request("GET", "/x?y", "Accept: text/html", "X-Code: 1"))).status == 200
        seen = web.seen[0]
        assert seen.line == b"GET /x?y HTTP/1.1"
        assert (seen.value("X-Code"), seen.value("X-Format"), seen.value("X-Service-Name")) == (
            b"503",
            b"text/html",
            b"none",
        )
        assert seen.value("X-Ingress-Name") == b"web"


async def test_a_large_body_flows_both_ways_with_bounded_memory() -> None:
    """Neither a slow endpoint nor a slow client makes the edge hold more than its buffers."""
    size = 1024 * 1024
    gate = asyncio.Event()

    async def answer(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        await read_body(seen, reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * size))
        for _ in range(64):
            writer.write(bytes(size))
            await writer.drain()

    async with origin(answer) as web, edge(host(), upstream(web.port)) as running:
        async with connection(running.http) as (reader, writer):
            writer.write(request("PUT", "/", body=bytes(size)))
            await asyncio.sleep(0.05)
            gate.set()
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 200 " in head
            for _ in range(64):
                assert len(await reader.readexactly(size)) == size
        assert web.seen[0].complete
