"""Lists of revoked certificates (``ca.crl`` of a Secret), read from PEM: one for each authority of a chain."""

from __future__ import annotations

import re

from cryptography import x509

_list = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


def revocation_lists(pem: bytes) -> list[x509.CertificateRevocationList]:
    """The lists in ``pem``, one at least. Raises ValueError."""
    lists = [x509.load_pem_x509_crl(found + b"\n") for found in _list.findall(pem)]
    if not lists:
        raise ValueError("it holds no list of revoked certificates in PEM form")
    return lists
