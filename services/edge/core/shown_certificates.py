"""What lines of the log and templates say of the certificate that a client showed: nginx's ``$ssl_client_*``.

Pure. Empty where no certificate was asked for over TLS; must not know who may pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding

from services.edge.core.client_certificates import Peer, distinguished

if TYPE_CHECKING:
    from services.edge.core.link import Link


def _verify(peer: Peer) -> str:
    """``NONE``, ``SUCCESS``, or ``FAILED:`` with the reason."""
    verdict = peer.verdict
    if not peer.shown or verdict is None:
        return "NONE"
    return f"FAILED:{verdict.reason}" if verdict.code else "SUCCESS"


def _of_own(read: Callable[[x509.Certificate], str]) -> Callable[[Peer], str]:
    return lambda peer: read(peer.shown[0]) if peer.shown else ""


def _serial(certificate: x509.Certificate) -> str:
    digits = f"{certificate.serial_number:X}"
    return digits if len(digits) % 2 == 0 else f"0{digits}"


_READERS: Final[dict[str, Callable[[Peer], str]]] = {
    "ssl_client_verify": _verify,
    "ssl_client_s_dn": _of_own(lambda certificate: distinguished(certificate.subject)),
    "ssl_client_i_dn": _of_own(lambda certificate: distinguished(certificate.issuer)),
    "ssl_client_serial": _of_own(_serial),
    "ssl_client_fingerprint": _of_own(lambda certificate: certificate.fingerprint(SHA1()).hex()),  # noqa: S303 - nginx's
    "ssl_client_escaped_cert": _of_own(lambda certificate: quote(certificate.public_bytes(Encoding.PEM), safe="")),
}


def _of_link(read: Callable[[Peer], str]) -> Callable[[Link], str]:
    return lambda link: "" if link.client is None else read(link.client)


OF_LINK: Final[dict[str, Callable[[Link], str]]] = {name: _of_link(read) for name, read in _READERS.items()}
"""By variable, from a connection."""
