"""An Ingress as it stands in JSON or YAML, of any version, and what the bus carries of it.

Pure, and shared: the watcher reads Ingresses from its sources, the compiler those that are shown to its webhook. Only
the fields that are read are here, named as the API names them, and all are optional, because the API may leave out or
null any of them. Judges nothing: what Kubernetes would refuse travels as it is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from proto.objects import Ingress, IngressBackend, IngressPath, IngressRule, IngressTLS

OLD_VERSIONS: Final = ("networking.k8s.io/v1beta1", "extensions/v1beta1")
BULKY_ANNOTATIONS: Final = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})
"""Nobody routes by these, and they double the size of an object."""

StringMap = dict[str, str | None] | None


class Meta(Struct, frozen=True, rename="camel"):
    """``metadata``."""

    name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    annotations: StringMap = None
    labels: StringMap = None


class BackendPort(Struct, frozen=True):
    """``backend.service.port``."""

    name: str | None = None
    number: int | None = None


class BackendService(Struct, frozen=True):
    """``backend.service``."""

    name: str | None = None
    port: BackendPort | None = None


class TypedReference(Struct, frozen=True):
    """``backend.resource``."""

    kind: str | None = None
    name: str | None = None


class Backend(Struct, frozen=True, rename="camel"):
    """A backend, of networking.k8s.io/v1 (``service``) or of the versions before (``serviceName``)."""

    service: BackendService | None = None
    resource: TypedReference | None = None
    service_name: str | None = None
    service_port: int | str | None = None


class HTTPPath(Struct, frozen=True, rename="camel"):
    """One entry of ``http.paths``."""

    path: str | None = None
    path_type: str | None = None
    backend: Backend | None = None


class HTTPRule(Struct, frozen=True):
    """``http`` of a rule."""

    paths: list[HTTPPath | None] | None = None


class Rule(Struct, frozen=True):
    """One entry of ``spec.rules``."""

    host: str | None = None
    http: HTTPRule | None = None


class TLS(Struct, frozen=True, rename="camel"):
    """One entry of ``spec.tls``."""

    hosts: list[str | None] | None = None
    secret_name: str | None = None


class IngressSpec(Struct, frozen=True, rename="camel"):
    """``spec`` of an Ingress; ``backend`` is what versions before v1 called ``defaultBackend``."""

    ingress_class_name: str | None = None
    default_backend: Backend | None = None
    backend: Backend | None = None
    rules: list[Rule | None] | None = None
    tls: list[TLS | None] | None = None


class LoadBalancerPoint(Struct, frozen=True, omit_defaults=True):
    """One entry of ``status.loadBalancer.ingress``."""

    ip: str = ""
    hostname: str = ""


class LoadBalancer(Struct, frozen=True):
    """``status.loadBalancer``."""

    ingress: list[LoadBalancerPoint] | None = None


class Status(Struct, frozen=True, rename="camel"):
    """``status`` of an Ingress or a Service."""

    load_balancer: LoadBalancer | None = None


class IngressManifest(Struct, frozen=True, rename="camel"):
    """An Ingress of any version."""

    api_version: str | None = None
    metadata: Meta | None = None
    spec: IngressSpec | None = None
    status: Status | None = None


def trim_ingress(manifest: IngressManifest) -> Ingress:
    """An Ingress of v1, networking.k8s.io/v1beta1 or extensions/v1beta1 as a v1 Ingress."""
    meta, spec = meta_of(manifest.metadata), manifest.spec
    old = manifest.api_version in OLD_VERSIONS
    common = {
        "namespace": meta.namespace or "",
        "name": meta.name or "",
        "uid": meta.uid or "",
        "created": _seconds(meta.creation_timestamp),
        "annotations": {k: v for k, v in strings(meta.annotations).items() if k not in BULKY_ANNOTATIONS},
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


def meta_of(meta: Meta | None) -> Meta:
    """``metadata``, empty where an object has none."""
    return meta if meta is not None else Meta()


def strings(values: StringMap) -> dict[str, str]:
    """A map of text, null read as empty."""
    return {name: value or "" for name, value in values.items()} if values else {}


def _seconds(timestamp: str | None) -> int:
    """Unix seconds of an RFC 3339 time; 0 when there is none or it cannot be read (age only breaks ties)."""
    if not timestamp:
        return 0
    try:
        moment = datetime.fromisoformat(timestamp)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except ValueError:
        return 0
