"""Certificates with their keys as they are shown to clients: unsealed, or made by ourselves.

Owns opening sealed keys; a private key never touches the disk. Must not know contexts.
"""

from __future__ import annotations

import datetime
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from proto.resources import Certificate
from proto.sealing import Sealer, secret_place


def opened(sealer: Sealer, name: str, certificate: Certificate) -> tuple[bytes, bytes]:
    """(chain, key) of the Certificate of that name, both PEM. Raises AuthenticationError."""
    namespace, _, secret = name.partition("/")
    key = sealer.open(secret_place(namespace, secret, "tls.key"), certificate.sealed_key)
    return "".join(map(ssl.DER_cert_to_PEM_cert, certificate.chain)).encode(), key


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
