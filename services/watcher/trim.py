"""Manifest -> object of the bus: keeps the fields that routing reads, converts old versions, judges nothing.

Pure. What Kubernetes would refuse (an unknown pathType, a backend without a Service) travels as it is. What cannot be
carried at all raises TrimError, which names the field.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from proto.objects import (
    ConfigMap,
    EndpointPort,
    EndpointSlice,
    Ingress,
    IngressBackend,
    IngressClass,
    IngressPath,
    IngressRule,
    IngressTLS,
    Service,
    ServicePort,
    SliceEndpoint,
)
from services.watcher.manifest import (
    Backend,
    ConfigMapManifest,
    EndpointManifest,
    EndpointSliceManifest,
    EndpointsManifest,
    HTTPPath,
    IngressClassManifest,
    IngressManifest,
    Meta,
    PortManifest,
    Rule,
    SecretManifest,
    ServiceManifest,
    StringMap,
    Subset,
    SubsetAddress,
)
from services.watcher.observed import RawSecret

SERVICE_LABEL: Final = "kubernetes.io/service-name"
DEFAULT_CLASS: Final = "ingressclass.kubernetes.io/is-default-class"
OLD_VERSIONS: Final = ("networking.k8s.io/v1beta1", "extensions/v1beta1")
BULKY_ANNOTATIONS: Final = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})
"""Nobody routes by these, and they double the size of an object."""


class TrimError(ValueError):
    """An object that cannot be carried; the message starts with the field's path."""


def trim_ingress(manifest: IngressManifest) -> Ingress:
    """An Ingress of v1, networking.k8s.io/v1beta1 or extensions/v1beta1 as a v1 Ingress."""
    meta, spec = _meta(manifest.metadata), manifest.spec
    old = manifest.api_version in OLD_VERSIONS
    common = {
        "namespace": meta.namespace or "",
        "name": meta.name or "",
        "uid": meta.uid or "",
        "created": _seconds(meta.creation_timestamp),
        "annotations": {k: v for k, v in _strings(meta.annotations).items() if k not in BULKY_ANNOTATIONS},
    }
    if spec is None:
        return Ingress(**common)  # type: ignore[arg-type]
    default = spec.default_backend or (spec.backend if old else None)
    return Ingress(
        **common,  # type: ignore[arg-type]
        class_name=spec.ingress_class_name,
        default_backend=None if default is None else _backend(default, old=old),
        rules=tuple(_rule(rule, old=old) for rule in spec.rules or () if rule is not None),
        tls=tuple(
            IngressTLS(tuple(host or "" for host in entry.hosts or ()), entry.secret_name or "")
            for entry in spec.tls or ()
            if entry is not None
        ),
    )


def _rule(rule: Rule, *, old: bool) -> IngressRule:
    if rule.http is None:
        return IngressRule(rule.host or "")
    paths = tuple(_path(path, old=old) for path in rule.http.paths or () if path is not None)
    return IngressRule(rule.host or "", paths, has_http=True)


def _path(path: HTTPPath, *, old: bool) -> IngressPath:
    # Only v1 demands a pathType; before, its absence meant ImplementationSpecific.
    path_type = path.path_type or ("ImplementationSpecific" if old else "")
    backend = None if path.backend is None else _backend(path.backend, old=old)
    return IngressPath(path.path or "", path_type, backend)


def _backend(backend: Backend, *, old: bool) -> IngressBackend:
    if old and backend.service_name:
        port = backend.service_port
        if isinstance(port, str) and port.isdecimal():
            port = int(port)
        if isinstance(port, int):
            return IngressBackend(backend.service_name, port_number=port)
        return IngressBackend(backend.service_name, port_name=port or "")
    if backend.service is not None:
        reference = backend.service.port
        return IngressBackend(
            backend.service.name or "",
            port_name=(reference and reference.name) or "",
            port_number=(reference and reference.number) or 0,
        )
    if backend.resource is not None:
        return IngressBackend(resource=f"{backend.resource.kind or ''}/{backend.resource.name or ''}")
    return IngressBackend()


def trim_ingress_class(manifest: IngressClassManifest) -> IngressClass:
    """An IngressClass."""
    meta = _meta(manifest.metadata)
    default = _strings(meta.annotations).get(DEFAULT_CLASS) == "true"
    return IngressClass(meta.name or "", (manifest.spec and manifest.spec.controller) or "", default)


def trim_service(manifest: ServiceManifest) -> Service:
    """A Service."""
    meta, spec = _meta(manifest.metadata), manifest.spec
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
    )


def trim_endpoint_slice(manifest: EndpointSliceManifest) -> EndpointSlice | None:
    """An EndpointSlice, or None: it carries no Service's label, so it serves nobody (kube-proxy's rule)."""
    meta = _meta(manifest.metadata)
    service = _strings(meta.labels).get(SERVICE_LABEL)
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
    if conditions is None:
        return SliceEndpoint(addresses)
    return SliceEndpoint(addresses, conditions.ready, conditions.serving, conditions.terminating)


@lru_cache(maxsize=4096)
def _shared_port(port: int, name: str, protocol: str) -> EndpointPort:
    # Tens of thousands of slices name the same few ports: one value each.
    return EndpointPort(port, name, protocol)


def _endpoint_port(port: PortManifest) -> EndpointPort:
    return _shared_port(port.port or 0, port.name or "", port.protocol or "TCP")


def trim_endpoints(manifest: EndpointsManifest) -> list[EndpointSlice]:
    """Endpoints as one slice per subset and address family; their names cannot be those of real slices (``:``)."""
    meta = _meta(manifest.metadata)
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
    meta = _meta(manifest.metadata)
    return ConfigMap(meta.namespace or "", meta.name or "", _strings(manifest.data))


def raw_secret(manifest: SecretManifest) -> RawSecret:
    """A Secret with its values decoded. Raises TrimError where a value of ``data`` is not base64."""
    meta = _meta(manifest.metadata)
    data: dict[str, bytes] = {}
    for name, text in _strings(manifest.data).items():
        try:
            # Kubernetes' decoder passes over line ends, so wrapped base64 of old tutorials works.
            data[name] = base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
        except (binascii.Error, ValueError) as error:
            raise TrimError(f"data[{name}]: not base64: {error}") from None
    data.update({name: text.encode() for name, text in _strings(manifest.string_data).items()})
    return RawSecret(meta.namespace or "", meta.name or "", manifest.type or "Opaque", data)


def _meta(meta: Meta | None) -> Meta:
    return meta if meta is not None else Meta()


def _strings(values: StringMap) -> dict[str, str]:
    return {name: value or "" for name, value in values.items()} if values else {}


def _text(value: int | str | None) -> str:
    return "" if value is None else str(value)


def _seconds(timestamp: str | None) -> int:
    """Unix seconds of an RFC 3339 time; 0 when there is none or it cannot be read (age only breaks ties)."""
    if not timestamp:
        return 0
    try:
        moment = datetime.fromisoformat(timestamp)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except ValueError:
        return 0
