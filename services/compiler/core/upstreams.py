"""A Service by one of its ports and its EndpointSlices -> an Upstream (contract section 1.10).

Pure. Ready endpoints only (``ready`` true or not said), without duplicates, sorted. Must not know routes.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from proto.objects import EndpointSlice, Service, ServicePort
from proto.resources import Endpoint, Upstream

_DNS_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.IGNORECASE)
_MAX_NAME: Final = 253
_PORT: Final = re.compile(r"[0-9]{1,5}")
EMPTY: Final = Upstream()
_NO_ADDRESS: Final = ("", "None")
"""What stands for the address of a Service that has none."""


class CompiledUpstream(Struct, frozen=True, gc=False):
    """``problem``: the code of a diagnostic about the Service, empty if there is nothing to say."""

    upstream: Upstream
    problem: str = ""


def parse_name(name: str) -> tuple[str, str, str]:
    """(namespace, Service, port) of an Upstream's name; the port is empty for "the first"."""
    service, _, port = name.rpartition(":")
    namespace, _, service = service.partition("/")
    return namespace, service, port


def compile_upstream(
    port: str,
    service: Service | None,
    slices: Iterable[EndpointSlice],
    *,
    external_names: bool = True,
    by_service: bool = False,
    by_zone: bool = False,
) -> CompiledUpstream:
    """The Upstream of ``service`` by ``port`` (number, name, or empty for the first one; of a stream with ``/tcp`` or
    ``/udp`` behind).

    ``slices`` are those of this Service. ``by_service``: its own address is the one endpoint, if it has one, but not
    for streams. ``by_zone``: hints of zones count, where the Service wants it. A Service or port that does not exist
    gives no endpoints and a problem.
    """
    port, stream, protocol = port.partition("/")
    protocol = protocol.upper() or "TCP"
    if service is None:
        return CompiledUpstream(EMPTY, "service-not-found")
    if service.type == "ExternalName":
        return _external(port, service) if external_names else CompiledUpstream(EMPTY, "service-external-name-refused")
    service_port = _stream_port(port, protocol, service) if stream else _port_of(port, service)
    if service_port is None:
        return CompiledUpstream(EMPTY, "service-port-not-found")
    if by_service and not stream and service.cluster_ip not in _NO_ADDRESS:
        return CompiledUpstream(Upstream((Endpoint(service.cluster_ip, service_port.port),)))
    found: dict[tuple[str, int], tuple[str, ...]] = {}
    dns = False
    for slice_ in slices:
        numbers = _numbers(slice_, service_port, protocol)
        if not numbers:
            continue
        dns = dns or slice_.address_type == "FQDN"
        for endpoint in slice_.endpoints:
            if endpoint.ready is not False:
                for address in endpoint.addresses:
                    for number in numbers:
                        found[address, number] = _hinted(found.get((address, number)), endpoint.zones)
    ends = sorted(found)
    zones = tuple([found[end] for end in ends]) if by_zone and service.by_zone else ()
    endpoints = tuple([Endpoint(address, number) for address, number in ends])
    return CompiledUpstream(Upstream(endpoints, dns, zones=zones if all(zones) else ()))


def _hinted(before: tuple[str, ...] | None, zones: tuple[str, ...]) -> tuple[str, ...]:
    """The zones of an endpoint that slices name more than once: all of them, or none where one gives no hint."""
    if before is None or not before or not zones:
        return zones if before is None else ()
    return tuple(sorted({*before, *zones}))


def _stream_port(port: str, protocol: str, service: Service) -> ServicePort | None:
    """The first port of the Service whose number or name is ``port`` (a stream's: no target port, as ingress-nginx)."""
    for candidate in service.ports:
        if candidate.protocol == protocol and port in (str(candidate.port), candidate.name):
            return candidate
    return None


def _port_of(port: str, service: Service) -> ServicePort | None:
    """The first port of the Service whose number, target port or name is ``port``."""
    if not port:
        return service.ports[0] if service.ports else None
    for candidate in service.ports:
        if port in (str(candidate.port), candidate.target_port, candidate.name):
            return candidate
    return None


def _numbers(slice_: EndpointSlice, port: ServicePort, protocol: str) -> list[int]:
    """The ports of the slice's endpoints that stand behind ``port``, of the protocol asked for.

    By name; a port without a name takes every port of the slice. A number as target port serves where the slice names
    no port that fits, as hand-written slices do.
    """
    numbers = [
        candidate.port
        for candidate in slice_.ports
        if candidate.protocol == protocol
        and _is_port(candidate.port)
        and (not port.name or candidate.name == port.name)
    ]
    if numbers:
        return numbers
    target = _port_number(port.target_port or str(port.port))
    if target and (not slice_.ports or any(candidate.protocol == protocol for candidate in slice_.ports)):
        return [target]
    return []


def _is_port(number: int) -> bool:
    return 0 < number < 65536


def _port_number(text: str) -> int:
    """The number of a port, 0 for what is none: manifests of a folder were checked by no API server."""
    number = int(text) if _PORT.fullmatch(text) is not None else 0
    return number if _is_port(number) else 0


def _external(port: str, service: Service) -> CompiledUpstream:
    """The one endpoint of an ExternalName Service; the port needs no entry in the Service."""
    number = _external_port(port, service)
    if not number:
        return CompiledUpstream(EMPTY, "service-port-not-found")
    name = service.external_name.rstrip(".").lower()
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        refused = name == "localhost" or len(name) > _MAX_NAME or _DNS_NAME.fullmatch(name) is None
        dns = True
    else:
        refused, dns = _is_local(address), False
    if refused:
        return CompiledUpstream(EMPTY, "service-external-name-refused")
    return CompiledUpstream(Upstream((Endpoint(name, number),), dns))


def _is_local(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether the address is this machine's own or only means something on its link (such as a cloud's metadata
    service), in whatever spelling: the edge asks the same of what names resolve to."""
    plain = (address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None) or address
    return plain.is_loopback or plain.is_unspecified or plain.is_link_local


def _external_port(port: str, service: Service) -> int:
    """0: there is none."""
    for candidate in service.ports:
        if not port or port in (candidate.name, str(candidate.port)):
            return _port_number(candidate.target_port) or _port_number(str(candidate.port))
    return _port_number(port)
