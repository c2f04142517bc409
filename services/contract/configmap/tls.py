"""Keys about TLS with clients, and how their values are read."""

from __future__ import annotations

import re
from typing import Final

from services.contract.annotations.values import MalformedError
from services.contract.configmap.entry import Key

OFFERED: Final = ("TLSv1.2", "TLSv1.3")
CURVES: Final = ("prime256v1", "secp384r1", "secp521r1")

TLS: Final = (
    Key(
        name="ssl-ciphers",
        type="string",
        default=(
            "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
            "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
            "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384"
        ),
        state="honoured",
        doc="Ciphers for TLS 1.2, as OpenSSL spells them.",
    ),
    Key(
        name="ssl-dh-param",
        type="string",
        refers_to="secret",
        state="honoured",
        doc="As `namespace/name`, the Secret with the parameters (`dhparam.pem`) of the `DHE-` ciphers, which are not "
        "offered without.",
    ),
    Key(
        name="ssl-ecdh-curve",
        type="string",
        default="auto",
        state="honoured",
        doc="The one curve for the exchange of keys: `prime256v1`, `secp384r1` or `secp521r1`; `auto`: OpenSSL's own "
        "list, with X25519 first. Lists cannot be set.",
    ),
    Key(
        name="ssl-protocols",
        type="string",
        default="TLSv1.2 TLSv1.3",
        state="honoured",
        doc="The versions of TLS; older ones than 1.2 are not offered.",
    ),
    Key(
        name="ssl-reject-handshake",
        type="bool",
        default="false",
        state="honoured",
        doc="Handshakes for names that nobody declared are refused.",
    ),
    Key(
        name="ssl-session-cache",
        type="bool",
        default="true",
        state="honoured",
        doc="Sessions are kept, in each worker, and may be resumed.",
    ),
    Key(
        name="ssl-session-cache-size",
        type="size",
        default="10m",
        state="honoured",
        doc="How much memory they may take in each worker.",
    ),
    Key(
        name="ssl-session-tickets",
        type="bool",
        default="false",
        state="honoured",
        doc="Sessions are given to clients in encrypted tickets instead; each worker has a key of its own, which it "
        "changes after `ssl-session-timeout`.",
    ),
    Key(
        name="ssl-session-timeout",
        type="duration",
        default="10m",
        state="honoured",
        doc="How long a session may be resumed, at most.",
    ),
)

_SIZE: Final = re.compile(r"([0-9]{1,10})([kKmM]?)")
_SECRET: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LARGEST: Final = 1024 * 1024 * 1024


def parse_versions(text: str) -> tuple[str, ...]:
    """Versions as nginx spells them."""
    words = text.split()
    for word in words:
        if word not in OFFERED:
            raise MalformedError(f"names {word!r}; only {' and '.join(OFFERED)} are offered")
    if not words:
        raise MalformedError("names no version of TLS")
    return tuple(version for version in OFFERED if version in words)


def parse_curve(text: str) -> str:
    """``auto``, or the one curve to use."""
    curve = {"P-256": "prime256v1", "P-384": "secp384r1", "P-521": "secp521r1"}.get(text.strip(), text.strip())
    if curve not in ("auto", *CURVES):
        raise MalformedError(f"is none of auto, {', '.join(CURVES)}")
    return curve


def parse_cache_size(text: str) -> int:
    """Bytes, as nginx writes them: ``10m``, ``512k``."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise MalformedError("is not a size such as 10m")
    size = int(found[1]) * {"": 1, "k": 1024, "m": 1024 * 1024}[found[2].lower()]
    if size > _LARGEST:
        raise MalformedError("is more than 1024m")
    return size


def parse_secret_name(text: str) -> str:
    """``namespace/name``."""
    name = text.strip()
    if name and _SECRET.fullmatch(name) is None:
        raise MalformedError("is not namespace/name")
    return name
