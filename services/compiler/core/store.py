"""The objects as they stand on the bus, by kind; a Service's slices by their Service.

Owns nothing but keeping them. What a change touches is for ``index`` and ``compiler``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from proto.objects import (
    ConfigMap,
    EndpointSlice,
    Ingress,
    IngressClass,
    Object,
    ObjectKey,
    Secret,
    Service,
)

T = TypeVar("T")


class ObjectStore:
    """The last version of every object. Names are ``namespace/name``, of IngressClasses the bare name."""

    def __init__(self) -> None:
        self.ingresses: dict[str, Ingress] = {}
        self.classes: dict[str, IngressClass] = {}
        self.services: dict[str, Service] = {}
        self.secrets: dict[str, Secret] = {}
        self.configmaps: dict[str, ConfigMap] = {}
        self._slices: dict[str, dict[str, EndpointSlice]] = {}
        self._service_of_slice: dict[str, str] = {}

    def slices_of(self, service: str) -> Iterable[EndpointSlice]:
        """The EndpointSlices of a Service."""
        return self._slices.get(service, {}).values()

    def named_slices_of(self, service: str) -> dict[str, EndpointSlice]:
        """The same by the slices' names."""
        return self._slices.get(service, {})

    def service_of_slice(self, slice_name: str) -> str:
        """The Service of an EndpointSlice, empty if there is no such slice."""
        return self._service_of_slice.get(slice_name, "")

    def put(self, key: ObjectKey, value: Object | None) -> bool:
        """Take ``value`` in, or the object out if it is None. Returns whether that changed anything."""
        name = f"{key.namespace}/{key.name}"
        match key.kind:
            case "ingress":
                return _put(self.ingresses, name, value, Ingress)
            case "ingressclass":
                return _put(self.classes, key.name, value, IngressClass)
            case "service":
                return _put(self.services, name, value, Service)
            case "secret":
                return _put(self.secrets, name, value, Secret)
            case "configmap":
                return _put(self.configmaps, name, value, ConfigMap)
            case "endpointslice":
                return self._put_slice(name, value)
            case _:
                return False

    def _put_slice(self, name: str, value: Object | None) -> bool:
        if value is not None and not isinstance(value, EndpointSlice):
            raise TypeError(f"endpointslice {name} holds a {type(value).__name__}")
        before = self._service_of_slice.get(name)
        if before is not None:
            slices = self._slices[before]
            if value is not None and slices[name] == value:
                return False
            del slices[name]
            if not slices:
                del self._slices[before]
        if value is None:
            self._service_of_slice.pop(name, None)
            return before is not None
        service = f"{value.namespace}/{value.service}"
        self._service_of_slice[name] = service
        self._slices.setdefault(service, {})[name] = value
        return True


def _put(objects: dict[str, T], name: str, value: Object | None, type_: type[T]) -> bool:
    if value is None:
        return objects.pop(name, None) is not None
    if not isinstance(value, type_):
        raise TypeError(f"{name} holds a {type(value).__name__}, not a {type_.__name__}")
    if objects.get(name) == value:
        return False
    objects[name] = value
    return True
