"""Lists of addresses and networks as manifests write them: IPv4 and IPv6, a network by the length of its prefix.

Owns how they are read. Pure. Source of the rule: Go's ``net.ParseCIDR`` and ``net.ParseIP``, which ingress-nginx uses.
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Final

_ITEM: Final = re.compile(r"[0-9A-Fa-f:.]{2,45}(?:/[0-9]{1,3})?")


class NoNetworkError(ValueError):
    """An entry that is neither an address nor a network; the message names it."""


def networks(text: str) -> tuple[str, ...]:
    """The entries of a comma separated list as ``address/length``, each once. Raises NoNetworkError: a list of which
    one entry cannot be read says nothing for certain."""
    return tuple(dict.fromkeys(_network(item.strip()) for item in text.split(",")))


def _network(item: str) -> str:
    if _ITEM.fullmatch(item) is None:
        raise NoNetworkError(f"holds {item!r}, which is no address or network")
    try:
        return str(ip_network(item, strict=False))
    except ValueError:
        raise NoNetworkError(f"holds {item!r}, which is no address or network") from None
