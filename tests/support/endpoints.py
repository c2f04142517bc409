"""Endpoints that speak TLS, with certificates of an authority made on the spot, and the records that lead to them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from proto.codec import record_of
from proto.policies import BackendProtocol, EndpointTLS, SSLRedirect
from proto.resources import Credentials, ResourceRecord
from proto.sealing import secret_place
from tests.support.edge import OK, SEALER, Answer, Origin, bound, host, route
from tests.support.pairs import Key, make_pair, pem, pem_key

SECRET = "default/endpoints"
NAME = "web.example"


@cache
def authority() -> tuple[x509.Certificate, Key]:
    """An authority, made once."""
    return make_pair(ca=True, common_name="authority")


@dataclass
class Identity:
    """A chain and key in files, as servers want them."""

    path: str
    chain: tuple[bytes, ...]
    key: bytes


def identity(
    folder: Path, *names: str, between: int = 0, issuer: tuple[x509.Certificate, Key] | None = None
) -> Identity:
    """A pair for ``names`` that comes from the authority, with ``between`` certificates in between."""
    signer = issuer or authority()
    chain = []
    for number in range(between):
        signer = make_pair(ca=True, common_name=f"between {number}", issuer=signer)
        chain.insert(0, signer[0])
    leaf, key = make_pair(*names, issuer=signer)
    chain.insert(0, leaf)
    path = folder / f"{names[0]}-{between}-{leaf.serial_number}.pem"
    path.write_bytes(pem_key(key) + b"".join(map(pem, chain)))
    return Identity(str(path), tuple(entry.public_bytes(Encoding.DER) for entry in chain), pem_key(key))


def credentials(own: Identity | None = None, *, believes: x509.Certificate | None = None) -> ResourceRecord:
    """The Credentials that ``EndpointTLS`` names: a pair to show, the authority to believe."""
    namespace, _, name = SECRET.partition("/")
    return record_of(
        SECRET,
        Credentials(
            own.chain if own else (),
            SEALER.seal(secret_place(namespace, name, "tls.key"), own.key) if own else b"",
            SEALER.seal(secret_place(namespace, name, "ca.crt"), pem(believes or authority()[0])),
        ),
    )


def server_context(own: Identity, *protocols: str, asks: bool = False) -> ssl.SSLContext:
    """An endpoint's context; ``asks``: it wants a certificate of the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.path)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=pem(authority()[0]).decode())
    return context


class SecureOrigin(Origin):
    """An origin behind TLS. ``links``: of each connection the version, and whether its session was resumed;
    ``names``: what clients asked for by SNI."""

    def __init__(self, answer: bytes | Answer) -> None:
        super().__init__(answer)
        self.links: list[tuple[str, bool]] = []
        self.names: list[str | None] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        tls = writer.get_extra_info("ssl_object")
        self.links.append((tls.version(), tls.session_reused))
        await super().serve(reader, writer)


@asynccontextmanager
async def secure_origin(context: ssl.SSLContext, answer: bytes | Answer = OK) -> AsyncIterator[SecureOrigin]:
    """A running one on 127.0.0.1."""
    made = SecureOrigin(answer)

    def asked(_tls: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        made.names.append(name)

    context.sni_callback = asked  # type: ignore[assignment]
    server = await asyncio.start_server(made.serve, sock=bound(), ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.close_connections()


def tls_host(tls: EndpointTLS | None = None, protocol: str = "https") -> ResourceRecord:
    """A host whose endpoints speak ``protocol``."""
    policies = [SSLRedirect(False, False), BackendProtocol(protocol), *([tls] if tls else [])]  # type: ignore[arg-type]
    return host("t.example", route(policies=policies))
