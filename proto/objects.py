"""Trimmed Kubernetes objects as they cross the bus: only the fields that routing reads.

Owns the shape of ``<instance>.objects.<kind>.<namespace>.<name>``. Must not know how an object was read
(Kubernetes API or folder) nor what is compiled from it. Values that Kubernetes would refuse (an unknown pathType,
a backend without a Service) travel as they are: judging them is the compiler's part.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

Kind = Literal["ingress", "ingressclass", "service", "endpointslice", "secret", "configmap", "source"]
"""The kinds of object on the bus; ``source`` is the watcher's own: how far each source has got."""

OBJECT_KINDS: Final[tuple[Kind, ...]] = ("ingress", "ingressclass", "service", "endpointslice", "secret", "configmap")
"""Every kind that a source must have listed once before anything is compiled."""


class ObjectKey(Struct, frozen=True, array_like=True, order=True, gc=False):
    """Identity of an object; ``namespace`` is empty for cluster-wide kinds."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class IngressBackend(Struct, frozen=True, omit_defaults=True, gc=False):
    """``backend`` of a path or ``spec.defaultBackend``.

    ``service`` is empty when the manifest named none. ``port_number`` is 0 and ``port_name`` empty when absent.
    ``resource`` is ``kind/name`` of a resource backend (served as "not found", contract section 1.10).
    """

    service: str = ""
    port_name: str = ""
    port_number: int = 0
    resource: str = ""


class IngressPath(Struct, frozen=True, omit_defaults=True, gc=False):
    """One entry of ``http.paths``. ``path_type`` is empty when absent; ``backend`` may be missing."""

    path: str = ""
    path_type: str = ""
    backend: IngressBackend | None = None


class IngressRule(Struct, frozen=True, omit_defaults=True, gc=False):
    """One entry of ``spec.rules``; ``has_http`` is false for a rule that only names a host."""

    host: str = ""
    paths: tuple[IngressPath, ...] = ()
    has_http: bool = False


class IngressTLS(Struct, frozen=True, omit_defaults=True, gc=False):
    """One entry of ``spec.tls``; ``secret`` is empty when the manifest named none."""

    hosts: tuple[str, ...] = ()
    secret: str = ""


class Ingress(Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="ingress"):
    """A networking.k8s.io/v1 Ingress (older versions are converted by the watcher).

    ``created``: creationTimestamp in Unix seconds, 0 where the source has none. ``class_name`` is None when
    ``spec.ingressClassName`` is absent. ``annotations`` holds every annotation except bulky ones nobody routes by
    (``kubectl.kubernetes.io/last-applied-configuration``).
    """

    namespace: str
    name: str
    uid: str = ""
    created: int = 0
    annotations: dict[str, str] = {}
    class_name: str | None = None
    default_backend: IngressBackend | None = None
    rules: tuple[IngressRule, ...] = ()
    tls: tuple[IngressTLS, ...] = ()


class IngressClass(Struct, frozen=True, omit_defaults=True, gc=False, tag_field="kind", tag="ingressclass"):
    """``is_default``: the annotation ``ingressclass.kubernetes.io/is-default-class`` is "true"."""

    name: str
    controller: str = ""
    is_default: bool = False


class ServicePort(Struct, frozen=True, omit_defaults=True, gc=False):
    """``target_port`` is a number or a name, as text; empty when absent (then it equals ``port``)."""

    port: int
    name: str = ""
    target_port: str = ""
    protocol: str = "TCP"


class Service(Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="service"):
    """``type`` as in Kubernetes; ``cluster_ip`` is "None" for a headless Service. ``by_zone``: the annotation
    ``service.kubernetes.io/topology-mode`` is "Auto"."""

    namespace: str
    name: str
    type: str = "ClusterIP"
    cluster_ip: str = ""
    external_name: str = ""
    ports: tuple[ServicePort, ...] = ()
    by_zone: bool = False


class EndpointPort(Struct, frozen=True, omit_defaults=True, gc=False):
    """A port of an EndpointSlice; ``port`` 0 means "all ports" (Kubernetes allows it; it matches nothing here)."""

    port: int = 0
    name: str = ""
    protocol: str = "TCP"


class SliceEndpoint(Struct, frozen=True, omit_defaults=True, gc=False):
    """One endpoint of a slice. A condition that the manifest leaves out is None (ready: unset counts as true).
    ``zones``: those that it is hinted for."""

    addresses: tuple[str, ...] = ()
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None
    zones: tuple[str, ...] = ()


class EndpointSlice(Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="endpointslice"):
    """A discovery.k8s.io/v1 EndpointSlice (Endpoints are converted by the watcher).

    ``service`` is the value of the label ``kubernetes.io/service-name``.
    """

    namespace: str
    name: str
    service: str
    address_type: str = "IPv4"
    ports: tuple[EndpointPort, ...] = ()
    endpoints: tuple[SliceEndpoint, ...] = ()


class TLSMaterial(Struct, frozen=True, omit_defaults=True):
    """A certificate chain whose key fits it, as the watcher validated it.

    ``chain``: DER certificates, leaf first. ``names``: lower-case DNS names of the leaf (subjectAltName, else the
    common name). ``not_before``/``not_after``: Unix seconds. ``fingerprint``: SHA-256 of the leaf, hex.
    ``sealed_key``: the PKCS#8 PEM key, sealed (``proto.sealing``) for ``secret/<namespace>/<name>/tls.key``.
    """

    chain: tuple[bytes, ...]
    names: tuple[str, ...]
    not_before: int
    not_after: int
    fingerprint: str
    sealed_key: bytes
    key_algorithm: str = ""


class Secret(Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="secret"):
    """A Secret that something refers to.

    ``tls`` is the last good pair; ``problem`` says in one sentence what is wrong with the current content (then
    ``tls`` is the pair before, or None if there never was a good one). ``sealed`` holds every other key of ``data``
    sealed for ``secret/<namespace>/<name>/<key>``.
    """

    namespace: str
    name: str
    type: str = ""
    tls: TLSMaterial | None = None
    sealed: dict[str, bytes] = {}
    problem: str = ""


class ConfigMap(Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="configmap"):
    """A ConfigMap that something refers to (the controller's own, or one that an annotation names)."""

    namespace: str
    name: str
    data: dict[str, str] = {}


class KindState(Struct, frozen=True, omit_defaults=True, gc=False):
    """How far one source has got with one kind; ``error`` is empty when the last list or watch went well."""

    kind: Kind
    synced: bool = False
    error: str = ""


class Source(Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="source"):
    """The watcher's word on a source (``kubernetes`` or ``folder``): which kinds have been listed completely."""

    name: str
    kinds: tuple[KindState, ...] = ()

    @property
    def synced(self) -> bool:
        """Whether every kind has been listed once."""
        listed = {state.kind for state in self.kinds if state.synced}
        return listed.issuperset(OBJECT_KINDS)


Object = Ingress | IngressClass | Service | EndpointSlice | Secret | ConfigMap | Source


def key_of(value: Object) -> ObjectKey:
    """The identity under which ``value`` stands on the bus."""
    match value:
        case Ingress(namespace=namespace, name=name):
            return ObjectKey("ingress", namespace, name)
        case Service(namespace=namespace, name=name):
            return ObjectKey("service", namespace, name)
        case EndpointSlice(namespace=namespace, name=name):
            return ObjectKey("endpointslice", namespace, name)
        case Secret(namespace=namespace, name=name):
            return ObjectKey("secret", namespace, name)
        case ConfigMap(namespace=namespace, name=name):
            return ObjectKey("configmap", namespace, name)
        case IngressClass(name=name):
            return ObjectKey("ingressclass", "", name)
        case Source(name=name):
            return ObjectKey("source", "", name)


class ObjectEnvelope(Struct, frozen=True, array_like=True):
    """What is published for one object.

    ``session`` names one run of a watcher and ``sequence`` counts its messages from 1 without gaps, so that a
    listener of the live subject notices a loss. ``observed_at``: Unix seconds (for measuring, never for ordering).
    ``object`` is the MessagePack of the trimmed object, or empty bytes: the object is gone. ``relisted``: the removal
    was inferred from a list, not told by a watch event (only such removals are ever held, see the compiler).
    """

    instance: str
    key: ObjectKey
    session: str
    sequence: int
    observed_at: float
    resource_version: str
    trace: str
    object: bytes
    relisted: bool = False


class KindCount(Struct, frozen=True, array_like=True, gc=False):
    """A kind's part of a beacon: complete lists made in this session, and objects published now."""

    kind: Kind
    lists: int
    count: int


class WatcherBeacon(Struct, frozen=True, array_like=True):
    """Sent by the active watcher every few seconds and after each list; not stored.

    ``sequence`` is the last one published in ``session``; ``digest`` the order-free digest (``proto.digest``) over all
    objects that the watcher believes to be on the bus: a compiler whose own differs reads the stream again.
    """

    instance: str
    session: str
    sequence: int
    digest: bytes
    kinds: tuple[KindCount, ...] = ()
