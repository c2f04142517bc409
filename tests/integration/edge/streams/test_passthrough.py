"""TLS that passes unopened: by the name that a client asks for, to an endpoint with a certificate of its own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509

from proto.codec import record_of
from proto.resources import ResourceKey, ResourceRecord, Stream
from tests.support.edge import (
    OK,
    Edge,
    bound,
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
from tests.support.endpoints import identity, server_context
from tests.support.waiting import eventually

PASSED = "secure.example"
SECURE = "default/secure:443"


def passes(name: str = PASSED) -> ResourceRecord:
    """The host's TLS is not opened here."""
    return record_of(f"tls:{name}", Stream("tls", SECURE))


@asynccontextmanager
async def secure_endpoint(folder: Path) -> AsyncIterator[int]:
    """An endpoint that speaks TLS itself."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(OK)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    listening = bound()
    context = server_context(identity(folder, PASSED))
    server = await asyncio.start_server(serve, sock=listening, ssl=context)
    try:
        yield listening.getsockname()[1]
    finally:
        server.close()


async def names_shown(port: int, name: str) -> set[str]:
    """What the certificate says that a client gets who asks for ``name``; a request is answered beside."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name or None)
    try:
        writer.write(request(name=name or PASSED))
        assert (await read_reply(reader)).status == 200
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
    found = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return set(found.value.get_values_for_type(x509.DNSName))


@asynccontextmanager
async def both(folder: Path, *more: ResourceRecord) -> AsyncIterator[Edge]:
    """An edge with a host whose TLS passes, and one beside it whose TLS is opened."""
    own, _ = certificate("default/own", "t.example")
    async with secure_endpoint(folder) as secure, origin() as web:
        records = (
            host(tls=True, certificate="default/own"),
            own,
            upstream(web.port),
            upstream(secure, name=SECURE),
            passes(),
            *more,
        )
        async with asyncio.timeout(20), edge(*records) as running:
            yield running


async def test_one_host_passes_and_the_one_beside_it_is_opened(tmp_path: Path) -> None:
    async with both(tmp_path) as running:
        assert await names_shown(running.https, PASSED) == {PASSED}
        assert PASSED not in await names_shown(running.https, "t.example")
        assert await names_shown(running.https, PASSED.upper()) == {PASSED}
        ledger = running.serving.ledger
        await eventually(lambda: sum(ledger.sessions.values()) == 2)
        assert {protocol for protocol, _, _ in ledger.sessions} == {"tls"}


async def test_without_a_name_tls_is_opened_here(tmp_path: Path) -> None:
    async with both(tmp_path, host("")) as running:
        assert PASSED not in await names_shown(running.https, "")


async def test_a_wildcard_passes_what_nobody_declares(tmp_path: Path) -> None:
    async with both(tmp_path, passes("*.example"), host("plain.example")) as running:
        assert await names_shown(running.https, "other.example") == {PASSED}
        assert PASSED not in await names_shown(running.https, "plain.example")


async def test_a_hello_in_pieces_is_waited_for(tmp_path: Path) -> None:
    async with both(tmp_path) as running, connection(running.https) as (reader, writer):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = no_verification().wrap_bio(incoming, outgoing, server_hostname=PASSED)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        hello = outgoing.read()
        for at in range(0, len(hello), 61):
            writer.write(hello[at : at + 61])
            await writer.drain()
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await reader.read(65536))
        writer.write(outgoing.read())
        assert tls.getpeercert(binary_form=True)
        assert running.serving.limits.clients() == 1
        drained = asyncio.ensure_future(running.listeners[1].drain(0.2))
        assert await drained is False, "what passes is let be until the time is over"


async def test_behind_a_proxy_header(tmp_path: Path) -> None:
    header = b"PROXY TCP4 203.0.113.9 192.0.2.2 50000 443\r\n"
    async with (
        both(tmp_path, settings(use_proxy_protocol=True)) as running,
        connection(running.https) as (reader, writer),
    ):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = no_verification().wrap_bio(incoming, outgoing, server_hostname=PASSED)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        writer.write(header + outgoing.read())
        assert (await reader.readexactly(1)) == b"\x16", "the endpoint answers, and was not sent the header"


async def test_it_changes_live(tmp_path: Path) -> None:
    async with both(tmp_path, host(PASSED)) as running:
        assert await names_shown(running.https, PASSED) == {PASSED}
        running.change(removals=(ResourceKey("stream", f"tls:{PASSED}"),))
        assert PASSED not in await names_shown(running.https, PASSED)
        assert not running.serving.newest.streams.hosts  # type: ignore[union-attr]
        running.change(passes())
        assert await names_shown(running.https, PASSED) == {PASSED}
        running.change(upstream(name=SECURE))
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await names_shown(running.https, PASSED)
        await eventually(lambda: any(status == "502" for _, _, status in running.serving.ledger.sessions))
