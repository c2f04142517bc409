"""Short ways to write objects of the bus, for tests of what is compiled from them."""

from __future__ import annotations

from collections.abc import Iterable

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
    Secret,
    Service,
    ServicePort,
    SliceEndpoint,
    TLSMaterial,
)

PREFIX = "nginx.ingress.kubernetes.io/"
NGINX = IngressClass("nginx", "k8s.io/ingress-nginx")


def backend(text: str) -> IngressBackend:
    """``web:80`` or ``web:http``."""
    service, _, port = text.partition(":")
    if port.isdecimal():
        return IngressBackend(service, port_number=int(port))
    return IngressBackend(service, port_name=port)


def path(text: str, to: str, kind: str = "Prefix") -> IngressPath:
    """A path that leads to ``to`` (as ``backend``)."""
    return IngressPath(text, kind, backend(to))


def rule(host: str, *paths: IngressPath) -> IngressRule:
    """A rule with paths, or one that only names a host."""
    return IngressRule(host, paths, has_http=bool(paths))


def ingress(
    name: str,
    *rules: IngressRule,
    namespace: str = "shop",
    created: int = 100,
    class_name: str | None = "nginx",
    tls: Iterable[IngressTLS] = (),
    default: str = "",
    uid: str = "",
    **annotations: str,
) -> Ingress:
    """An Ingress; annotations without prefix, ``_`` for ``-`` (``use_regex="true"``)."""
    return Ingress(
        namespace,
        name,
        uid=uid or f"uid-{name}",
        created=created,
        annotations={PREFIX + key.replace("_", "-"): value for key, value in annotations.items()},
        class_name=class_name,
        default_backend=backend(default) if default else None,
        rules=rules,
        tls=tuple(tls),
    )


def service(name: str, *ports: ServicePort, namespace: str = "shop") -> Service:
    """A Service, by default with port 80, named http, to 8080."""
    return Service(namespace, name, cluster_ip="10.96.0.1", ports=ports or (ServicePort(80, "http", "8080"),))


def endpoints(of: str, *addresses: str, namespace: str = "shop", name: str = "", port: int = 8080) -> EndpointSlice:
    """A slice with ready endpoints at ``port``, named http."""
    return EndpointSlice(
        namespace,
        name or f"{of}-1",
        of,
        ports=(EndpointPort(port, "http"),),
        endpoints=tuple(SliceEndpoint((address,), True) for address in addresses),
    )


def secret(name: str, *names: str, namespace: str = "shop") -> Secret:
    """A TLS Secret whose certificate has these names, or one without a certificate."""
    if not names:
        return Secret(namespace, name, "kubernetes.io/tls", problem="tls.crt is empty")
    material = TLSMaterial((f"der of {name}".encode(),), names, 1_700_000_000, 2_000_000_000, "ab" * 32, b"sealed")
    return Secret(namespace, name, "kubernetes.io/tls", material)


def configmap(name: str, namespace: str = "ingress-nginx", /, **data: str) -> ConfigMap:
    """A ConfigMap; keys with ``_`` for ``-``."""
    return ConfigMap(namespace, name, {key.replace("_", "-"): value for key, value in data.items()})
