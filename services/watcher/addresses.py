"""Addresses that an endpoint may not have when tenants write the objects.

Traffic goes to endpoints directly, so an EndpointSlice made by hand could point an edge at itself, at its node or at
the cloud's metadata service (CVE-2021-25740). Pure.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final

METADATA: Final = frozenset(
    map(ipaddress.ip_address, ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16"))
)
"""Metadata services of clouds; some are outside the link-local range."""


@lru_cache(maxsize=65536)
def refusal(address: str) -> str:
    """Why traffic must not be sent to ``address``; empty: it may."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "no IP address"
    mapped = getattr(parsed, "ipv4_mapped", None)
    parsed = mapped or parsed
    for holds, reason in (
        (parsed in METADATA, "a metadata service"),
        (parsed.is_loopback, "loopback"),
        (parsed.is_link_local, "link-local"),
        (parsed.is_unspecified, "unspecified"),
        (parsed.is_multicast, "multicast"),
    ):
        if holds:
            return reason
    return ""
