"""Authorities that client certificates must come from: opened from their Credentials and kept as OpenSSL reads them.

Owns unsealing ``ca.crt`` and ``ca.crl``, and checking a chain against them as nginx does: purpose, depth, revocation.
Credentials that cannot be read hold no authority, so nobody passes.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from msgspec import Struct
from OpenSSL import crypto

from proto.handshakes import ClientCertificates
from proto.sealing import Sealer, secret_place
from proto.signing import AuthenticationError
from services.contract.revocation import revocation_lists
from services.edge.core.client_certificates import Verified
from services.edge.core.generation import Generation

_log = logging.getLogger(__name__)

KEPT_AT_MOST: Final = 256
"""Opened Credentials at once; the least recently used goes first."""

_TOO_LONG: Final = Verified(22, "certificate chain too long")
_UNSUITABLE: Final = Verified(26, "unsuitable certificate purpose")
_NO_ISSUER: Final = 20
_UNVERIFIED_LEAF: Final = Verified(21, "unable to verify the first certificate")
"""What OpenSSL says in the end, and nginx tells, of a certificate whose issuer nobody knows."""


class _Opened(Struct, frozen=True):
    body: bytes
    certificates: tuple[x509.Certificate, ...]
    store: crypto.X509Store


class Authorities:
    """See the module."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._opened: OrderedDict[str, _Opened] = OrderedDict()

    def certificates(self, name: str, generation: Generation) -> tuple[x509.Certificate, ...]:
        """The authorities in the Credentials of that name."""
        return self._open(name, generation).certificates

    def verify(self, shown: Sequence[x509.Certificate], rules: ClientCertificates, generation: Generation) -> Verified:
        """Whether ``shown`` (a client's own first) comes from one of the authorities that ``rules`` name."""
        own, *others = map(crypto.X509.from_cryptography, shown)
        checked = crypto.X509StoreContext(self._open(rules.authority, generation).store, own, others)
        try:
            chain = [each.to_cryptography() for each in checked.get_verified_chain()]
        except crypto.X509StoreContextError as error:
            code, depth, reason = error.errors
            return _UNVERIFIED_LEAF if code == _NO_ISSUER and depth == 0 else Verified(code, reason)
        if len(chain) - 2 > rules.depth:
            return _TOO_LONG
        return Verified() if all(map(_may_be_client, chain)) else _UNSUITABLE

    def _open(self, name: str, generation: Generation) -> _Opened:
        body = generation.credentials_body(name) or b""
        known = self._opened.get(name)
        if known is not None and known.body is body:
            self._opened.move_to_end(name)
            return known
        opened = self._opened[name] = self._read(name, body, generation)
        self._opened.move_to_end(name)
        if len(self._opened) > KEPT_AT_MOST:
            self._opened.popitem(last=False)
        return opened

    def _read(self, name: str, body: bytes, generation: Generation) -> _Opened:
        namespace, _, secret = name.partition("/")
        credentials = generation.credentials(name)
        store = crypto.X509Store()
        try:
            if credentials is None or not credentials.sealed_authority:
                raise ValueError("there is no ca.crt")
            pem = self._sealer.open(secret_place(namespace, secret, "ca.crt"), credentials.sealed_authority)
            certificates = tuple(dict.fromkeys(x509.load_pem_x509_certificates(pem)))
            for certificate in certificates:
                store.add_cert(crypto.X509.from_cryptography(certificate))
            if credentials.sealed_revoked:
                crl = self._sealer.open(secret_place(namespace, secret, "ca.crl"), credentials.sealed_revoked)
                if crl.strip():
                    for revoked in revocation_lists(crl):
                        store.add_crl(revoked)
                    store.set_flags(crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL)
        except (AuthenticationError, ValueError, crypto.Error) as error:
            _log.error("authorities of clients cannot be read, none of them passes: %s: %s", name, error)
            return _Opened(body, (), crypto.X509Store())
        return _Opened(body, certificates, store)


def _may_be_client(certificate: x509.Certificate) -> bool:
    """Whether the certificate, or an authority above it, may be used for clients (X509_PURPOSE_SSL_CLIENT)."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return True
    except ValueError:
        return False
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage.value
