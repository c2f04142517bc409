"""Absolute addresses that users' templates come to for one request: read strictly, or they are none. Pure."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

_address: Final = re.compile(
    rb"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?((?:[/?][\x21\x22\x24-\x7e]*+)?)"
).fullmatch


class Place(Struct, frozen=True, gc=False):
    """``host``: as it is written, an IPv6 literal in brackets; ``target``: empty where the address has none."""

    tls: bool
    host: bytes
    port: int
    target: bytes

    @property
    def name(self) -> str:
        """The host as one connects to it."""
        return self.host.strip(b"[]").decode()


def place_of(address: bytes) -> Place | None:
    """Where ``address`` leads to; None: it is no address."""
    found = _address(address)
    if found is None:
        return None
    scheme, host, port, target = found.groups(b"")
    tls = scheme == b"https"
    number = int(port) if port else 443 if tls else 80
    if not 0 < number < 65536:
        return None
    return Place(tls, host, number, b"/" + target if target.startswith(b"?") else target)
