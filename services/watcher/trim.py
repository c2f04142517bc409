"""Manifest -> object of the bus: keeps the fields that routing reads, judges nothing. Ingresses: see ``contract``.

Pure. What Kubernetes would refuse (an unknown pathType, a backend without a Service) travels as it is. What cannot be
carried at all raises TrimError, which names the field.
"""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from typing import Final

from proto.objects import (
    ConfigMap,
    EndpointPort,
    EndpointSlice,
    IngressClass,
    Service,
    ServicePort,
    SliceEndpoint,
)
from services.contract.ingress_manifest import meta_of, strings
from services.watcher.manifest import (
    ConfigMapManifest,
    EndpointManifest,
    EndpointSliceManifest,
    EndpointsManifest,
    IngressClassManifest,
    PortManifest,
    SecretManifest,
    ServiceManifest,
    Subset,
    SubsetAddress,
)
from services.watcher.observed import RawSecret

SERVICE_LABEL: Final = "kubernetes.io/service-name"
BY_ZONE: Final = ("service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints")
"""Annotations of Services that say Auto; the second is what the first was called before Kubernetes 1.27."""
DEFAULT_CLASS: Final = "ingressclass.kubernetes.io/is-default-class"


class TrimError(ValueError):
    """An object that cannot be carried; the message starts with the field's path."""


def trim_ingress_class(manifest: IngressClassManifest) -> IngressClass:
    """An IngressClass."""
    meta = meta_of(manifest.metadata)
    default = strings(meta.annotations).get(DEFAULT_CLASS) == "true"
    return IngressClass(meta.name or "", (manifest.spec and manifest.spec.controller) or "", default)


def trim_service(manifest: ServiceManifest) -> Service:
    """A Service."""
    meta, spec = meta_of(manifest.metadata), manifest.spec
    if spec is None:
        return Service(meta.namespace or "", meta.name or "")
    return Service(
        meta.namespace or "",
        meta.name or "",
        spec.type or "ClusterIP",
        spec.cluster_ip or "",
        spec.external_name or "",
        tuple(
            ServicePort(port.port or 0, port.name or "", _text(port.target_port), port.protocol or "TCP")
            for port in spec.ports or ()
            if port is not None
        ),
        any(strings(meta.annotations).get(name, "").lower() == "auto" for name in BY_ZONE),
    )


def trim_endpoint_slice(manifest: EndpointSliceManifest) -> EndpointSlice | None:
    """An EndpointSlice, or None: it carries no Service's label, so it serves nobody (kube-proxy's rule)."""
    meta = meta_of(manifest.metadata)
    service = strings(meta.labels).get(SERVICE_LABEL)
    if not service:
        return None
    return EndpointSlice(
        meta.namespace or "",
        meta.name or "",
        service,
        manifest.address_type or "IPv4",
        tuple(_endpoint_port(port) for port in manifest.ports or () if port is not None),
        tuple(_endpoint(endpoint) for endpoint in manifest.endpoints or () if endpoint is not None),
    )


def _endpoint(endpoint: EndpointManifest) -> SliceEndpoint:
    addresses, conditions = tuple(endpoint.addresses or ()), endpoint.conditions
    named = (endpoint.hints and endpoint.hints.for_zones) or ()
    zones = tuple(zone.name for zone in named if zone is not None and zone.name)
    if conditions is None:
        return SliceEndpoint(addresses, zones=zones)
    return SliceEndpoint(addresses, conditions.ready, conditions.serving, conditions.terminating, zones)


@lru_cache(maxsize=4096)
def _shared_port(port: int, name: str, protocol: str) -> EndpointPort:
    # Tens of thousands of slices name the same few ports: one value each.
    return EndpointPort(port, name, protocol)


def _endpoint_port(port: PortManifest) -> EndpointPort:
    return _shared_port(port.port or 0, port.name or "", port.protocol or "TCP")


def trim_endpoints(manifest: EndpointsManifest) -> list[EndpointSlice]:
    """Endpoints as one slice per subset and address family; their names cannot be those of real slices (``:``)."""
    meta = meta_of(manifest.metadata)
    slices = []
    for number, subset in enumerate(manifest.subsets or ()):
        if subset is None:
            continue
        for family in ("IPv4", "IPv6"):
            endpoints = _subset_endpoints(subset, family)
            if endpoints:
                ports = tuple(_endpoint_port(port) for port in subset.ports or () if port is not None)
                name = f"endpoints:{meta.name}:{number}:{family.lower()}"
                slices.append(
                    EndpointSlice(meta.namespace or "", name, meta.name or "", family, ports, tuple(endpoints))
                )
    return slices


def _subset_endpoints(subset: Subset, family: str) -> list[SliceEndpoint]:
    def of(addresses: list[SubsetAddress | None] | None, ready: bool | None) -> list[SliceEndpoint]:
        found = [entry.ip for entry in addresses or () if entry is not None and entry.ip]
        return [SliceEndpoint((ip,), ready) for ip in found if (":" in ip) == (family == "IPv6")]

    return of(subset.addresses, None) + of(subset.not_ready_addresses, False)


def trim_config_map(manifest: ConfigMapManifest) -> ConfigMap:
    """A ConfigMap's ``data`` (``binaryData`` is nothing that routing reads)."""
    meta = meta_of(manifest.metadata)
    return ConfigMap(meta.namespace or "", meta.name or "", strings(manifest.data))


def raw_secret(manifest: SecretManifest) -> RawSecret:
    """A Secret with its values decoded. Raises TrimError where a value of ``data`` is not base64."""
    meta = meta_of(manifest.metadata)
    data: dict[str, bytes] = {}
    for name, text in strings(manifest.data).items():
        try:
            # Kubernetes' decoder passes over line ends, so wrapped base64 of old tutorials works.
            data[name] = base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
        except (binascii.Error, ValueError) as error:
            raise TrimError(f"data[{name}]: not base64: {error}") from None
    data.update({name: text.encode() for name, text in strings(manifest.string_data).items()})
    return RawSecret(meta.namespace or "", meta.name or "", manifest.type or "Opaque", data)


def _text(value: int | str | None) -> str:
    return "" if value is None else str(value)
