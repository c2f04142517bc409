"""Sets of networks: whether an address is in one of them, in a few look-ups however many there are. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

_BITS: Final = {4: 32, 6: 128}


class Networks:
    """Made of texts such as ``10.0.0.0/8``. Raises ValueError for one that is none."""

    __slots__ = ("_by_version",)

    def __init__(self, texts: Iterable[str]) -> None:
        found: dict[int, dict[int, set[int]]] = {}
        for text in texts:
            network = ip_network(text, strict=False)
            shift = _BITS[network.version] - network.prefixlen
            found.setdefault(network.version, {}).setdefault(shift, set()).add(int(network.network_address) >> shift)
        self._by_version = {
            version: tuple((shift, frozenset(numbers)) for shift, numbers in lengths.items())
            for version, lengths in found.items()
        }

    def __bool__(self) -> bool:
        return bool(self._by_version)

    def __contains__(self, address: str) -> bool:
        version, number = numbered(address)
        for shift, numbers in self._by_version.get(version, ()):  # noqa: SIM110 - a generator takes twice as long
            if number >> shift in numbers:
                return True
        return False


@lru_cache(4096)
def numbered(address: str) -> tuple[int, int]:
    """(4 or 6, the number of the address); 0 for what is no address, which is in no network. An IPv4 address in the
    clothes of an IPv6 one is what it is, as for nginx."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return 0, 0
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return parsed.version, int(parsed)
