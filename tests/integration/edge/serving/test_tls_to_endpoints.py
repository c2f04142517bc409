"""TLS to endpoints with real servers: what is sent, what is checked, what is kept for the next connection."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from proto.policies import BackendProtocol, EndpointTLS, ProxyTimeouts, SSLRedirect
from tests.support.edge import (
    OK,
    STREAMED,
    Reply,
    ask,
    bound,
    connection,
    edge,
    host,
    origin,
    read_reply,
    request,
    route,
)
from tests.support.edge import upstream as upstream_of
from tests.support.endpoints import (
    NAME,
    SECRET,
    authority,
    credentials,
    identity,
    secure_origin,
    server_context,
    tls_host,
)
from tests.support.pairs import make_pair
from tests.support.waiting import eventually

VERIFIED = EndpointTLS(SECRET, verify=True, name=NAME)


async def answer_of(
    context: ssl.SSLContext, tls: EndpointTLS | None, *records: Any
) -> tuple[Reply, list[str | None], dict[str, int]]:
    async with secure_origin(context) as web, edge(tls_host(tls), upstream_of(web.port), *records) as running:
        reply = await ask(running.http, request())
        return reply, web.names, dict(running.serving.traffic.counters)


async def test_without_a_secret_nothing_is_sent_nothing_is_verified(tmp_path: Path) -> None:
    own = identity(tmp_path, "anything", issuer=make_pair(ca=True))
    reply, names, _ = await answer_of(server_context(own), None)
    assert (reply.status, reply.body) == (200, b"ok")
    assert names == [None]


async def test_the_head_says_what_the_client_came_by(tmp_path: Path) -> None:
    context = server_context(identity(tmp_path, NAME))
    async with secure_origin(context) as web, edge(tls_host(), upstream_of(web.port)) as running:
        await ask(running.http, request())
        assert web.seen[0].value("X-Forwarded-Proto") == b"http"
        assert web.seen[0].value("Host") == b"t.example"


@pytest.mark.parametrize(
    ("tls", "sent"),
    [
        (EndpointTLS(SECRET, name=NAME), None),
        (EndpointTLS(SECRET, name=NAME, server_name=True), NAME),
        (EndpointTLS(SECRET, server_name=True), "upstream_balancer"),
    ],
)
async def test_the_name_is_sent_where_that_is_asked(tmp_path: Path, tls: EndpointTLS, sent: str | None) -> None:
    reply, names, _ = await answer_of(server_context(identity(tmp_path, NAME)), tls, credentials())
    assert reply.status == 200
    assert names == [sent]


@pytest.mark.parametrize(
    ("names", "status"), [((NAME,), 200), (("*.example",), 502), (("other.example",), 502), (("a.b", NAME), 200)]
)
@pytest.mark.parametrize("server_name", [False, True])
async def test_the_certificate_must_be_for_the_name(
    tmp_path: Path, names: tuple[str, ...], status: int, server_name: bool
) -> None:
    context = server_context(identity(tmp_path, *names))
    tls = EndpointTLS(SECRET, verify=True, name=NAME, server_name=server_name)
    reply, _, counters = await answer_of(context, tls, credentials())
    assert reply.status == status
    assert (status == 502) == bool(counters.get("upstream-tls-unverified"))


async def test_the_certificate_must_come_from_the_authority(tmp_path: Path) -> None:
    context = server_context(identity(tmp_path, NAME, issuer=make_pair(ca=True, common_name="authority")))
    reply, _, counters = await answer_of(context, VERIFIED, credentials())
    assert reply.status == 502
    assert counters["upstream-tls-handshake-failed"]


@pytest.mark.parametrize(("between", "depth", "status"), [(1, 1, 200), (2, 1, 502), (2, 2, 200), (0, 1, 200)])
async def test_so_many_certificates_may_stand_between(tmp_path: Path, between: int, depth: int, status: int) -> None:
    context = server_context(identity(tmp_path, NAME, between=between))
    tls = EndpointTLS(SECRET, verify=True, verify_depth=depth, name=NAME)
    assert (await answer_of(context, tls, credentials()))[0].status == status


async def test_a_certificate_is_shown_to_who_asks(tmp_path: Path) -> None:
    context = server_context(identity(tmp_path, NAME), asks=True)
    assert (await answer_of(context, VERIFIED, credentials(identity(tmp_path, "edge.example"))))[0].status == 200
    assert (await answer_of(context, VERIFIED, credentials()))[0].status == 502


@pytest.mark.parametrize(
    ("versions", "spoken"),
    [((), "TLSv1.3"), (("TLSv1.2",), "TLSv1.2"), (("TLSv1.2", "TLSv1.3"), "TLSv1.3"), (("TLSv1.3",), "TLSv1.3")],
)
async def test_versions(tmp_path: Path, versions: tuple[str, ...], spoken: str) -> None:
    context = server_context(identity(tmp_path, NAME))
    tls = EndpointTLS(SECRET, protocols=versions)
    async with secure_origin(context) as web, edge(tls_host(tls), upstream_of(web.port), credentials()) as running:
        assert (await ask(running.http, request())).status == 200
        assert [version for version, _ in web.links] == [spoken]


async def test_ciphers_that_nobody_knows_answer_502_and_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    context = server_context(identity(tmp_path, NAME))
    reply, _, _ = await answer_of(context, EndpointTLS(SECRET, ciphers="NO-SUCH-CIPHER"), credentials())
    assert reply.status == 502
    assert SECRET in caplog.text


async def test_credentials_that_are_gone_answer_502(tmp_path: Path) -> None:
    reply, _, _ = await answer_of(server_context(identity(tmp_path, NAME)), VERIFIED)
    assert reply.status == 502


@pytest.mark.parametrize("versions", [("TLSv1.2",), ("TLSv1.3",)])
async def test_the_next_connection_resumes_the_session(tmp_path: Path, versions: tuple[str, ...]) -> None:
    closing = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
    context = server_context(identity(tmp_path, NAME))
    tls = EndpointTLS(SECRET, verify=True, name=NAME, protocols=versions)
    records = (tls_host(tls), credentials())
    async with secure_origin(context, closing) as web, edge(*records, upstream_of(web.port)) as running:
        for _ in range(3):
            assert (await ask(running.http, request())).status == 200
        assert [reused for _, reused in web.links] == [False, True, True]


async def test_connections_are_kept_and_never_shared_with_another_way_of_speaking(tmp_path: Path) -> None:
    context = server_context(identity(tmp_path, NAME))
    https = [SSLRedirect(False, False), BackendProtocol("https")]
    two_ways = host("t.example", route(policies=https), route(path="/verified", policies=[*https, VERIFIED]))
    async with secure_origin(context) as web, edge(two_ways, upstream_of(web.port), credentials()) as running:
        for path in ("/", "/verified", "/", "/verified"):
            assert (await ask(running.http, request("GET", path))).status == 200
        assert web.connections == 2
        assert [seen.connection for seen in web.seen] == [1, 2, 1, 2]


async def test_other_credentials_mean_other_connections(tmp_path: Path) -> None:
    context = server_context(identity(tmp_path, NAME))
    records = (tls_host(VERIFIED), credentials())
    async with secure_origin(context) as web, edge(*records, upstream_of(web.port)) as running:
        assert (await ask(running.http, request())).status == 200
        running.change(credentials(believes=make_pair(ca=True, common_name="another")[0]))
        assert (await ask(running.http, request())).status == 502
        running.change(credentials(believes=authority()[0]))
        assert (await ask(running.http, request())).status == 200


async def test_auto_http_follows_the_client(tmp_path: Path) -> None:
    context = server_context(identity(tmp_path, NAME))
    async with origin(OK) as web, edge(tls_host(protocol="auto-http"), upstream_of(web.port)) as running:
        assert (await ask(running.http, request())).status == 200
    async with secure_origin(context) as web, edge(tls_host(protocol="auto-http"), upstream_of(web.port)) as running:
        assert (await ask(running.https, request(), tls="t.example")).status == 200
        assert [seen.value("X-Forwarded-Proto") for seen in web.seen] == [b"https"]


async def test_an_endpoint_that_does_not_speak_tls_answers_502() -> None:
    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        writer.close()

    server = await asyncio.start_server(babble, sock=bound())
    async with server, edge(tls_host(), upstream_of(server.sockets[0].getsockname()[1])) as running:
        assert (await ask(running.http, request())).status == 502
        assert not running.serving.pools.counts()["active"]


async def test_a_handshake_that_never_ends_is_a_connect_timeout(tmp_path: Path) -> None:
    policies = [SSLRedirect(False, False), BackendProtocol("https"), ProxyTimeouts(connect=0.2)]
    async with origin() as web, edge(host("t.example", route(policies=policies)), upstream_of(web.port)) as running:
        assert (await ask(running.http, request())).status == 504
        await eventually(lambda: not web.open)


async def test_large_bodies_both_ways(tmp_path: Path) -> None:
    size = 4_000_000
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
    context = server_context(identity(tmp_path, NAME))
    records = (tls_host(VERIFIED), credentials(), STREAMED)
    async with secure_origin(context, answer) as web, edge(*records, upstream_of(web.port)) as running:
        async with connection(running.http) as (reader, writer):
            body = bytes(1_000_000)
            writer.write(request("POST", "/", body=body))
            reply = await read_reply(reader)
        assert len(reply.body) == size
        assert len(web.seen[0].body) == len(body)


@pytest.mark.parametrize("protocol", ["https", "grpcs"])
@pytest.mark.parametrize("name", [".web.example", "a" * 64 + ".example", "a\0b"])
async def test_a_name_that_cannot_be_sent_answers_502(
    name: str, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    tls = EndpointTLS("", name=name, server_name=True)
    async with origin() as web, edge(tls_host(tls, protocol), upstream_of(web.port)) as running:
        assert (await ask(running.http)).status == 502
    assert f"proxy-ssl-name {name!r} cannot be sent" in caplog.text
