"""TLS in front: certificates by server name, handshakes in pieces, what is not TLS."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time

import pytest
from cryptography import x509

from proto.resources import ResourceKey
from services.edge import connection as connections
from services.edge import records, tls
from tests.support.edge import (
    HOST,
    ask,
    certificate,
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


async def served(port: int, name: str) -> bytes:
    """The certificate (DER) that a client gets which asks for ``name``."""
    async with connection(port, tls=name) as (_reader, writer):
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        assert isinstance(der, bytes)
        return der


async def test_certificates_by_server_name() -> None:
    exact, exact_der = certificate("default/exact")
    wild, wild_der = certificate("default/wild")
    default, default_der = certificate("default/default")
    records = (
        host("a.example", tls=True, certificate="default/exact"),
        host("*.wild.example", tls=True, certificate="default/wild"),
        host("plain.wild.example"),
        host("missing.example", tls=True, certificate="default/nowhere"),
        exact,
        wild,
        default,
    )
    async with edge(*records) as running:
        assert await served(running.https, "a.example") == exact_der
        assert await served(running.https, "A.Example") == exact_der
        assert await served(running.https, "x.wild.example") == wild_der
        assert await served(running.https, "plain.wild.example") == wild_der
        fake = x509.load_der_x509_certificate(await served(running.https, "nobody.example"))
        assert fake.subject.rfc4514_string() == "CN=Kubernetes Ingress Controller Fake Certificate,O=Acme Co"
        running.change(settings(default_certificate="default/default"))
        assert await served(running.https, "missing.example") == default_der
        assert await served(running.https, "nobody.example") == default_der


async def test_a_changed_certificate_is_served_at_once_and_cuts_nobody() -> None:
    before, before_der = certificate("default/tls")
    after, after_der = certificate("default/tls")
    async with (
        origin() as web,
        edge(host(tls=True, certificate="default/tls"), before, upstream(web.port)) as running,
        connection(running.https, tls="t.example") as (reader, writer),
    ):
        assert await served(running.https, "t.example") == before_der
        running.change(after)
        assert await served(running.https, "t.example") == after_der
        writer.write(request())
        assert (await read_reply(reader)).status == 200
        running.change(removals=[ResourceKey("certificate", "default/tls")])
        writer.write(request())
        assert (await read_reply(reader)).status == 200


async def test_a_certificate_whose_key_does_not_open_leads_to_the_fallback() -> None:
    record, _ = certificate("other/place")
    moved = type(record)("certificate", "default/tls", record.body)
    async with origin() as web, edge(host(tls=True, certificate="default/tls"), moved, upstream(web.port)) as running:
        assert (await ask(running.https, tls="t.example")).status == 200
        assert "default/tls" in running.serving.contexts.failures
        running.change(removals=[ResourceKey("certificate", "default/tls")])
        assert not running.serving.contexts.failures, "it is not there any more"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_every_byte_alone(version: ssl.TLSVersion) -> None:
    """The handshake and a request, one byte per write, and requests that come with the handshake's last bytes."""
    context = no_verification()
    context.minimum_version = context.maximum_version = version
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="t.example")
        reader, writer = await asyncio.open_connection("127.0.0.1", running.https)

        async def send() -> None:
            for byte in outgoing.read():
                writer.write(bytes((byte,)))
                await writer.drain()

        async with asyncio.timeout(10):
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    await send()
                    incoming.write(await reader.read(65536))
            tls.write(request())
            await send()
            answer = b""
            while not answer.endswith(b"\r\n\r\nok"):
                incoming.write(await reader.read(65536))
                try:
                    answer += tls.read(65536)
                except ssl.SSLWantReadError:
                    continue
            writer.close()


@pytest.mark.parametrize(
    "data", [request(), b"\x16\x03\x01\x00\x05hello", b"\x16\x03\x01\xff\xff", b"\x80\x2e\x01\x00\x02", b"\0" * 100]
)
async def test_what_is_not_tls_ends_without_reaching_anybody(data: bytes) -> None:
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        async with asyncio.timeout(5), connection(running.https) as (reader, writer):
            writer.write(data)
            answer = await reader.read()
            assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ") or answer[0] == 21
        assert not web.seen


async def test_a_client_that_makes_tls_talk_and_takes_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """What TLS says by itself, such as answers to key updates, is bounded like everything else that is sent."""
    monkeypatch.setattr(records, "UNTAKEN_LIMIT", 1000)
    async with edge(host()) as running, asyncio.timeout(5), connection(running.https, tls="t.example") as (_, writer):
        (listener,) = running.listeners[1].each
        await eventually(lambda: listener.connections)
        (held,) = listener.connections
        over = held.transport
        assert isinstance(over, tls.TLSConnection)
        writer.transport.pause_reading()
        over._outgoing.write(bytes(32 << 20))  # more than the kernel takes on the client's behalf
        over._flush()
        await eventually(lambda: not listener.connections)
        assert running.serving.traffic.counters["tls-untaken"] == 1
        writer.transport.abort()


async def test_tls_on_the_plain_port_is_refused() -> None:
    async with edge(host()) as running, asyncio.timeout(5), connection(running.http) as (reader, writer):
        writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert (await read_reply(reader)).status == 400


async def test_large_bodies_both_ways_over_tls() -> None:
    size = 1000 * 1000
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (8 * size) + bytes(8 * size)
    async with origin(answer) as web, edge(host(), upstream(web.port)) as running:
        async with connection(running.https, tls="t.example") as (reader, writer):
            for _ in range(2):
                writer.write(request("PUT", "/", body=bytes(size)))
                assert len((await read_reply(reader)).body) == 8 * size
        assert all(seen.complete for seen in web.seen)


async def test_a_handshake_under_way_when_draining_begins_still_leads_to_an_answer() -> None:
    async with origin() as web, edge(host(), upstream(web.port)) as running, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.https)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = no_verification().wrap_bio(incoming, outgoing, server_hostname="t.example")
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        writer.write(outgoing.read())
        incoming.write(await reader.read(65536))
        draining = asyncio.ensure_future(running.listeners[1].drain(5))
        await asyncio.sleep(0.1)
        assert not draining.done()
        client.do_handshake()
        client.write(request())
        writer.write(outgoing.read())
        answer = b""
        while not answer.endswith(b"ok"):
            incoming.write(await reader.read(65536))
            with contextlib.suppress(ssl.SSLWantReadError):
                answer += client.read(65536)
        assert b"\r\nConnection: close\r\n" in answer
        writer.close()
        assert await draining


async def test_handshakes_that_stand_still_do_not_hold_up_a_drain() -> None:
    async with edge(host()) as running, asyncio.timeout(5), connection(running.https):
        await eventually(lambda: running.listeners[1].connections == 1)
        assert await running.listeners[1].drain(5)


async def test_the_end_is_orderly() -> None:
    async with (
        origin() as web,
        edge(host(), upstream(web.port)) as running,
        asyncio.timeout(5),
        connection(running.https, tls="t.example") as (reader, writer),
    ):
        writer.write(request("GET", "/", "Connection: close"))
        assert (await read_reply(reader)).status == 200
        assert await reader.read() == b""


async def test_who_still_sends_after_being_refused_is_listened_to_as_without_tls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "LINGER_PAUSE", 0.6)

    def upload(port: int) -> bytes:
        with (
            socket.create_connection(("127.0.0.1", port), 10) as plain,
            no_verification().wrap_socket(plain, server_hostname=HOST, suppress_ragged_eofs=False) as client,
        ):
            client.sendall(request("POST", "/", "Content-Length: 99999999"))
            for _ in range(20):  # slower than the pause is long, all together
                client.sendall(bytes(1000))
                time.sleep(0.1)
            return client.recv(1000)

    async with origin() as web, edge(host(HOST), upstream(web.port)) as running:
        reply = await asyncio.to_thread(upload, running.https)
    assert reply.startswith(b"HTTP/1.1 413 ")


async def test_the_ticket_waits_for_what_is_sent_first() -> None:
    """A client is told of its session with the first answer; or with the goodbye, in order, if there is no answer."""
    known, _ = certificate("default/tls")
    async with (
        origin() as web,
        edge(host(tls=True, certificate="default/tls"), known, upstream(web.port)) as running,
        connection(running.https, tls="t.example") as (reader, writer),
        connection(running.https, tls="t.example") as (silent, _),
    ):
        told: ssl.SSLObject = writer.get_extra_info("ssl_object")
        assert told.session is not None
        assert not told.session.has_ticket
        writer.write(request())
        assert (await read_reply(reader)).status == 200
        session: ssl.SSLSession | None = told.session
        assert session is not None
        assert session.has_ticket
        await running.listeners[1].drain(0)
        assert await silent.read() == b""
    assert not running.serving.traffic.counters["tls-broken"]
