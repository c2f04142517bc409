"""Endpoints that speak FastCGI, on real sockets: what scripts are told, and what becomes of what they say."""

from __future__ import annotations

import pytest

from proto.policies import FastCGI, Rewrite
from proto.resources import ResourceRecord
from tests.support.edge import (
    HOST,
    NO_HTTPS,
    ask,
    connection,
    edge,
    host,
    read_reply,
    request,
    route,
    settings,
    upstream,
)
from tests.support.fastcgi import END, STDERR, STDOUT, Asked, out, page, responder
from tests.support.http2 import http2
from tests.support.waiting import eventually

PARAMETERS = (
    ("SCRIPT_FILENAME", "/srv$fastcgi_script_name"),
    ("WHO", "${fastcgi_script_name} of $host"),
    ("HTTP_X", "own"),
)

SENT = request("POST", "/a%20b/?x=%20", "X: evil", "X-Y: 1", "X-Y: 2", body=b"sent")
ONE_TRY = settings(proxy_next_upstream=("off",))


def table(port: int, *more: object) -> tuple[ResourceRecord, ...]:
    policies = (*NO_HTTPS, FastCGI("index.php", PARAMETERS), *more)
    return (host(HOST, route(policies=policies)), upstream(port))  # type: ignore[arg-type]


async def test_what_a_script_is_told() -> None:
    async with (
        responder(lambda _asked: [page(b"Content-Type: text/plain\n\nhello")]) as php,
        edge(*table(php.port)) as running,
    ):
        reply = await ask(running.http, request("POST", "/a%20b/?x=%20", "X: evil", "X-Y: 1", "X-Y: 2", body=b"sent"))
        assert (reply.status, reply.body) == (200, b"hello")
        assert reply.value("Content-Type") == b"text/plain"
        (seen,) = php.seen
        assert seen.body == b"sent"
        told = seen.parameters
        assert told.pop("HTTP_X_REQUEST_ID")
        assert told.pop("REQUEST_URI") == "/a%20b/?x=%20"
        for name, value in {
            "REQUEST_METHOD": "POST",
            "QUERY_STRING": "x=%20",
            "CONTENT_LENGTH": "4",
            "SCRIPT_NAME": "/a b/index.php",
            "SCRIPT_FILENAME": "/srv/a b/index.php",
            "WHO": f"/a b/index.php of {HOST}",
            "DOCUMENT_URI": "/a b/",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "SERVER_ADDR": "127.0.0.1",
            "SERVER_NAME": HOST,
            "GATEWAY_INTERFACE": "CGI/1.1",
            "REQUEST_SCHEME": "http",
            "REDIRECT_STATUS": "200",
            "HTTP_HOST": HOST,
            "HTTP_X": "own",
            "HTTP_X_Y": "1, 2",
            "HTTP_X_REAL_IP": "127.0.0.1",
        }.items():
            assert told[name] == value, name
        assert "HTTP_CONNECTION" not in told
        assert "HTTPS" not in told


@pytest.mark.parametrize("size", [0, 1, 65_536, 300_000])
async def test_bodies_both_ways_over_both_protocols(size: int) -> None:
    def echo(asked: Asked) -> list[bytes]:
        pieces = [asked.body[at : at + 50_000] for at in range(0, len(asked.body), 50_000)]
        return [
            out(STDOUT, b"Status: 201 Made\r\n\r\n"),
            *(out(STDOUT, piece) for piece in pieces),
            out(STDERR, b"a warning"),
            out(END, bytes(8)),
        ]

    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with responder(echo) as php, edge(*table(php.port)) as running:
        reply = await ask(running.http, request("PUT", "/", body=body))
        assert (reply.status, reply.body) == (201, body)
        async with connection(running.http) as (reader, writer):
            writer.write(request("PUT", "/", "Transfer-Encoding: chunked"))
            writer.write((b"%x\r\n%b\r\n" % (size, body) if size else b"") + b"0\r\n\r\n" + request("GET", "/next"))
            assert (await read_reply(reader)).body == body
            assert (await read_reply(reader)).status == 201
        async with http2(running.https) as client:
            if size < 65_536:
                assert (await client.ask("PUT", body=body)).body == body
            assert (await client.ask()).status == 201
        assert php.seen[-1].parameters["HTTPS"] == "on"
        assert php.seen[-1].parameters["SERVER_PROTOCOL"] == "HTTP/2.0"


@pytest.mark.parametrize(
    ("said", "status", "location"),
    [
        (b"Location: /there\n\n", 302, b"/there"),
        (b"Status: 404 Not Here\r\nContent-Length: 0\r\n\r\n", 404, b""),
        (b"Status: 204\nX: y\n\n", 204, b""),
        (b"Content-Length: 3\n\nabc", 200, b""),
        (b"Status: 101 Switching\n\n", 502, b""),
        (b"Status: x\n\n", 502, b""),
        (b"no head\n\n", 502, b""),
        (b"Content-Length: 3\nContent-Length: 3\n\nabc", 502, b""),
        (b"never ends", 502, b""),
    ],
)
async def test_heads_of_scripts(said: bytes, status: int, location: bytes) -> None:
    async with responder(lambda _asked: [page(said)]) as php, edge(*table(php.port), ONE_TRY) as running:
        reply = await ask(running.http)
        assert (reply.status, reply.value("Location")) == (status, location)


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", out(STDOUT, b"A: b\n\n", number=2)]
)
async def test_what_is_no_fastcgi(said: bytes) -> None:
    async with responder(lambda _asked: [said]) as php, edge(*table(php.port), ONE_TRY) as running:
        assert (await ask(running.http)).status == 502


async def test_a_response_that_breaks_off_is_cut() -> None:
    async with (
        responder(lambda _asked: [out(STDOUT, b"A: b\n\nhalf")]) as php,
        edge(*table(php.port)) as running,
        connection(running.http) as (reader, writer),
    ):
        writer.write(request())
        assert not (await reader.read()).endswith(b"0\r\n\r\n")


async def test_a_head_alone_and_pieces_of_records() -> None:
    whole = page(b"Content-Type: text/html\n\nno body is wanted")
    async with (
        responder(lambda _asked: [whole[at : at + 5] for at in range(0, len(whole), 5)]) as php,
        edge(*table(php.port)) as running,
    ):
        assert (await ask(running.http, request("HEAD"), bodiless=True)).status == 200
        assert (await ask(running.http)).body == b"no body is wanted"


async def test_the_script_is_that_of_the_rewritten_path() -> None:
    async with (
        responder(lambda _asked: [page(b"A: b\n\n")]) as php,
        edge(*table(php.port, Rewrite("/(.*)", "/app/$1"))) as running,
    ):
        assert (await ask(running.http, request("GET", "/x.php?q"))).status == 200
        await eventually(lambda: php.seen)
        assert php.seen[0].parameters["SCRIPT_FILENAME"] == "/srv/app/x.php"
        assert php.seen[0].parameters["REQUEST_URI"] == "/x.php?q"
