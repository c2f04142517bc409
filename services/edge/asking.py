"""TLS connections that ask their clients for a certificate, spoken to like those of the standard library.

They run on pyOpenSSL: the standard library ends a handshake whose certificate is missing or bad, where nginx finishes
it and tells the client by HTTP. Here every handshake is finished; whether the certificate is good is judged when a
request needs to know (``services.edge.peers``). Sessions are not resumed: a resumed one would have to prove again whose
it is. Owns nothing but this dress.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto

from services.edge.core.tls_options import TLSOptions
from services.edge.server_contexts import DEFAULT_CIPHERS, in_memory

_NO_RENEGOTIATION: Final = int(ssl.OP_NO_RENEGOTIATION)
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey

_READ: Final = 64 * 1024
_CURVES: Final = {"prime256v1": ec.SECP256R1(), "secp384r1": ec.SECP384R1(), "secp521r1": ec.SECP521R1()}


class AskingContext:
    """What such connections have in common: the certificate, the options, and the authorities that a client's may come
    from (their names are told to it as a hint). Raises ValueError where the pair cannot be used."""

    def __init__(
        self, chain: bytes, key: bytes, authorities: Sequence[x509.Certificate], options: TLSOptions, dh: bytes
    ) -> None:
        context = self.context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION if "TLSv1.2" in options.versions else SSL.TLS1_3_VERSION)
        context.set_max_proto_version(SSL.TLS1_3_VERSION if "TLSv1.3" in options.versions else SSL.TLS1_2_VERSION)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        preference = SSL.OP_CIPHER_SERVER_PREFERENCE if options.prefer_server_ciphers else 0
        context.set_options(SSL.OP_NO_TICKET | _NO_RENEGOTIATION | preference)
        try:
            context.set_cipher_list(options.ciphers.encode())
        except SSL.Error:
            context.set_cipher_list(DEFAULT_CIPHERS.encode())
        if options.curve != "auto":
            context.set_tmp_ecdh(_CURVES[options.curve])
        if dh:
            with in_memory(dh) as path:
                context.load_tmp_dh(path)
        try:
            private = load_pem_private_key(key, None)
            if not isinstance(private, PrivateKey):
                raise ValueError("it is of a kind that TLS servers do not use")
            leaf, *others = x509.load_pem_x509_certificates(chain)
            context.use_certificate(leaf)
            for other in others:
                context.add_extra_chain_cert(other)
            context.use_privatekey(private)
        except SSL.Error as error:
            raise ValueError(f"it cannot be used: {error}") from None
        for authority in authorities:
            context.add_client_ca(authority)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_CLIENT_ONCE, _let_pass)
        offered = [name.encode() for name in options.protocols]
        context.set_alpn_select_callback(lambda _connection, wanted: _select(offered, wanted))


def _let_pass(_connection: SSL.Connection, _certificate: crypto.X509, _error: int, _depth: int, _ok: int) -> bool:
    """Every certificate passes the handshake, which proves that its key is the client's."""
    return True


def _select(offered: Sequence[bytes], wanted: Sequence[bytes]) -> bytes | SSL._NoOverlappingProtocols:
    return next((name for name in offered if name in wanted), SSL.NO_OVERLAPPING_PROTOCOLS)


class Incoming:
    """Where received bytes go, like ``ssl.MemoryBIO``."""

    __slots__ = ("_connection",)

    pending: Final = 1
    """How much is left is not told; it costs one more read to find out."""

    def __init__(self, connection: SSL.Connection) -> None:
        self._connection = connection

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Take received bytes."""
        return self._connection.bio_write(bytes(data)) if data else 0


class Outgoing:
    """Where bytes to send come from, like ``ssl.MemoryBIO``."""

    __slots__ = ("_connection", "_kept")

    def __init__(self, connection: SSL.Connection) -> None:
        self._connection = connection
        self._kept = b""

    @property
    def pending(self) -> int:
        """How many bytes are to be sent."""
        self._kept += self._read()
        return len(self._kept)

    def read(self) -> bytes:
        """All bytes to be sent."""
        kept, self._kept = self._kept, b""
        return kept + self._read()

    def _read(self) -> bytes:
        parts = []
        try:
            while True:
                parts.append(self._connection.bio_read(_READ))
        except SSL.WantReadError:
            return b"".join(parts)


class AskedConnection:
    """A server's end of a connection, like ``ssl.SSLObject``, raising the same errors."""

    __slots__ = ("_connection", "incoming", "outgoing")

    def __init__(self, context: AskingContext) -> None:
        self._connection = SSL.Connection(context.context, None)
        self._connection.set_accept_state()
        self.incoming = Incoming(self._connection)
        self.outgoing = Outgoing(self._connection)

    def do_handshake(self) -> None:
        """One step. Raises ssl.SSLWantReadError, ssl.SSLError."""
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            raise ssl.SSLWantReadError from None
        except SSL.Error as error:
            raise ssl.SSLError(str(error)) from None

    def read(self, size: int) -> bytes:
        """Decrypted bytes; none: the client sends no more. Raises ssl.SSLWantReadError, ssl.SSLError."""
        try:
            return self._connection.recv(size)
        except SSL.WantReadError:
            raise ssl.SSLWantReadError from None
        except SSL.ZeroReturnError:
            return b""
        except SSL.Error as error:
            raise ssl.SSLError(str(error)) from None

    def write(self, data: bytes | memoryview) -> int:
        """Encrypt. Raises ssl.SSLError."""
        try:
            self._connection.sendall(data)
        except SSL.Error as error:
            raise ssl.SSLError(str(error)) from None
        return len(data)

    def unwrap(self) -> None:
        """Say goodbye. Raises ssl.SSLError."""
        try:
            self._connection.shutdown()
        except SSL.Error as error:
            raise ssl.SSLError(str(error)) from None

    def selected_alpn_protocol(self) -> str | None:
        """What ALPN chose."""
        return self._connection.get_alpn_proto_negotiated().decode("ascii") or None

    @property
    def session_reused(self) -> bool:
        """Never: see the module."""
        return False

    def cipher(self) -> tuple[str, str, int] | None:
        """(name, version of the protocol that defines it, secret bits)."""
        name = self._connection.get_cipher_name()
        if name is None:
            return None
        return name, self._connection.get_cipher_version() or "", self._connection.get_cipher_bits() or 0

    def version(self) -> str:
        """The version of TLS."""
        return self._connection.get_protocol_version_name()

    def shown(self) -> tuple[x509.Certificate, ...]:
        """The certificates that the client showed, its own first; none if it showed none."""
        own = self._connection.get_peer_certificate(as_cryptography=True)
        if own is None:
            return ()
        others = self._connection.get_peer_cert_chain(as_cryptography=True) or []
        return (own, *(other for other in others if other != own))
