"""Kubernetes objects as they stand in JSON or YAML: only the fields that are read, named as the API names them.

Owns the shape of the input. Everything is optional, because the API may leave out or null any of it; what that means
is said by ``trim``. Unknown fields are passed over. Both sources decode into these, so both trim alike.
"""

from __future__ import annotations

from msgspec import Struct

from services.contract.ingress_manifest import IngressManifest, Meta, Status, StringMap


class IngressClassSpec(Struct, frozen=True):
    """``spec`` of an IngressClass."""

    controller: str | None = None


class IngressClassManifest(Struct, frozen=True):
    """An IngressClass."""

    metadata: Meta | None = None
    spec: IngressClassSpec | None = None


class PortManifest(Struct, frozen=True, rename="camel"):
    """A port of a Service, an EndpointSlice or Endpoints."""

    name: str | None = None
    port: int | None = None
    protocol: str | None = None
    target_port: int | str | None = None


class ServiceSpec(
    Struct,
    frozen=True,
    rename={"cluster_ip": "clusterIP", "external_name": "externalName", "external_ips": "externalIPs"},
):
    """``spec`` of a Service."""

    type: str | None = None
    cluster_ip: str | None = None
    external_name: str | None = None
    external_ips: list[str] | None = None
    ports: list[PortManifest | None] | None = None


class ServiceManifest(Struct, frozen=True):
    """A Service."""

    metadata: Meta | None = None
    spec: ServiceSpec | None = None
    status: Status | None = None


class Conditions(Struct, frozen=True):
    """``conditions`` of an endpoint."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Zone(Struct, frozen=True):
    """One entry of ``hints.forZones``."""

    name: str | None = None


class Hints(Struct, frozen=True, rename="camel"):
    """``hints`` of an endpoint."""

    for_zones: list[Zone | None] | None = None


class EndpointManifest(Struct, frozen=True):
    """One entry of ``endpoints``."""

    addresses: list[str] | None = None
    conditions: Conditions | None = None
    hints: Hints | None = None


class EndpointSliceManifest(Struct, frozen=True, rename="camel"):
    """An EndpointSlice."""

    metadata: Meta | None = None
    address_type: str | None = None
    ports: list[PortManifest | None] | None = None
    endpoints: list[EndpointManifest | None] | None = None


class SubsetAddress(Struct, frozen=True):
    """One address of Endpoints."""

    ip: str | None = None


class Subset(Struct, frozen=True, rename="camel"):
    """One entry of ``subsets`` of Endpoints."""

    addresses: list[SubsetAddress | None] | None = None
    not_ready_addresses: list[SubsetAddress | None] | None = None
    ports: list[PortManifest | None] | None = None


class EndpointsManifest(Struct, frozen=True):
    """Endpoints, the kind before EndpointSlice."""

    metadata: Meta | None = None
    subsets: list[Subset | None] | None = None


class SecretManifest(Struct, frozen=True, rename="camel"):
    """A Secret; values of ``data`` are base64, those of ``string_data`` plain and win over ``data``."""

    metadata: Meta | None = None
    type: str | None = None
    data: StringMap = None
    string_data: StringMap = None


class ConfigMapManifest(Struct, frozen=True):
    """A ConfigMap."""

    metadata: Meta | None = None
    data: StringMap = None


class NamespaceManifest(Struct, frozen=True):
    """A Namespace (only its name and labels matter)."""

    metadata: Meta | None = None


Manifest = (
    IngressManifest
    | IngressClassManifest
    | ServiceManifest
    | EndpointSliceManifest
    | EndpointsManifest
    | SecretManifest
    | ConfigMapManifest
    | NamespaceManifest
)
