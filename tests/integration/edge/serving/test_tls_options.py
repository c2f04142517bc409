"""What is agreed on with TLS clients: versions, ciphers, curves, kinds of keys, sessions that are resumed."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from proto.codec import record_of
from proto.handshakes import Handshake
from proto.resources import Certificate, ResourceRecord
from proto.sealing import secret_place
from services.edge import contexts, server_contexts
from tests.support.edge import (
    HOST,
    SEALER,
    Edge,
    certificate,
    edge,
    host,
    no_verification,
    origin,
    request,
    settings,
    upstream,
)
from tests.support.pairs import Key, pem_key, rsa_key
from tests.support.waiting import eventually

PARAMETERS = b"""\
-----BEGIN DH PARAMETERS-----
MIGHAoGBANiIfVb15DLfKsM3wdioMsN2Xycyq8HvnNh/b1nb/VuFDoz7FBuBWGMX
Z6XuxF7/I84toLWEWANY7cB6KUbUn8Hj4HDwNWqTQkW47j//e/XBxA4/IjNn1Tt/
0g+AuWLhV+Yd7/zINs3G+b7KplsBQamdbLsPbp05r63Xu5CeTQ1XAgEC
-----END DH PARAMETERS-----
"""
"""Small ones, made by ``openssl genpkey -genparam``: to make them takes seconds."""

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def client(version: ssl.TLSVersion | None = None, ciphers: str = "") -> ssl.SSLContext:
    context = no_verification()
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if ciphers:
        context.set_ciphers(ciphers)
    return context


@dataclass
class Agreed:
    """What a connection was like while it was open."""

    version: str | None
    cipher: str
    session: ssl.SSLSession | None
    resumed: bool
    shown: bytes


def talk(running: Edge, context: ssl.SSLContext, *, name: str = HOST, session: ssl.SSLSession | None = None) -> Agreed:
    """One request on a connection of its own."""
    with (
        socket.create_connection(("127.0.0.1", running.https), 10) as plain,
        context.wrap_socket(plain, server_hostname=name, session=session) as tls,
    ):
        tls.sendall(request("GET", "/", "Connection: close", name=name))
        reply = b""
        while more := tls.recv(65536):
            reply += more
        assert reply.startswith(b"HTTP/1.1 200"), reply
        cipher, shown = tls.cipher(), tls.getpeercert(binary_form=True)
        assert cipher is not None
        assert shown is not None
        return Agreed(tls.version(), cipher[0], tls.session, bool(tls.session_reused), shown)


async def agreed(running: Edge, context: ssl.SSLContext, name: str = HOST) -> tuple[str | None, str]:
    """(version, cipher) that a client gets."""
    found = await asyncio.to_thread(talk, running, context, name=name)
    return found.version, found.cipher


def of_kind(key: Key) -> ResourceRecord:
    """A self-signed Certificate ``default/tls`` with this key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
    )
    made = builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    sealed = SEALER.seal(secret_place("default", "tls", "tls.key"), pem_key(key))
    chain = (made.public_bytes(Encoding.DER),)
    return record_of("default/tls", Certificate(chain, (HOST,), 0, 2**31, "", sealed))


@pytest.mark.parametrize(
    "key", [rsa_key(), ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()]
)
@pytest.mark.parametrize("version", [V12, V13])
async def test_kinds_of_keys(key: Key, version: ssl.TLSVersion) -> None:
    async with (
        origin() as web,
        edge(host(tls=True, certificate="default/tls"), of_kind(key), upstream(web.port)) as running,
    ):
        found = await asyncio.to_thread(talk, running, client(version))
        shown = x509.load_der_x509_certificate(found.shown)
        assert shown.public_key() == key.public_key()
        assert running.serving.contexts.failures == {}


async def test_versions() -> None:
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        assert (await agreed(running, client(V12)))[0] == "TLSv1.2"
        assert (await agreed(running, client()))[0] == "TLSv1.3"
        running.change(settings(ssl_protocols=("TLSv1.2",)))
        assert (await agreed(running, client()))[0] == "TLSv1.2"
        running.change(settings(ssl_protocols=("TLSv1.3",)))
        assert (await agreed(running, client()))[0] == "TLSv1.3"
        with pytest.raises(ssl.SSLError):
            await agreed(running, client(V12))


AES256, AES128, CHACHA = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
)


async def test_ciphers_of_the_settings_and_of_a_host() -> None:
    own = host("own.example", handshake=Handshake(ciphers=CHACHA))
    theirs = host("theirs.example", handshake=Handshake(prefer_server_ciphers=False))
    async with origin() as web, edge(host(), own, theirs, upstream(web.port)) as running:
        every = client(V12, f"{CHACHA}:{AES256}:{AES128}")
        assert (await agreed(running, every))[1] == AES128
        assert (await agreed(running, every, "own.example"))[1] == CHACHA
        assert (await agreed(running, every, "theirs.example"))[1] == CHACHA
        running.change(settings(ssl_ciphers=f"{AES256}:{AES128}"))
        assert (await agreed(running, every))[1] == AES256
        assert (await agreed(running, every, "own.example"))[1] == CHACHA
        with pytest.raises(ssl.SSLError):
            await agreed(running, client(V12, CHACHA))
        running.change(settings(ssl_ciphers="NOBODY-KNOWS-THIS"))
        assert (await agreed(running, every))[1] == AES128


async def test_one_curve() -> None:
    async with origin() as web, edge(host(), settings(ssl_ecdh_curve="secp384r1"), upstream(web.port)) as running:
        await agreed(running, client())
        narrow = client()
        narrow.set_ecdh_curve("prime256v1")
        with pytest.raises(ssl.SSLError):
            await agreed(running, narrow)


async def test_finite_field_parameters_are_those_of_the_secret() -> None:
    sealed = SEALER.seal(secret_place("default", "dh", "dhparam.pem"), PARAMETERS)
    records = (host(tls=True, certificate="default/tls"), of_kind(rsa_key()))
    async with origin() as web, edge(*records, upstream(web.port)) as running:
        wanted = client(V12, "DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0")
        with pytest.raises(ssl.SSLError):
            await agreed(running, wanted)
        running.change(
            settings(
                ssl_dh_param="default/dh",
                sealed_dh_param=sealed,
                ssl_ciphers="DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0",
            )
        )
        assert (await agreed(running, wanted))[1] == "DHE-RSA-AES128-GCM-SHA256"


async def test_handshakes_for_unknown_names_are_refused_where_that_is_wanted() -> None:
    async with origin() as web, edge(host(), settings(ssl_reject_handshake=True), upstream(web.port)) as running:
        await agreed(running, client())
        for name in ("unknown.example", ""):
            with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
                await asyncio.open_connection("127.0.0.1", running.https, ssl=client(), server_hostname=name)
        assert running.serving.traffic.counters["tls-name-rejected"] == 2


def resumes(running: Edge, context: ssl.SSLContext, first: str = HOST, second: str = HOST) -> bool:
    """Whether a second connection resumes the session of a first."""
    before = talk(running, context, name=first)
    after = talk(running, context, name=second, session=before.session)
    return after.resumed


@pytest.mark.parametrize("version", [V12, V13])
async def test_sessions_are_resumed_and_outlive_certificates(version: ssl.TLSVersion) -> None:
    records = (host(tls=True, certificate="default/tls"), certificate("default/tls")[0])
    async with origin() as web, edge(*records, upstream(web.port)) as running:
        context = client(version)
        assert await asyncio.to_thread(resumes, running, context)
        before = await asyncio.to_thread(talk, running, context)
        running.change(certificate("default/tls")[0])
        after = await asyncio.to_thread(talk, running, context, session=before.session)
        assert after.resumed


@pytest.mark.parametrize("version", [V12, V13])
async def test_no_ticket_holds_a_session_unless_that_is_wanted(version: ssl.TLSVersion) -> None:
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        context = client(version)
        found = await asyncio.to_thread(talk, running, context)
        assert found.session is not None
        if version is V12:
            assert not found.session.has_ticket
        running.change(settings(ssl_session_tickets=True))
        found = await asyncio.to_thread(talk, running, context)
        assert found.session is not None
        assert found.session.has_ticket
        assert await asyncio.to_thread(resumes, running, context)


async def test_without_a_store_of_sessions_tls_1_3_resumes_none() -> None:
    async with origin() as web, edge(host(), settings(ssl_session_cache=False), upstream(web.port)) as running:
        assert not await asyncio.to_thread(resumes, running, client(V13))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    now = [0.0]
    monkeypatch.setattr(server_contexts, "monotonic", lambda: now[0])
    return iter([now])


async def test_sessions_are_bounded_in_number_and_age(clock: Iterator[list[float]]) -> None:
    now = next(clock)
    async with origin() as web, edge(host(), settings(ssl_session_cache_size=20_000), upstream(web.port)) as running:
        context = client(V12)
        first = await asyncio.to_thread(talk, running, context)
        for _ in range(20_000 // 1100):
            await asyncio.to_thread(talk, running, client(V12))
        again = await asyncio.to_thread(talk, running, context, session=first.session)
        assert not again.resumed
        running.change(settings())
        first = await asyncio.to_thread(talk, running, context)
        now[0] = 601.0
        for _ in range(16):
            await asyncio.to_thread(talk, running, client(V12))
        again = await asyncio.to_thread(talk, running, context, session=first.session)
        assert not again.resumed


async def test_contexts_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contexts, "KEPT_AT_MOST", 4)
    monkeypatch.setattr(contexts, "DOORS_AT_MOST", 2)
    records = []
    for number in range(8):
        own = Handshake(ciphers=f"{AES128}:{AES256}" if number % 3 else AES256, prefer_server_ciphers=number % 2 == 0)
        records.append(host(f"h{number}.example", tls=True, certificate=f"default/c{number}", handshake=own))
        records.append(certificate(f"default/c{number}")[0])
    async with origin() as web, edge(*records, upstream(web.port)) as running:
        for _ in range(2):
            for number in range(8):
                await agreed(running, client(), f"h{number}.example")
        assert len(running.serving.contexts._kept) == 4
        assert len(running.serving.contexts._doors) == 2


async def test_a_session_is_kept_though_its_client_went_without_goodbye() -> None:
    async with origin() as web, edge(host(), upstream(web.port)) as running:
        context = client(V12)
        plain = await asyncio.to_thread(socket.create_connection, ("127.0.0.1", running.https), 10)
        tls = await asyncio.to_thread(context.wrap_socket, plain, server_hostname=HOST)
        await asyncio.to_thread(tls.sendall, request())
        assert (await asyncio.to_thread(tls.recv, 65536)).startswith(b"HTTP/1.1 200")
        session = tls.session
        tls.close()
        await eventually(lambda: not any(listeners.connections for listeners in running.listeners))
        again = await asyncio.to_thread(talk, running, context, session=session)
        assert again.resumed
