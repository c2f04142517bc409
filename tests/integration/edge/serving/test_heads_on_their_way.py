"""Heads and bodies that change between endpoints and clients, over sockets: gzip, HTTP/1.0, headers for all; both
protocols of clients."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest

from proto.policies import CORS, CustomHeaders, Decorations, EndpointResponse, RequestHop
from tests.support.edge import (
    NO_HTTPS,
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
from tests.support.http2 import http2

HOST = "t.example"
PLAIN = host(HOST, route(policies=NO_HTTPS))
BODY = b"<p>hello</p>\n" * 5000
TAKES = "Accept-Encoding: gzip"
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


async def test_a_response_is_packed_for_clients_that_take_it() -> None:
    async with origin(PAGE) as web, edge(PLAIN, upstream(web.port), settings(use_gzip=True)) as running:
        async with connection(running.http) as (reader, writer):
            for _ in range(2):
                writer.write(request("GET", "/", TAKES))
                reply = await read_reply(reader)
                assert gzip.decompress(reply.body) == BODY
                assert len(reply.body) < len(BODY) / 10
                assert reply.value("Content-Encoding") == b"gzip"
                assert reply.value("Vary") == b"Accept-Encoding"
            writer.write(request("GET", "/"))
            reply = await read_reply(reader)
            assert reply.body == BODY
            assert reply.value("Content-Length") == str(len(BODY)).encode()
            assert reply.value("Vary") == b"Accept-Encoding"
            writer.write(request("HEAD", "/", TAKES))
            reply = await read_reply(reader, bodiless=True)
            told = [reply.value(name) for name in ("Content-Encoding", "Vary", "Content-Length", "Transfer-Encoding")]
            assert told == [b"gzip", b"Accept-Encoding", b"", b""]
        old = await ask(running.http, request("GET", "/", TAKES, version="1.0"))
        assert old.body == BODY
        async with http2(running.https) as client:
            first = await client.ask("GET", "/", [("accept-encoding", "gzip")])
            assert gzip.decompress(first.body) == BODY
            assert first.headers["content-encoding"] == "gzip"
            assert "content-length" not in first.headers
            assert (await client.ask("GET", "/")).body == BODY


async def test_a_stream_stays_a_stream() -> None:
    more = asyncio.Event()

    async def answer(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(seen, reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n")
        await more.wait()
        writer.write(b"4\r\ntwo\n\r\n0\r\n\r\n")

    async with (
        asyncio.timeout(10),
        origin(answer) as web,
        edge(PLAIN, upstream(web.port), settings(use_gzip=True)) as running,
        connection(running.http) as (reader, writer),
    ):
        writer.write(request("GET", "/", TAKES))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Content-Encoding: gzip" in head
        unpacked = zlib.decompressobj(zlib.MAX_WBITS + 16)
        shown = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            shown += unpacked.decompress((await reader.readexactly(size + 2))[:-2])
            if shown == b"one\n":
                more.set()
        assert shown == b"one\ntwo\n"
        assert unpacked.eof


async def test_endpoints_that_are_spoken_to_in_http_1_0() -> None:
    hop = (*NO_HTTPS, RequestHop("1.0", "close"))

    async def answer(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(seen, reader)
        writer.write(b"HTTP/1.0 200 OK\r\nX-Got: %d\r\n\r\nuntil the end" % len(seen.body))
        writer.close()

    async with (
        origin(answer) as web,
        edge(host(HOST, route(policies=hop)), upstream(web.port)) as running,
        connection(running.http) as (reader, writer),
    ):
        writer.write(request("POST", "/", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n")
        reply = await read_reply(reader)
        assert (reply.body, reply.value("X-Got")) == (b"until the end", b"3")
        assert web.seen[0].line == b"POST / HTTP/1.0"
        assert web.seen[0].value("Connection") == b"close"
        assert web.seen[0].value("Content-Length") == b"3"
        writer.write(request("GET", "/two"))
        assert (await read_reply(reader)).body == b"until the end"


async def test_a_client_that_names_no_host_is_served_by_the_catch_all() -> None:
    """Endpoints refuse an empty Host: HTTP/1.0 without one reaches them with the name that ingress-nginx gives it."""
    async with origin(PAGE + BODY) as web, edge(host("", route(policies=NO_HTTPS)), upstream(web.port)) as running:
        for _ in range(2):
            assert (await ask(running.http, b"GET / HTTP/1.0\r\n\r\n")).status == 200
    assert [seen.value("Host") for seen in web.seen] == [b"_", b"_"]
    assert [seen.value("X-Forwarded-Host") for seen in web.seen] == [b"_", b"_"]


async def test_headers_for_all_stand_on_every_answer_and_hidden_ones_on_none() -> None:
    everyone = settings(
        add_headers=(("X-Way", "$request_method"), ("X-All", "yes")),
        hide_headers=("X-Secret",),
        proxy_set_headers=(("X-Told", "$scheme"),),
    )
    reply = b"HTTP/1.1 200 OK\r\nX-Secret: a\r\nX-All: theirs\r\nContent-Length: 0\r\n\r\n"
    async with origin(reply) as web, edge(PLAIN, upstream(web.port), everyone) as running:
        served = await ask(running.http, request())
        assert served.head.count(b"X-All") == 1
        assert (served.value("X-All"), served.value("X-Way"), served.value("X-Secret")) == (b"yes", b"GET", b"")
        assert web.seen[0].value("X-Told") == b"http"
        unknown = await ask(running.http, request(name="unknown.example"))
        assert (unknown.status, unknown.value("X-All"), unknown.value("X-Way")) == (404, b"yes", b"GET")
        refused = await ask(running.http, request("GET", "/%zz"))
        assert (refused.status, refused.value("X-All"), refused.value("X-Way")) == (400, b"yes", b"")
        async with http2(running.https) as client:
            assert (await client.ask()).headers["x-all"] == "yes"


async def test_redirects_of_endpoints_and_preflights_over_both_protocols() -> None:
    policies = (*NO_HTTPS, EndpointResponse("http://in.example/", "/out/"), CORS(("https://a.example",), "GET", "X-A"))
    reply = b"HTTP/1.1 302 Found\r\nLocation: http://in.example/x\r\nContent-Length: 0\r\n\r\n"
    async with origin(reply) as web, edge(host(HOST, route(policies=policies)), upstream(web.port)) as running:
        moved = await ask(running.http, request("GET", "/", "Origin: https://a.example"))
        assert moved.value("Location") == b"http://t.example/out/x"
        assert moved.value("Access-Control-Allow-Origin") == b"https://a.example"
        asked = await ask(running.http, request("OPTIONS", "/", "Origin: https://a.example"))
        assert (asked.status, asked.value("Content-Type")) == (204, b"text/plain charset=UTF-8")
        assert len(web.seen) == 1
        async with http2(running.https) as client:
            assert (await client.ask("OPTIONS", "/", [("origin", "https://a.example")])).status == 204
            assert (await client.ask("OPTIONS", "/", [("origin", "https://b.example")])).status == 302
            moved2 = await client.ask("GET", "/")
            assert moved2.headers["location"] == "https://t.example/out/x"
            assert "access-control-allow-origin" not in moved2.headers


@pytest.mark.parametrize("hsts", [True, False])
async def test_strict_transport_security_is_said_once_by_who_speaks_last(*, hsts: bool) -> None:
    reply = b"HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1\r\nContent-Length: 2\r\nDate: x\r\n\r\nok"
    said = ("Strict-Transport-Security", "max-age=5")
    ours = b"max-age=31536000; includeSubDomains" if hsts else b"max-age=1"
    for policy in (CustomHeaders((said,)), Decorations(put=(said,)), Decorations(removed=("x-*",), always=(said,))):
        hosts = host(HOST, route(policies=(*NO_HTTPS, policy))), host("u.example", route(policies=NO_HTTPS))
        async with origin(reply) as web, edge(*hosts, upstream(web.port), settings(hsts=hsts)) as running:
            for name, value in ((HOST, b"max-age=5"), ("u.example", ours)):
                told = await ask(running.https, request(name=name), tls=name)
                assert told.head.lower().count(b"strict-transport-security") == 1
                assert told.value("Strict-Transport-Security") == value
            async with http2(running.https) as client:
                assert (await client.ask()).headers["strict-transport-security"] == "max-age=5"
            refused = await ask(running.https, request("GET", "/nobody", name=HOST), tls=HOST)
            assert refused.head.lower().count(b"strict-transport-security") == 1


async def test_the_server_is_named_once_by_who_speaks_last() -> None:
    reply = b"HTTP/1.1 200 OK\r\nServer: theirs\r\nContent-Length: 2\r\nDate: x\r\n\r\nok"
    table = host(HOST, route(policies=(*NO_HTTPS, Decorations(put=(("Server", "shop"),)))))
    async with origin(reply) as web:
        for tokens in (True, False):
            async with edge(table, upstream(web.port), settings(server_tokens=tokens)) as running:
                told = await ask(running.http, request())
                assert told.head.lower().count(b"\r\nserver: ") == 1
                assert told.value("Server") == b"shop"
                async with http2(running.https) as client:
                    assert (await client.ask()).headers["server"] == "shop"
