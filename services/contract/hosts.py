"""Hosts: what a Host header (or an :authority) says, in the one form in which virtual hosts are looked up.

Owns the validity of a host, its canonical form, and which wildcard covers it (contract section 1.5). Must not know
routes, TLS or connections.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final

MAX_HOST_LENGTH: Final = 253
"""The longest DNS name; nothing longer can be the host of a rule."""

_PLAIN: Final = re.compile(rb"[a-z0-9_~-]+(?:\.[a-z0-9_~-]+)*")
_AUTHORITY: Final = re.compile(
    rb"(?:(?P<name>[a-z0-9_~-]+(?:\.[a-z0-9_~-]+)*)\.?|\[(?P<literal>[0-9a-f:.]{2,45})\])(?::(?P<port>[0-9]{0,5}))?",
    re.IGNORECASE,
)
_WILDCARD_LABEL: Final = re.compile(r"[A-Za-z0-9_-]+")


def host_key(value: bytes) -> str | None:
    """The canonical host of a Host header's value: lower case, without port and trailing dot; None means 400.

    Stricter than nginx: empty labels, ports that cannot be and bytes that no host name holds (``*``, ``@``, ``,``,
    ``%``, non-ASCII) are refused, for no rule could name such a host and other parsers may read it differently.
    An absent Host header (HTTP/1.0) is not this function's question: it leads to the catch-all.
    """
    if _PLAIN.fullmatch(value) is not None and len(value) <= MAX_HOST_LENGTH:
        return value.decode("ascii")
    match = _AUTHORITY.fullmatch(value)
    if match is None:
        return None
    port = match["port"]
    if port and not 0 < int(port) < 65536:
        return None
    literal = match["literal"]
    if literal is not None:
        return _ipv6_key(literal.decode("ascii"))
    name = match["name"]
    return name.decode("ascii").lower() if len(name) <= MAX_HOST_LENGTH else None


def _ipv6_key(literal: str) -> str | None:
    try:
        return f"[{IPv6Address(literal)}]"
    except AddressValueError:
        return None


def wildcard_of(host: str) -> str | None:
    """The one wildcard that covers ``host``: its first label, if made of ``[A-Za-z0-9_-]``, replaced by ``*``.

    nginx matches a wildcard host as ``^(?<subdomain>[\\w-]+)\\.example\\.com$``: exactly one label.
    """
    label, dot, parent = host.partition(".")
    if not dot or not parent or _WILDCARD_LABEL.fullmatch(label) is None:
        return None
    return f"*.{parent}"
