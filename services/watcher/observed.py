"""What a source says: the one interface between the sources and the rest of the watcher.

A source calls a ``Sink``; it knows nothing of the bus. Values are trimmed objects, except Secrets, which stay raw
until something refers to them (``secrets`` validates and seals them then).
"""

from __future__ import annotations

from typing import Literal, Protocol

from msgspec import Struct

from proto.diagnostics import Diagnostic
from proto.objects import ConfigMap, EndpointSlice, Ingress, IngressClass, Kind, ObjectKey, Service
from services.contract.ingress_manifest import LoadBalancerPoint

SourceName = Literal["kubernetes", "folder"]


class RawSecret(Struct, frozen=True):
    """A Secret as the source holds it: never leaves the process in this form."""

    namespace: str
    name: str
    type: str
    data: dict[str, bytes]

    def __repr__(self) -> str:
        return f"RawSecret({self.namespace}/{self.name}, {len(self.data)} keys)"


Value = Ingress | IngressClass | Service | EndpointSlice | ConfigMap | RawSecret


class Change(Struct, frozen=True):
    """One object as a source sees it now; ``value`` None: it is gone.

    ``observed_at``: Unix seconds, when the source learnt of it. ``relisted``: the removal was inferred from a list.
    ``published``: ``status.loadBalancer.ingress`` of an Ingress or Service, for the write-back; None where unknown.
    """

    key: ObjectKey
    value: Value | None
    observed_at: float
    resource_version: str = ""
    uid: str = ""
    relisted: bool = False
    published: tuple[LoadBalancerPoint, ...] | None = None


class Sink(Protocol):
    """Where a source reports to. All calls are plain functions on the event loop; none blocks or raises."""

    def changed(self, changes: list[Change]) -> None:
        """Objects that came, changed or went, in order."""

    def listed(self, kind: Kind) -> None:
        """A complete list of ``kind`` has been taken in (its changes were reported before)."""

    def trouble(self, kind: Kind, error: str) -> None:
        """The last list or watch of ``kind`` failed with ``error``; empty: it goes well again."""

    def heard(self, kind: Kind) -> None:
        """The source said something about ``kind``, be it only that nothing changed."""

    def namespaces(self, names: frozenset[str]) -> None:
        """The namespaces that the selector admits now (only with a selector)."""

    def diagnosed(self, place: str, diagnostics: tuple[Diagnostic, ...]) -> None:
        """Everything that is wrong at ``place`` (a file, or an object) now; replaces what was said before."""
