"""The addresses of the edge at which clients are let in, where the ConfigMap names them (``bind-address``). Pure."""

from __future__ import annotations

import ipaddress

from msgspec import Struct

from proto.resources import Settings


class Bound(Struct, frozen=True):
    """``ipv4``, ``ipv6``: the addresses of each family; empty: all of it. ``only_ipv4``: none of IPv6."""

    ipv4: frozenset[str]
    ipv6: frozenset[str]
    only_ipv4: bool

    def takes(self, address: str) -> bool:
        """Whether clients are let in that came to this address of ours; also to one that is none, a socket's path."""
        try:
            own = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return True
        if isinstance(own, ipaddress.IPv6Address):
            if own.ipv4_mapped is None:
                return not self.only_ipv4 and (not self.ipv6 or str(own) in self.ipv6)
            own = own.ipv4_mapped
        return not self.ipv4 or str(own) in self.ipv4


def bound_of(settings: Settings) -> Bound | None:
    """What the settings say; None: every address is as good."""
    named = {
        ipaddress.ip_address(text)
        for text in (*settings.bind_address, *settings.bind_address_ipv4, *settings.bind_address_ipv6)
    }
    if not named and not settings.disable_ipv6:
        return None
    ipv4, ipv6 = (frozenset(str(address) for address in named if address.version == family) for family in (4, 6))
    return Bound(ipv4, ipv6, settings.disable_ipv6)
