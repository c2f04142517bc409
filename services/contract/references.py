"""What refers to what: which Secrets and ConfigMaps an Ingress, a ConfigMap or the flags name.

The watcher asks here which Secrets and ConfigMaps may leave it, the compiler which hosts an object touches. Whether
a reference is allowed (other namespaces) or resolves is not judged here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from proto.objects import Ingress, ObjectKey
from services.contract.annotations.entry import PREFIX
from services.contract.annotations.registry import REGISTRY
from services.contract.configmap.registry import KEYS

_REFERRING: Final = {
    PREFIX + name: entry.refers_to
    for entry in REGISTRY.values()
    if entry.refers_to in ("secret", "configmap")
    for name in (entry.name, *entry.aliases)
}
_REFERRING_KEYS: Final = {key.name: key.refers_to for key in KEYS.values() if key.refers_to}


def references_of(ingress: Ingress) -> frozenset[ObjectKey]:
    """The Secrets and ConfigMaps that ``ingress`` names, under ``tls`` and in annotations (contract section 1.2)."""
    return frozenset(_references(ingress))


def references_of_configmap(data: dict[str, str], namespace: str = "") -> frozenset[ObjectKey]:
    """The Secrets and ConfigMaps that the controller's ConfigMap names; ``namespace`` is where a bare name is."""
    found = (_named(kind, data.get(name, ""), namespace) for name, kind in _REFERRING_KEYS.items())
    return frozenset(key for key in found if key is not None)


def references_of_flags(
    *,
    configmap: str = "",
    default_ssl_certificate: str = "",
    default_backend_service: str = "",
    tcp_services_configmap: str = "",
    udp_services_configmap: str = "",
) -> frozenset[ObjectKey]:
    """The objects that flags of the form ``namespace/name`` name; an empty flag names nothing."""
    found = (
        _named("configmap", configmap, ""),
        _named("secret", default_ssl_certificate, ""),
        _named("service", default_backend_service, ""),
        _named("configmap", tcp_services_configmap, ""),
        _named("configmap", udp_services_configmap, ""),
    )
    return frozenset(key for key in found if key is not None)


def _references(ingress: Ingress) -> Iterator[ObjectKey]:
    for entry in ingress.tls:
        if entry.secret:
            yield ObjectKey("secret", ingress.namespace, entry.secret)
    for name, value in ingress.annotations.items():
        kind = _REFERRING.get(name)
        if kind is not None:
            key = _named(kind, value, ingress.namespace)
            if key is not None:
                yield key


def _named(kind: str, value: str, namespace: str) -> ObjectKey | None:
    """The object that ``value`` (``name`` or ``namespace/name``) names, or None where it names none."""
    first, slash, second = value.strip().partition("/")
    if slash:
        namespace, name = first, second
    else:
        name = first
    if not namespace or not name or "/" in name:
        return None
    return ObjectKey(kind, namespace, name)  # type: ignore[arg-type]
