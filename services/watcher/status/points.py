"""Which addresses an Ingress' status shall show (contract section 1.11). Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from services.contract.ingress_manifest import LoadBalancerPoint


def points_of_addresses(text: str) -> tuple[LoadBalancerPoint, ...]:
    """``--publish-status-address``: comma-separated; what is no IP address is a host name."""
    return ordered(_point(address.strip()) for address in text.split(",") if address.strip())


def _point(address: str) -> LoadBalancerPoint:
    try:
        return LoadBalancerPoint(ip=str(ipaddress.ip_address(address)))
    except ValueError:
        return LoadBalancerPoint(hostname=address)


def ordered(points: Iterable[LoadBalancerPoint]) -> tuple[LoadBalancerPoint, ...]:
    """Each once, in an order that does not depend on where they come from: equal sets are never written twice."""
    return tuple(sorted(set(points), key=lambda point: (point.ip, point.hostname)))
