"""What the ConfigMap says of names in heads, on real sockets and over both protocols."""

from __future__ import annotations

import pytest

from tests.support.edge import HOST, NO_HTTPS, ask, edge, host, origin, request, route, settings, upstream
from tests.support.http2 import http2

NAMED = b"HTTP/1.1 200 OK\r\nServer: theirs\r\nContent-Length: 2\r\n\r\nok"
NAMELESS = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("answer", "said", "server"),
    [
        (NAMED, {}, b""),
        (NAMED, {"allow_backend_server_header": True}, b""),
        (NAMED, {"server_tokens": True}, b"limen"),
        (NAMED, {"server_tokens": True, "allow_backend_server_header": True}, b"theirs"),
        (NAMELESS, {"server_tokens": True, "allow_backend_server_header": True}, b"limen"),
    ],
)
async def test_who_serves(answer: bytes, said: dict[str, bool], server: bytes) -> None:
    table = (host(HOST, route(policies=NO_HTTPS)), settings(**said))
    async with origin(answer) as web, edge(*table, upstream(web.port)) as running:
        for _ in range(2):
            assert (await ask(running.http)).value("Server") == server
        async with http2(running.https) as client:
            assert (await client.ask()).headers.get("server", "").encode() == server


async def test_headers_with_underscores_and_forwarders_with_names_of_their_own() -> None:
    said = settings(enable_underscores_in_headers=True, use_forwarded_headers=True, forwarded_for_header="X-Client")
    table = (host(HOST, route(policies=NO_HTTPS)), said)
    async with origin() as web, edge(*table, upstream(web.port)) as running:
        lines = ("X_Told: a", "X_Forwarded_For: evil", "X.Told: b", "X-Client: 192.0.2.7")
        assert (await ask(running.http, request("GET", "/", *lines))).status == 200
        async with http2(running.https) as client:
            fields = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
            assert (await client.ask(fields=fields)).status == 200
        for seen in web.seen:
            assert seen.value("X_Told") == b"a"
            assert seen.values("X_Forwarded_For") == seen.values("X.Told") == []
            assert seen.value("X-Real-IP") == b"192.0.2.7"
