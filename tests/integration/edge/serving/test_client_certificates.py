"""Hosts that ask for client certificates: their four modes, what endpoints are told, and no way around them."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from proto.codec import record_of
from proto.handshakes import ClientCertificates, Handshake
from proto.resources import Credentials, ResourceRecord
from proto.sealing import secret_place
from tests.support.edge import (
    NO_HTTPS,
    SEALER,
    Edge,
    Reply,
    certificate,
    edge,
    host,
    no_verification,
    origin,
    read_reply,
    request,
    route,
    upstream,
)
from tests.support.pairs import Key, make_pair, pem, pem_key

NAME = "m.example"
OPEN = "open.example"
Pair = tuple[x509.Certificate, Key]


class Clients:
    """Authorities and what they signed; ``context`` is what a client speaks TLS with."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = make_pair(common_name="authority", ca=True)
        self.stranger = make_pair(common_name="stranger", ca=True)

    def record(self, *, revoked: tuple[x509.Certificate, ...] = (), authority: Pair | None = None) -> ResourceRecord:
        """The Credentials ``default/ca``."""
        trusted = authority or self.authority
        sealed = SEALER.seal(secret_place("default", "ca", "ca.crt"), pem(trusted[0]))
        if not revoked:
            return record_of("default/ca", Credentials(sealed_authority=sealed))
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(trusted[0].subject)
            .last_update(now - datetime.timedelta(hours=1))
            .next_update(now + datetime.timedelta(days=1))
        )
        for each in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(each.serial_number).revocation_date(now).build()
            builder = builder.add_revoked_certificate(entry)
        crl = builder.sign(trusted[1], hashes.SHA256()).public_bytes(Encoding.PEM)  # type: ignore[arg-type]
        place = secret_place("default", "ca", "ca.crl")
        return record_of("default/ca", Credentials(sealed_authority=sealed, sealed_revoked=SEALER.seal(place, crl)))

    def context(self, *chain: Pair, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """``chain``: the client's pair and the certificates above it; empty: it has none."""
        context = no_verification()
        if version is not None:
            context.minimum_version = context.maximum_version = version
        if chain:
            file = self._folder / "client.pem"
            file.write_bytes(pem_key(chain[0][1]) + b"".join(pem(each[0]) for each in chain))
            context.load_cert_chain(file)
        return context


@pytest.fixture
def clients(tmp_path: Path) -> Clients:
    return Clients(tmp_path)


def guarded(name: str = NAME, **rules: object) -> ResourceRecord:
    """A host that asks for client certificates."""
    client = ClientCertificates(**{"authority": "default/ca", **rules})  # type: ignore[arg-type]
    return host(name, route(policies=NO_HTTPS), tls=True, handshake=Handshake(client=client))


async def ask(
    port: int, context: ssl.SSLContext, *, sni: str | None = NAME, name: str = NAME, lines: str = ""
) -> Reply:
    """One request over TLS. ``sni`` None: none is sent."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=sni or "")
        try:
            writer.write(request("GET", "/", *([lines] if lines else []), name=name))
            return await read_reply(reader)
        finally:
            writer.close()


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
OUTCOMES = {
    # mode: (no certificate, one of the authority, one of a stranger, one that has expired)
    "on": (400, 200, 400, 400),
    "optional": (200, 200, 400, 400),
    "optional_no_ca": (200, 200, 200, 400),
    "off": (200, 200, 200, 200),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("mode", OUTCOMES)
async def test_modes(clients: Clients, mode: str, version: ssl.TLSVersion) -> None:
    good = make_pair(common_name="good", issuer=clients.authority)
    unknown = make_pair(common_name="unknown", issuer=clients.stranger)
    expired = make_pair(common_name="expired", issuer=clients.authority, days=-1)
    async with origin() as web, edge(guarded(mode=mode), clients.record(), upstream(web.port)) as running:
        statuses = []
        for chain in ((), (good,), (unknown,), (expired,)):
            reply = await ask(running.https, clients.context(*chain, version=version))
            statuses.append(reply.status)
            if reply.status == 400:
                words = b"No required SSL certificate was sent" if not chain else b"The SSL certificate error"
                assert words in reply.body
                assert reply.value("Connection") == b"close"
        assert tuple(statuses) == OUTCOMES[mode]
        told = [seen.value("ssl-client-verify") for seen in web.seen]
        assert (
            told
            == {
                "on": [b"SUCCESS"],
                "optional": [b"NONE", b"SUCCESS"],
                "optional_no_ca": [b"NONE", b"SUCCESS", b"FAILED:unable to verify the first certificate"],
                "off": [b"NONE"] * 4,
            }[mode]
        )


async def test_what_endpoints_are_told(clients: Clients) -> None:
    good = make_pair(common_name="good", issuer=clients.authority)
    async with (
        origin() as web,
        edge(guarded(pass_certificate=True), guarded("plain.example"), clients.record(), upstream(web.port)) as running,
    ):
        spoofed = "ssl-client-verify: SUCCESS\r\nSSL-Client-Subject-DN: CN=admin"
        await ask(running.https, clients.context(good), lines=spoofed)
        await ask(running.https, clients.context(good), sni="plain.example", name="plain.example")
        first, second = web.seen
        assert first.value("ssl-client-verify") == b"SUCCESS"
        assert first.value("ssl-client-subject-dn") == b"CN=good"
        assert first.value("ssl-client-issuer-dn") == b"CN=authority"
        assert first.value("ssl-client-cert") == quote(pem(good[0]), safe="").encode()
        assert first.value("ssl-client-cert").startswith(b"-----BEGIN%20CERTIFICATE-----%0A")
        assert second.value("ssl-client-cert") == b""
        assert second.value("ssl-client-subject-dn") == b"CN=good"


def chain_of(clients: Clients, length: int) -> list[Pair]:
    """A client's pair with ``length`` authorities between it and the one that is trusted."""
    chain = [clients.authority]
    for number in range(length):
        chain.append(make_pair(common_name=f"between {number}", issuer=chain[-1], ca=True))
    chain.append(make_pair(common_name="good", issuer=chain[-1]))
    return chain[:0:-1]


async def test_depth(clients: Clients) -> None:
    async with (
        origin() as web,
        edge(guarded(), guarded("deep.example", depth=2), clients.record(), upstream(web.port)) as running,
    ):
        one, two = (clients.context(*chain_of(clients, length)) for length in (1, 2))
        assert (await ask(running.https, one)).status == 200
        assert (await ask(running.https, two)).status == 400
        assert (await ask(running.https, two, sni="deep.example", name="deep.example")).status == 200


async def test_revoked_certificates(clients: Clients) -> None:
    good = make_pair(common_name="good", issuer=clients.authority)
    revoked = make_pair(common_name="revoked", issuer=clients.authority)
    record = clients.record(revoked=(revoked[0],))
    async with origin() as web, edge(guarded(), record, upstream(web.port)) as running:
        assert (await ask(running.https, clients.context(good))).status == 200
        assert (await ask(running.https, clients.context(revoked))).status == 400


async def test_a_certificate_for_servers_is_none_for_clients(clients: Clients) -> None:
    key = make_pair()[1]
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")]))
        .issuer_name(clients.authority[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    server = builder.sign(clients.authority[1], hashes.SHA256())  # type: ignore[arg-type]
    async with origin() as web, edge(guarded(), clients.record(), upstream(web.port)) as running:
        assert (await ask(running.https, clients.context((server, key)))).status == 400


async def test_subject_and_error_page(clients: Clients) -> None:
    alice, bob = (make_pair(common_name=name, issuer=clients.authority) for name in ("alice", "bob"))
    async with (
        origin() as web,
        edge(
            guarded(subject="CN=ali.e", error_page="https://help.example/?why=certificate"),
            clients.record(),
            upstream(web.port),
        ) as running,
    ):
        assert (await ask(running.https, clients.context(alice))).status == 200
        assert (await ask(running.https, clients.context(bob))).status == 403
        reply = await ask(running.https, clients.context())
        assert (reply.status, reply.value("Location")) == (302, b"https://help.example/?why=certificate")
        assert len(web.seen) == 1


async def test_no_way_around(clients: Clients) -> None:
    """Other names in SNI and Host, no SNI, no TLS: nothing reaches an endpoint without the certificate."""
    good = make_pair(common_name="good", issuer=clients.authority)
    records = (guarded(), guarded("other.example"), host(OPEN, tls=True), clients.record())
    async with origin() as web, edge(*records, upstream(web.port)) as running:
        none, some = clients.context(), clients.context(good)
        for sni in (OPEN, "unknown.example", "other.example"):
            assert (await ask(running.https, none, sni=sni)).status == 421
            assert (await ask(running.https, some, sni=sni)).status == 421
        for name in ("M.Example", "m.example.", "m.example:443", "M.EXAMPLE.:8443"):
            assert (await ask(running.https, none, name=name)).status == 400
            assert (await ask(running.https, none, sni=OPEN, name=name)).status == 421
        assert (await ask(running.https, some, sni=None)).status == 400
        assert (await ask(running.https, none, sni="M.EXAMPLE")).status == 400
        reader, writer = await asyncio.open_connection("127.0.0.1", running.http)
        writer.write(request(name=NAME))
        assert (await read_reply(reader)).status == 400
        writer.close()
        assert web.seen == []
        assert (await ask(running.https, none, sni=OPEN, name=OPEN)).status == 200
        assert (await ask(running.https, none, sni=NAME, name=OPEN)).status == 200


async def test_one_connection_asks_for_one_host_after_another(clients: Clients) -> None:
    good = make_pair(common_name="good", issuer=clients.authority)
    records = (guarded("*.wild.example"), host(OPEN), clients.record())
    async with origin() as web, edge(*records, upstream(web.port)) as running:
        context = clients.context(good)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", running.https, ssl=context, server_hostname="a.wild.example"
        )
        for name, status in (("a.wild.example", 200), ("b.wild.example", 200), (OPEN, 200), ("a.wild.example", 200)):
            writer.write(request(name=name))
            assert (await read_reply(reader)).status == status
        writer.close()
        assert [seen.value("ssl-client-verify") for seen in web.seen] == [b"SUCCESS", b"SUCCESS", b"", b"SUCCESS"]


async def test_kept_connections_follow_what_changes(clients: Clients) -> None:
    """A renewed authority is asked about the certificate that was shown; who was never asked has to come again."""
    good = make_pair(common_name="good", issuer=clients.authority)
    async with (
        origin() as web,
        edge(host(NAME), guarded("m2.example"), clients.record(), upstream(web.port)) as running,
    ):
        context = clients.context(good)
        open_before = await asyncio.open_connection("127.0.0.1", running.https, ssl=context, server_hostname=NAME)
        asked = await asyncio.open_connection("127.0.0.1", running.https, ssl=context, server_hostname="m2.example")

        async def over(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], name: str) -> int:
            connection[1].write(request(name=name))
            return (await read_reply(connection[0])).status

        assert await over(open_before, NAME) == 200
        assert await over(asked, "m2.example") == 200
        running.change(certificate("default/tls")[0])
        assert await over(asked, "m2.example") == 200
        running.change(clients.record(revoked=(clients.stranger[0],)))
        assert await over(asked, "m2.example") == 200
        running.change(guarded())
        assert await over(open_before, NAME) == 421
        running.change(clients.record(authority=clients.stranger))
        assert await over(asked, "m2.example") == 400
        for each in (open_before, asked):
            each[1].close()


async def test_without_an_authority_nobody_passes(clients: Clients) -> None:
    good = make_pair(common_name="good", issuer=clients.authority)
    async with (
        origin() as web,
        edge(guarded(authority=""), guarded("gone.example", authority="default/gone"), upstream(web.port)) as running,
    ):
        assert (await ask(running.https, clients.context(good))).status == 403
        assert (await ask(running.https, clients.context(good), sni="gone.example", name="gone.example")).status == 400
        assert web.seen == []


async def test_sessions_of_such_hosts_are_not_resumed(clients: Clients) -> None:
    good = make_pair(common_name="good", issuer=clients.authority)
    async with origin() as web, edge(guarded(), clients.record(), upstream(web.port)) as running:
        for version in VERSIONS:
            context = clients.context(good, version=version)
            session, _ = await asyncio.to_thread(blocking, running, context, None)
            _, resumed = await asyncio.to_thread(blocking, running, context, session)
            assert not resumed


def blocking(
    running: Edge, context: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[ssl.SSLSession | None, bool]:
    """One request over a socket of the standard library, which can offer a session: (the new one, it was resumed)."""
    with (
        socket.create_connection(("127.0.0.1", running.https), 10) as plain,
        context.wrap_socket(plain, server_hostname=NAME, session=session) as tls,
    ):
        tls.sendall(request("GET", "/", "Connection: close", name=NAME))
        assert tls.recv(65536).startswith(b"HTTP/1.1 200")
        return tls.session, bool(tls.session_reused)


async def test_large_bodies_and_a_handshake_byte_by_byte(clients: Clients) -> None:
    """What the other way of speaking TLS must do as well as the usual one."""
    good = make_pair(common_name="good", issuer=clients.authority)
    size = 3_000_000
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    async with origin(answer) as web, edge(guarded(), clients.record(), upstream(web.port)) as running:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = clients.context(good).wrap_bio(incoming, outgoing, server_hostname=NAME)
        reader, writer = await asyncio.open_connection("127.0.0.1", running.https)

        async def shake() -> None:
            while True:
                try:
                    tls.do_handshake()
                    return
                except ssl.SSLWantReadError:
                    for byte in outgoing.read():
                        writer.write(bytes((byte,)))
                        await writer.drain()
                    incoming.write(await reader.read(65536))

        async with asyncio.timeout(30):
            await shake()
            tls.write(request("POST", name=NAME, body=b"y" * 700_000))
            writer.write(outgoing.read())
            received = b""
            while len(received) < size:
                incoming.write(await reader.read(65536))
                with contextlib.suppress(ssl.SSLWantReadError):
                    while True:
                        received += tls.read(65536)
        writer.close()
        assert received.endswith(b"x" * size)
        assert web.seen[0].body == b"y" * 700_000


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_over_http_2(clients: Clients, tmp_path: Path) -> None:
    good = make_pair(common_name="good", issuer=clients.authority)
    clients.context(good)
    async with origin() as web, edge(guarded(), host(OPEN, tls=True), clients.record(), upstream(web.port)) as running:

        async def curl(name: str, *more: str) -> str:
            resolve = [word for each in (NAME, OPEN) for word in ("--resolve", f"{each}:{running.https}:127.0.0.1")]
            command = ["curl", "-sk", "--http2", f"-o{tmp_path}/body", "-w", "%{http_code} over %{http_version}"]
            url = f"https://{name}:{running.https}/"
            process = await asyncio.create_subprocess_exec(*command, *resolve, *more, url, stdout=subprocess.PIPE)
            return (await process.communicate())[0].decode()

        certificate_file = f"-E{tmp_path / 'client.pem'}"
        assert await curl(NAME) == "400 over 2"
        assert await curl(NAME, certificate_file) == "200 over 2"
        assert await curl(OPEN, certificate_file, f"-HHost: {NAME}") == "421 over 2"
        assert await curl(OPEN) == "200 over 2"
        assert [seen.value("ssl-client-verify") for seen in web.seen] == [b"SUCCESS", b""]
