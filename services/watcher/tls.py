"""TLS pairs: whether a certificate chain and a key are usable together, and what the certificate says.

Pure. Knows nothing of Secrets, sealing or the bus. A pair that passes here can be loaded by an edge: a mistake in one
Secret must be found by the watcher, never by a handshake.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from msgspec import Struct

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey

MIN_RSA_BITS = 2048
"""OpenSSL refuses to load shorter ones at the default security level of current systems."""

MAX_CHAIN = 16


class PairError(ValueError):
    """A certificate and key that cannot be served; the message is one sentence for people, without any key bytes."""


class Pair(Struct, frozen=True):
    """A checked pair: DER chain, leaf first, each followed by its issuer; the key as PKCS#8 PEM."""

    chain: tuple[bytes, ...]
    key: bytes
    names: tuple[str, ...]
    not_before: int
    not_after: int
    fingerprint: str
    key_algorithm: str

    def __repr__(self) -> str:
        return f"Pair({self.names}, {self.fingerprint})"


def check_pair(certificate: bytes, key: bytes) -> Pair:
    """The pair made of the PEM texts of ``tls.crt`` and ``tls.key``. Raises PairError.

    A chain in the wrong order is put right (the leaf is the certificate that the key fits); an expired certificate
    passes, as it is served all the same (contract section 1.8).
    """
    private = _load_key(key)
    certificates = _load_certificates(certificate)
    leaf = _leaf_for(private, certificates)
    return Pair(
        tuple(entry.public_bytes(Encoding.DER) for entry in _ordered(leaf, certificates)),
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        _names(leaf),
        int(leaf.not_valid_before_utc.timestamp()),
        int(leaf.not_valid_after_utc.timestamp()),
        leaf.fingerprint(SHA256()).hex(),
        _algorithm(private),
    )


def holds_certificates(pem: bytes) -> bool:
    """Whether ``pem`` holds at least one certificate and nothing that cannot be read."""
    try:
        return bool(x509.load_pem_x509_certificates(pem))
    except ValueError:
        return False


def _load_key(pem: bytes) -> PrivateKey:
    if not pem.strip():
        raise PairError("tls.key is empty")
    try:
        key = load_pem_private_key(pem, None)
    except TypeError:
        raise PairError("tls.key is encrypted with a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        # The library's text may quote the input, which is secret.
        raise PairError("tls.key is not a private key in PEM form") from None
    if not isinstance(key, PrivateKey):
        raise PairError(f"tls.key is of a kind that TLS servers do not use ({type(key).__name__})")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < MIN_RSA_BITS:
        raise PairError(f"tls.key is RSA with {key.key_size} bits; {MIN_RSA_BITS} is the least that is accepted")
    return key


def _load_certificates(pem: bytes) -> list[x509.Certificate]:
    if not pem.strip():
        raise PairError("tls.crt is empty")
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise PairError(f"tls.crt does not hold certificates in PEM form: {error}") from None
    if len(certificates) > MAX_CHAIN:
        raise PairError(f"tls.crt holds {len(certificates)} certificates; {MAX_CHAIN} is the most that is accepted")
    return list(dict.fromkeys(certificates))


def _leaf_for(key: PrivateKey, certificates: list[x509.Certificate]) -> x509.Certificate:
    wanted = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for certificate in certificates:
        try:
            public = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        except (ValueError, UnsupportedAlgorithm):  # of a kind that no key here can be
            continue
        if public == wanted:
            return certificate
    raise PairError("tls.key does not fit any certificate in tls.crt")


def _ordered(leaf: x509.Certificate, certificates: list[x509.Certificate]) -> list[x509.Certificate]:
    """The leaf, its issuer, that one's issuer …, then whatever was not linked, in its order."""
    rest = [certificate for certificate in certificates if certificate != leaf]
    ordered = [leaf]
    while (following := next((entry for entry in rest if entry.subject == ordered[-1].issuer), None)) is not None:
        ordered.append(following)
        rest.remove(following)
    return ordered + rest


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = extension.value.get_values_for_type(x509.DNSName)
        if names:
            return tuple(dict.fromkeys(name.lower() for name in names))
    except (x509.ExtensionNotFound, ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        pass  # without readable ones the common name stands for them
    common = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return tuple(str(entry.value).lower() for entry in common[:1])


def _algorithm(key: PrivateKey) -> str:
    match key:
        case rsa.RSAPrivateKey():
            return f"rsa-{key.key_size}"
        case ec.EllipticCurvePrivateKey():
            return f"ecdsa-{key.curve.name}"
        case ed25519.Ed25519PrivateKey():
            return "ed25519"
        case _:
            return "ed448"
