"""Whether a client may speak to a host that asks for certificates, and what its endpoints are told about it.

Owns nginx's rules (``ngx_http_ssl_module`` and contract sections 1.2 and 1.7): 495, 496 and 421, the values of
``ssl-client-*``, names written as RFC 2253 has it. Whether a certificate comes from an authority is asked of the
connection's ``Peer``, for it depends on the time. Must not know TLS.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from msgspec import Struct

from proto.handshakes import ClientCertificates, Handshake
from services.contract import regex
from services.contract.regex import Pattern, RegexTimeoutError

if TYPE_CHECKING:
    from services.edge.core.generation import Generation

NO_CERTIFICATE: Final = 496
BAD_CERTIFICATE: Final = 495
"""nginx's own numbers: pages that are sent with status 400."""

UNKNOWN_AUTHORITY: Final = frozenset((18, 19, 20, 21))
"""What ``optional_no_ca`` forgives (X509_V_ERR_*): self-signed, alone or in the chain, or of an unknown issuer."""

_SHORT_NAMES: Final = {
    NameOID.EMAIL_ADDRESS: "emailAddress",
    NameOID.SERIAL_NUMBER: "serialNumber",
    NameOID.SURNAME: "SN",
    NameOID.GIVEN_NAME: "GN",
    NameOID.TITLE: "title",
    NameOID.DN_QUALIFIER: "dnQualifier",
}
_unprintable = re.compile(r"[^\x20-\x7e]")


class Verified(Struct, frozen=True, gc=False):
    """``code``: X509_V_ERR_*, 0 for a good certificate; ``reason`` in OpenSSL's words."""

    code: int = 0
    reason: str = ""


class Peer(Protocol):
    """What TLS knows of a client. ``server_name``: that it asked for, empty if it did not say; ``asked``: for a
    certificate; ``shown``: what it showed then, its own first."""

    @property
    def server_name(self) -> str: ...
    @property
    def asked(self) -> bool: ...
    @property
    def shown(self) -> tuple[x509.Certificate, ...]: ...
    @property
    def verdict(self) -> Verified | None:
        """What ``verify`` found last."""

    def verify(self, rules: ClientCertificates, generation: Generation) -> Verified:
        """Whether what it showed comes from the authorities that ``rules`` name."""


class ClientGuard(Struct, frozen=True):
    """A host's rules, ready. ``asks``: handshakes for it ask for a certificate."""

    rules: ClientCertificates
    asks: bool
    subject: Pattern | None


class Judgement(Struct, frozen=True, gc=False):
    """``status`` 0: it may pass, and ``lines`` go to the endpoint. Else what it is answered: ``page`` is nginx's number
    where that differs, ``location`` that of a redirect."""

    status: int = 0
    page: int = 0
    location: bytes = b""
    lines: bytes = b""


def guard_of(handshake: Handshake | None) -> ClientGuard | None:
    """The rules in what a host says about TLS; None: it has none. Raises RegexError."""
    if handshake is None or handshake.client is None:
        return None
    rules = handshake.client
    pattern = regex.compile(rules.subject, ignore_case=False) if rules.subject else None
    return ClientGuard(rules, rules.mode != "off" and bool(rules.authority), pattern)


def judge(guard: ClientGuard, host: str, peer: Peer, generation: Generation) -> Judgement:
    """Whether the client of a TLS connection may speak to ``host``, the name of a VirtualHost."""
    rules = guard.rules
    if not rules.authority:
        return Judgement(403)
    verified = Verified()
    shown: tuple[x509.Certificate, ...] = ()
    if guard.asks:
        if peer.server_name and (not peer.asked or generation.host(peer.server_name).host != host):
            return Judgement(421)
        if peer.asked and generation.host(peer.server_name).host == host:
            shown = peer.shown
        verified = peer.verify(rules, generation) if shown else verified
        if verified.code and not (rules.mode == "optional_no_ca" and verified.code in UNKNOWN_AUTHORITY):
            return _refuse(rules, BAD_CERTIFICATE)
        if not shown and rules.mode == "on":
            return _refuse(rules, NO_CERTIFICATE)
    subject = distinguished(shown[0].subject) if shown else ""
    if guard.subject is not None and not _matches(guard.subject, subject):
        return Judgement(403)
    return Judgement(lines=_lines(rules, verified, shown, subject))


def _refuse(rules: ClientCertificates, page: int) -> Judgement:
    if rules.error_page:
        return Judgement(302, location=rules.error_page.encode())
    return Judgement(400, page)


def _matches(pattern: Pattern, subject: str) -> bool:
    try:
        return pattern.matches(subject.encode())
    except RegexTimeoutError:
        return False


def _lines(rules: ClientCertificates, verified: Verified, shown: tuple[x509.Certificate, ...], subject: str) -> bytes:
    if not shown:
        return b"ssl-client-verify: NONE\r\n"
    said = f"FAILED:{verified.reason}" if verified.code else "SUCCESS"
    issuer = distinguished(shown[0].issuer)
    lines = f"ssl-client-verify: {said}\r\nssl-client-subject-dn: {subject}\r\nssl-client-issuer-dn: {issuer}\r\n"
    if rules.pass_certificate:
        escaped = quote(shown[0].public_bytes(Encoding.PEM), safe="")
        lines = f"ssl-client-cert: {escaped}\r\n{lines}"
    return lines.encode("ascii", "replace")


def distinguished(name: x509.Name) -> str:
    """A name as RFC 2253 and OpenSSL write it; what is not printable ASCII is escaped, so that it fits a header."""
    text = name.rfc4514_string(_SHORT_NAMES)
    return _unprintable.sub(lambda found: "".join(f"\\{byte:02X}" for byte in found[0].encode()), text)
