"""Which certificate and key may be served together."""

from __future__ import annotations

import ssl

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from services.watcher.tls import PairError, check_pair
from tests.support.pairs import make_pair, pem, pem_key, rsa_key


def test_a_pair_tells_what_its_certificate_says() -> None:
    certificate, key = make_pair("A.example", "*.b.example")
    pair = check_pair(pem(certificate), pem_key(key))
    assert pair.names == ("a.example", "*.b.example")
    assert pair.chain == (certificate.public_bytes(Encoding.DER),)
    assert pair.not_after == int(certificate.not_valid_after_utc.timestamp())
    assert pair.key_algorithm == "ecdsa-secp256r1"
    assert len(pair.fingerprint) == 64
    assert "PRIVATE" not in repr(pair)


def test_without_names_the_common_name_counts() -> None:
    certificate, key = make_pair(common_name="Old.Example")
    assert check_pair(pem(certificate), pem_key(key)).names == ("old.example",)


@pytest.mark.parametrize(
    ("key", "algorithm"), [(rsa_key(), "rsa-2048"), (ed25519.Ed25519PrivateKey.generate(), "ed25519")]
)
def test_other_kinds_of_key(key, algorithm) -> None:
    certificate, key = make_pair("x", key=key)
    assert check_pair(pem(certificate), pem_key(key)).key_algorithm == algorithm


def test_a_chain_in_any_order_is_put_right() -> None:
    root = make_pair(common_name="root", ca=True)
    middle = make_pair(common_name="middle", issuer=root, ca=True)
    leaf, key = make_pair("x", common_name="leaf", issuer=middle)
    wrong = pem(root[0]) + pem(middle[0]) + pem(leaf) + pem(leaf)
    pair = check_pair(wrong, pem_key(key))
    assert pair.chain == tuple(c.public_bytes(Encoding.DER) for c in (leaf, middle[0], root[0]))


def test_an_expired_certificate_is_served_all_the_same() -> None:
    certificate, key = make_pair("x", days=-1)
    assert check_pair(pem(certificate), pem_key(key)).names == ("x",)


def test_equal_input_gives_equal_bytes() -> None:
    certificate, key = make_pair("x", key=rsa_key())
    assert check_pair(pem(certificate), pem_key(key)) == check_pair(pem(certificate), pem_key(key))


def test_what_passes_loads_into_openssl(tmp_path) -> None:
    certificate, key = make_pair("x", key=rsa_key())
    pair = check_pair(pem(certificate), pem_key(key))
    file = tmp_path / "pair.pem"
    file.write_bytes(pair.key + b"".join(ssl.DER_cert_to_PEM_cert(der).encode() for der in pair.chain))
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file)


def _encrypted() -> bytes:
    return rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))


BROKEN_KEY = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
CERTIFICATE, KEY = make_pair("x")


@pytest.mark.parametrize(
    ("certificate", "key", "reason"),
    [
        (b"", pem_key(KEY), "tls.crt is empty"),
        (pem(CERTIFICATE), b"\n", "tls.key is empty"),
        (b"hello", pem_key(KEY), "tls.crt does not hold certificates"),
        (pem(CERTIFICATE)[:200], pem_key(KEY), "tls.crt does not hold certificates"),
        (
            pem(CERTIFICATE),
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "tls.key is not a private",
        ),
        (pem(CERTIFICATE), _encrypted(), "encrypted"),
        (pem(CERTIFICATE), pem_key(rsa_key()), "does not fit"),
        (pem(make_pair("x", key=rsa_key(1024))[0]), pem_key(rsa_key(1024)), "1024 bits"),
        (pem(CERTIFICATE) * 17, pem_key(KEY), "17 certificates"),
    ],
    ids=["no-crt", "no-key", "text", "cut", "bad-key", "encrypted", "other-key", "short", "long-chain"],
)
def test_what_cannot_be_served_is_said(certificate: bytes, key: bytes, reason: str) -> None:
    with pytest.raises(PairError, match=reason) as caught:
        check_pair(certificate, key)
    assert "PRIVATE" not in str(caught.value)
    assert "AAAA" not in str(caught.value)
