"""Whether a certificate is for a name (RFC 6125 section 6, as OpenSSL's ``X509_check_host`` reads it). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_for(certificate: Mapping[str, Any], name: str) -> bool:
    """``certificate``: as ``ssl.SSLObject.getpeercert`` gives it. Its DNS names count; where it has none, its common
    name does. ``*.`` stands for one whole label."""
    name = name.lower().rstrip(".")
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]
    if not names:
        subject = certificate.get("subject", ())
        names = [value for part in subject for key, value in part if key == "commonName"]
    return any(_matches(pattern.lower().rstrip("."), name) for pattern in names)


def _matches(pattern: str, name: str) -> bool:
    if pattern == name:
        return True
    parent = name.partition(".")[2]
    return pattern.startswith("*.") and "." in parent and pattern[2:] == parent
