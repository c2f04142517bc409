"""The kinds that are read from the API: where each stands, how it is decoded, what it becomes, and in which scopes.

Pure. Owns the list and watch parameters that keep the least: one namespace if only one is watched, one object where a
flag names one elsewhere, no Secrets of kinds that hold nothing for us.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct

from proto.objects import EndpointSlice, Kind
from services.contract.ingress_manifest import IngressManifest, LoadBalancerPoint, Status, trim_ingress
from services.runtime.settings import namespaced_name
from services.watcher import manifest, trim
from services.watcher.addresses import refusal
from services.watcher.observed import Value
from services.watcher.options import WatcherOptions


class Read(Struct, frozen=True):
    """What an object of the API becomes. ``value`` None: it means nothing to us. ``refused``: addresses of endpoints
    that were left out, with the reason. ``published``: as in ``Change``."""

    value: Value | None
    published: tuple[LoadBalancerPoint, ...] | None = None
    refused: tuple[str, ...] = ()


class KindSpec(Struct, frozen=True):
    """A kind: ``group`` is its path, ``read`` turns JSON into what travels (raises msgspec or trim errors)."""

    kind: Kind
    group: str
    plural: str
    namespaced: bool
    read: Callable[[bytes], Read]


class Scope(Struct, frozen=True):
    """What of a kind is watched: ``namespace`` empty for all, selectors as the API writes them."""

    namespace: str = ""
    fields: str = ""
    labels: str = ""

    def path(self, spec: KindSpec) -> str:
        """The path of the collection."""
        if self.namespace and spec.namespaced:
            return f"{spec.group}/namespaces/{self.namespace}/{spec.plural}"
        return f"{spec.group}/{spec.plural}"

    def selectors(self) -> dict[str, str]:
        """The parameters that select."""
        chosen = {"fieldSelector": self.fields, "labelSelector": self.labels}
        return {name: value for name, value in chosen.items() if value}


def _reader(type_: type[Any], make: Callable[[Any], Read]) -> Callable[[bytes], Read]:
    decoder = msgspec.json.Decoder(type_)
    return lambda data: make(decoder.decode(data))


def _ingress(found: IngressManifest) -> Read:
    return Read(trim_ingress(found), _points(found.status))


def _service(found: manifest.ServiceManifest) -> Read:
    return Read(trim.trim_service(found), _service_points(found))


def _endpoint_slice(found: manifest.EndpointSliceManifest) -> Read:
    value = trim.trim_endpoint_slice(found)
    if value is None:
        return Read(None)
    admitted, refused = admit(value)
    return Read(admitted, refused=refused)


def admit(value: EndpointSlice) -> tuple[EndpointSlice, tuple[str, ...]]:
    """``value`` without the addresses that no pod has, and those addresses with the reason."""
    refused = [
        f"{address}: {reason}"
        for endpoint in value.endpoints
        for address in endpoint.addresses
        if (reason := refusal(address))
    ]
    if not refused:
        return value, ()
    kept = [
        msgspec.structs.replace(endpoint, addresses=admitted)
        for endpoint in value.endpoints
        if (admitted := tuple(address for address in endpoint.addresses if not refusal(address)))
    ]
    return msgspec.structs.replace(value, endpoints=tuple(kept)), tuple(refused)


def _points(status: Status | None) -> tuple[LoadBalancerPoint, ...]:
    balancer = status.load_balancer if status else None
    return tuple((balancer and balancer.ingress) or ())


def _service_points(found: manifest.ServiceManifest) -> tuple[LoadBalancerPoint, ...]:
    """Where a Service is reached from outside (contract section 1.11, ``--publish-service``)."""
    spec = found.spec or manifest.ServiceSpec()
    external = [LoadBalancerPoint(ip=address) for address in spec.external_ips or ()]
    inside = [LoadBalancerPoint(ip=spec.cluster_ip)] if spec.cluster_ip and spec.cluster_ip != "None" else []
    match spec.type or "ClusterIP":
        case "LoadBalancer":
            return (*_points(found.status), *external)
        case "NodePort":
            return tuple(external or inside)
        case "ExternalName":
            return (LoadBalancerPoint(hostname=spec.external_name),) if spec.external_name else ()
        case _:
            return tuple(inside)


_NETWORKING: Final = "/apis/networking.k8s.io/v1"

KINDS: Final[tuple[KindSpec, ...]] = (
    KindSpec("ingress", _NETWORKING, "ingresses", True, _reader(IngressManifest, _ingress)),
    KindSpec(
        "ingressclass",
        _NETWORKING,
        "ingressclasses",
        False,
        _reader(manifest.IngressClassManifest, lambda found: Read(trim.trim_ingress_class(found))),
    ),
    KindSpec("service", "/api/v1", "services", True, _reader(manifest.ServiceManifest, _service)),
    KindSpec(
        "endpointslice",
        "/apis/discovery.k8s.io/v1",
        "endpointslices",
        True,
        _reader(manifest.EndpointSliceManifest, _endpoint_slice),
    ),
    KindSpec(
        "secret",
        "/api/v1",
        "secrets",
        True,
        _reader(manifest.SecretManifest, lambda found: Read(trim.raw_secret(found))),
    ),
    KindSpec(
        "configmap",
        "/api/v1",
        "configmaps",
        True,
        _reader(manifest.ConfigMapManifest, lambda found: Read(trim.trim_config_map(found))),
    ),
)

NAMESPACES: Final = "/api/v1/namespaces"

USELESS_SECRETS: Final = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token"
"""Helm's releases are large and many; tokens of service accounts are nobody's to carry about."""


def scopes_of(spec: KindSpec, options: WatcherOptions) -> tuple[Scope, ...]:
    """What of a kind is watched. Raises SettingsError."""
    fields = USELESS_SECRETS if spec.kind == "secret" else ""
    main = Scope(options.watch_namespace if spec.namespaced else "", fields)
    if not main.namespace:
        return (main,)
    return (main, *(scope for scope in _named(spec.kind, options) if scope.namespace != main.namespace))


def _named(kind: Kind, options: WatcherOptions) -> list[Scope]:
    """Single objects that flags name; they may stand outside the namespace that is watched."""
    named = {
        "configmap": [
            ("--configmap", options.configmap),
            ("--tcp-services-configmap", options.tcp_services_configmap),
            ("--udp-services-configmap", options.udp_services_configmap),
        ],
        "secret": [("--default-ssl-certificate", options.default_ssl_certificate)],
        "service": [
            ("--default-backend-service", options.default_backend_service),
            ("--publish-service", options.publish_service),
        ],
        "endpointslice": [("--default-backend-service", options.default_backend_service)],
    }
    scopes = []
    for option, value in named.get(kind, ()):
        if value:
            namespace, name = namespaced_name(option, value)
            if kind == "endpointslice":
                scopes.append(Scope(namespace, labels=f"{trim.SERVICE_LABEL}={name}"))
            else:
                scopes.append(Scope(namespace, fields=f"metadata.name={name}"))
    return list(dict.fromkeys(scopes))
