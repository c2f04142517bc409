"""PROXY headers before http and https, and the client's real address from trusted forwarders."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from proto.resources import Settings
from services.edge.core.forwarded import believes_balancer, trust_of
from tests.support.edge import (
    Edge,
    Reply,
    connection,
    edge,
    host,
    no_verification,
    origin,
    read_reply,
    request,
    settings,
    upstream,
)
from tests.support.waiting import eventually

V1 = b"PROXY TCP4 203.0.113.9 192.0.2.2 50000 80\r\n"
V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes((203, 0, 113, 9, 192, 0, 2, 2)) + b"\xc3\x50\x00\x50"
TO_443 = b"PROXY TCP4 203.0.113.9 192.0.2.2 50000 443\r\n"
ON = settings(use_proxy_protocol=True, ssl_redirect=False)


async def say(running: Edge, *pieces: bytes) -> Reply:
    """Send ``pieces``, each as a packet of its own, and read the response."""
    async with asyncio.timeout(10), connection(running.http) as (reader, writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001)
        return await read_reply(reader)


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
async def test_the_client_is_whom_the_header_names_however_it_is_split(header: bytes) -> None:
    async with origin() as web, edge(host(), upstream(web.port), ON) as running:
        whole = header + request()
        assert (await say(running, whole)).status == 200
        for at in (1, 6, 12, 13, len(header) - 1, len(header), len(header) + 3):
            assert (await say(running, whole[:at], whole[at:])).status == 200
        assert (await say(running, *(whole[at : at + 1] for at in range(len(whole))))).status == 200
        assert {seen.value("X-Forwarded-For") for seen in web.seen} == {b"203.0.113.9"}
        assert {seen.value("X-Real-IP") for seen in web.seen} == {b"203.0.113.9"}
        assert {seen.value("X-Forwarded-Proto") for seen in web.seen} == {b"http"}


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
async def test_tls_begins_behind_the_header(header: bytes) -> None:
    async with (
        origin() as web,
        edge(host(), upstream(web.port), ON) as running,
        asyncio.timeout(10),
        connection(running.https) as (reader, writer),
    ):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = no_verification().wrap_bio(incoming, outgoing, server_hostname="t.example")
        first = True
        for step in (tls.do_handshake, lambda: tls.write(request()), lambda: tls.read(65536)):
            while True:
                try:
                    answer = step()
                    break
                except ssl.SSLWantReadError:
                    writer.write((header if first else b"") + outgoing.read())
                    first = False
                    incoming.write(await reader.read(65536))
            writer.write(outgoing.read())
        assert isinstance(answer, bytes)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert web.seen[0].value("X-Forwarded-For") == b"203.0.113.9"
        assert web.seen[0].value("X-Forwarded-Proto") == b"https"


async def test_a_balancers_port_443_means_https() -> None:
    async with origin() as web, edge(host(), upstream(web.port), ON) as running:
        assert (await say(running, TO_443 + request())).status == 200
        assert web.seen[0].value("X-Forwarded-Proto") == b"https"
        assert web.seen[0].value("X-Forwarded-Port") == b"443"


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", V2[:12] + b"\x20\x00\x00\x00"], ids=["unknown", "local"])
async def test_a_balancer_that_speaks_for_itself_is_the_client(header: bytes) -> None:
    async with origin() as web, edge(host(), upstream(web.port), ON) as running:
        assert (await say(running, header + request())).status == 200
        assert web.seen[0].value("X-Forwarded-For") == b"127.0.0.1"


@pytest.mark.parametrize("data", [request(), b"PROXY TCP4 1.2.3.4\r\n" + request(), b"\x16\x03\x01"], ids=repr)
async def test_who_does_not_begin_with_a_header_is_not_answered(data: bytes) -> None:
    async with (
        origin() as web,
        edge(host(), upstream(web.port), ON) as running,
        asyncio.timeout(10),
        connection(running.http) as (reader, writer),
    ):
        writer.write(data)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
        assert web.seen == []
        assert any(name.startswith("proxy-protocol-") for name in running.serving.traffic.counters)


async def test_that_headers_are_missing_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async with edge(host(), ON) as running, asyncio.timeout(10):
        for _ in range(3):
            async with connection(running.http) as (reader, writer):
                writer.write(request())
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await reader.readexactly(1)
        (record,) = [record for record in caplog.records if "use-proxy-protocol" in record.message]
        assert record.__dict__["fields"] == {"client": "127.0.0.1", "reason": "no header", "more_like_it": 0}


async def test_a_header_that_takes_too_long_ends_the_connection() -> None:
    slow = settings(use_proxy_protocol=True, proxy_protocol_header_timeout=0.2)
    async with (
        edge(host(), slow) as running,
        asyncio.timeout(10),
        connection(running.http) as (reader, writer),
    ):
        writer.write(V1[:9])
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
        assert running.serving.traffic.counters["proxy-protocol-timeout"] == 1
        await eventually(lambda: not any(listeners.connections for listeners in running.listeners))


async def test_a_setting_that_changes_holds_for_connections_that_come_after() -> None:
    async with (
        origin() as web,
        edge(host(), upstream(web.port)) as running,
        connection(running.http) as (reader, writer),
    ):
        writer.write(request())
        assert (await read_reply(reader)).status == 200
        running.change(ON)
        writer.write(request())
        assert (await read_reply(reader)).status == 200
        assert (await say(running, V1 + request())).status == 200


def test_a_header_of_somebody_who_is_not_trusted_is_read_and_not_believed() -> None:
    """Only the machine itself and ``proxy-real-ip-cidr`` are believed; here neither is the peer."""
    trust = trust_of(Settings(proxy_real_ip_cidr=("10.0.0.0/8", "2001:db8::/32")))
    assert believes_balancer(trust, "10.1.2.3")
    assert believes_balancer(trust, "::ffff:10.1.2.3")
    assert believes_balancer(trust, "2001:db8::7")
    assert believes_balancer(trust, "127.0.0.1")
    assert believes_balancer(trust, "::1")
    assert not believes_balancer(trust, "192.0.2.1")
    assert not believes_balancer(trust, "")


CHAIN = "X-Forwarded-For: 198.51.100.1, 203.0.113.5, 10.0.0.7, 10.0.0.8:4711"


@pytest.mark.parametrize(
    ("words", "client"),
    [
        ({"use_forwarded_headers": True, "proxy_real_ip_cidr": ("127.0.0.0/8", "10.0.0.0/8")}, b"203.0.113.5"),
        ({"enable_real_ip": True, "proxy_real_ip_cidr": ("127.0.0.0/8", "10.0.0.0/8")}, b"203.0.113.5"),
        ({"use_forwarded_headers": True, "proxy_real_ip_cidr": ("127.0.0.1/32",)}, b"10.0.0.8"),
        ({"use_forwarded_headers": True, "proxy_real_ip_cidr": ("10.0.0.0/8",)}, b"127.0.0.1"),
        ({"use_forwarded_headers": True}, b"198.51.100.1"),
        ({}, b"127.0.0.1"),
    ],
)
async def test_the_client_is_the_rightmost_that_is_not_trusted(words: dict[str, object], client: bytes) -> None:
    async with origin() as web, edge(host(), upstream(web.port), settings(**words)) as running:
        data = request("GET", "/", CHAIN, "X-Forwarded-Proto: https", "X-Forwarded-Host: other.example")
        assert (await say(running, data)).status == 200
        seen = web.seen[0]
        assert seen.value("X-Real-IP") == client
        believed = bool(words.get("use_forwarded_headers")) and client != b"127.0.0.1"
        assert seen.value("X-Forwarded-Proto") == (b"https" if believed else b"http")
        assert seen.value("X-Forwarded-Host") == (b"other.example" if believed else b"t.example")


async def test_headers_are_read_while_the_worker_refuses_requests() -> None:
    async with origin() as web, edge(host(), upstream(web.port), ON) as running:
        running.serving.refuse(True)
        assert (await say(running, V1 + request())).status == 503
        running.serving.refuse(False)
        assert (await say(running, V1 + request())).status == 200
