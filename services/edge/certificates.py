"""TLS contexts by server name: made when first asked for, kept in a bounded store, renewed when a certificate changes.

Owns opening sealed keys and loading them; a private key never touches the disk (``ssl`` wants a path: an anonymous
memory file has one). A certificate that cannot be loaded leads to the fallback, never to a dead host.
"""

from __future__ import annotations

import datetime
import logging
import os
import ssl
from collections import OrderedDict
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from proto.resources import Certificate
from proto.sealing import Sealer, secret_place
from proto.signing import AuthenticationError
from services.edge.core.generation import Generation

_log = logging.getLogger(__name__)

KEPT_AT_MOST: Final = 1024
"""Contexts in memory at once; the least recently used goes first."""

CIPHERS: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384"
)
"""Those of ingress-nginx, for TLS 1.2."""


class Contexts:
    """See the module. ``failures``: certificates that could not be loaded, with the reason."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._generation: Generation | None = None
        self._contexts: OrderedDict[str, tuple[bytes, ssl.SSLContext]] = OrderedDict()
        self._fallback: ssl.SSLContext | None = None
        self.failures: dict[str, str] = {}

    def swap(self, generation: Generation) -> None:
        """Serve the certificates of ``generation`` from now on; handshakes and connections under way keep theirs."""
        self._generation = generation

    def context(self, server_name: str) -> ssl.SSLContext:
        """The context for a client that asks for ``server_name`` (empty: it does not say)."""
        generation = self._generation
        name = generation.certificate_for(server_name) if generation is not None else None
        if generation is None or name is None:
            return self.fallback()
        body = generation.certificate_body(name)
        kept = self._contexts.get(name)
        if kept is not None and kept[0] is body:
            self._contexts.move_to_end(name)
            return kept[1]
        context = self._load(name, generation.certificate(name))
        self._contexts[name] = (body or b"", context)
        self._contexts.move_to_end(name)
        if len(self._contexts) > KEPT_AT_MOST:
            self._contexts.popitem(last=False)
        return context

    def fallback(self) -> ssl.SSLContext:
        """The context with the self-signed certificate (contract section 1.8)."""
        if self._fallback is None:
            chain, key = self_signed()
            self._fallback = server_context(chain, key)
        return self._fallback

    def _load(self, name: str, certificate: Certificate | None) -> ssl.SSLContext:
        namespace, _, secret = name.partition("/")
        try:
            if certificate is None:
                raise ValueError("it is not there")
            key = self._sealer.open(secret_place(namespace, secret, "tls.key"), certificate.sealed_key)
            context = server_context(_as_pem(certificate.chain), key)
        except (AuthenticationError, ssl.SSLError, OSError, ValueError) as error:
            if self.failures.get(name) != str(error):
                self.failures[name] = str(error)
                _log.error("certificate cannot be loaded, the fallback is served: %s: %s", name, error)
            return self.fallback()
        self.failures.pop(name, None)
        return context


def _as_pem(chain: tuple[bytes, ...]) -> bytes:
    """The chain (DER) as PEM."""
    return "".join(map(ssl.DER_cert_to_PEM_cert, chain)).encode()


def server_context(chain: bytes, key: bytes) -> ssl.SSLContext:
    """A context that serves ``chain`` with ``key`` (both PEM), protocols and ciphers as ingress-nginx has them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_TICKET | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    handle = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        with os.fdopen(handle, "wb", closefd=False) as file:
            file.write(key.rstrip(b"\n") + b"\n" + chain)
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
    return context


def self_signed() -> tuple[bytes, bytes]:
    """(certificate, key) of ingress-nginx's fake certificate, PEM; made anew by each process, good for a year."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Acme Co"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Kubernetes Ingress Controller Fake Certificate"),
        ]
    )
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("ingress.local")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM), pem
