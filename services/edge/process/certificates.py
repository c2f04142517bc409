"""What metrics say of certificates: when they end and who made them, by the names they are for.

Owns the reading of a certificate for that; each is read once as long as it stays the same.
"""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from msgspec import Struct

from proto.codec import decode_resource
from proto.resources import Certificate, ResourceRecord
from services.edge.follow.table import ResourceTable
from services.edge.process.metrics import Series

CLASS: Final = "k8s.io/ingress-nginx"


class Told(Struct, frozen=True):
    """The series of certificates: ``ends`` and ``issuers``."""

    ends: list[Series]
    issuers: list[Series]


class Certificates:
    """See the module."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[bytes, Told]] = {}

    def told(self, table: ResourceTable) -> Told:
        """A series of each kind for each name of each certificate of ``table``."""
        read: dict[str, tuple[bytes, Told]] = {}
        for name, body in table.bodies("certificate").items():
            known = self._read.get(name)
            read[name] = known if known is not None and known[0] is body else (body, _tell(name, body))
        self._read = read
        return Told(
            [series for _, told in read.values() for series in told.ends],
            [series for _, told in read.values() for series in told.issuers],
        )


def _tell(name: str, body: bytes) -> Told:
    certificate = decode_resource(ResourceRecord("certificate", name, body))
    assert isinstance(certificate, Certificate)
    namespace, _, secret = name.partition("/")
    identifier, *issuer = _facts(certificate.chain[0]) if certificate.chain else ("", "", "", "", "")
    of_hosts = [(namespace, CLASS, host, secret, identifier) for host in certificate.names]
    return Told(
        [Series(labels, [float(certificate.not_after)]) for labels in of_hosts],
        [Series((*labels, *issuer), [1.0]) for labels in of_hosts] if identifier else [],
    )


def _facts(der: bytes) -> tuple[str, str, str, str, str]:
    """(identifier, issuer's organization, its common name, serial number, algorithm of the key), as ingress-nginx
    writes them; all empty for what cannot be read."""
    try:
        leaf = x509.load_der_x509_certificate(der)
        issuer = leaf.issuer
        serial = str(leaf.serial_number)
    except ValueError:
        return "", "", "", "", ""
    return (
        f"{_of(issuer, NameOID.SERIAL_NUMBER)}-{serial}",
        _of(issuer, NameOID.ORGANIZATION_NAME),
        _of(issuer, NameOID.COMMON_NAME),
        serial,
        _algorithm(leaf),
    )


def _of(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    found = name.get_attributes_for_oid(oid)
    return str(found[0].value) if found else ""


_ALGORITHMS: Final = (
    (rsa.RSAPublicKey, "RSA"),
    (ec.EllipticCurvePublicKey, "ECDSA"),
    (ed25519.Ed25519PublicKey, "Ed25519"),
    (dsa.DSAPublicKey, "DSA"),
)
"""Kinds of keys as Go spells them."""


def _algorithm(leaf: x509.Certificate) -> str:
    try:
        key = leaf.public_key()
    except (ValueError, TypeError):  # a kind that the library does not know
        return "0"
    return next((name for kind, name in _ALGORITHMS if isinstance(key, kind)), "0")
