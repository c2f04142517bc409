"""Keys about where clients are let in, and how their values are read."""

from __future__ import annotations

import ipaddress
from typing import Final

from services.contract.annotations.values import MalformedError
from services.contract.configmap.entry import Key

LISTENING: Final = (
    Key(
        name="bind-address",
        type="list",
        state="honoured",
        guards=True,
        doc="Addresses of the machine at which clients are let in; of a family of which none is named, at all.",
    ),
    Key(name="bind-address-ipv4", type="list", state="honoured", guards=True, doc="The same for IPv4 alone."),
    Key(name="bind-address-ipv6", type="list", state="honoured", guards=True, doc="The same for IPv6 alone."),
    Key(
        name="disable-ipv6",
        type="bool",
        default="false",
        state="honoured",
        doc="Nobody is let in by IPv6.",
    ),
    Key(
        name="disable-ipv6-dns",
        type="bool",
        default="false",
        state="honoured",
        doc="Names of ExternalName Services are resolved to addresses of IPv4 alone.",
    ),
)


def parse_addresses(text: str) -> tuple[str, ...]:
    """Addresses with commas between; brackets around those of IPv6 are allowed."""
    found = []
    for word in text.split(","):
        address = word.strip().removeprefix("[").removesuffix("]")
        if not address:
            continue
        try:
            found.append(str(ipaddress.ip_address(address)))
        except ValueError:
            raise MalformedError(f"holds {word.strip()!r}, which is no address") from None
    return tuple(found)


PARSERS: Final = {
    "bind-address": parse_addresses,
    "bind-address-ipv4": parse_addresses,
    "bind-address-ipv6": parse_addresses,
}
"""By the name of the key."""
