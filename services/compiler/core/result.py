"""What one compile gives out."""

from __future__ import annotations

from msgspec import Struct

from proto.diagnostics import Diagnostic
from proto.objects import Ingress, ObjectKey
from proto.resources import ResourceKey, ResourceRecord


class Orphan(Struct, frozen=True, order=True, gc=False):
    """An Ingress one of whose backends cannot serve. ``lacks``: ``no-service`` or ``no-endpoint``."""

    namespace: str
    name: str
    lacks: str


class Rejected(Struct, frozen=True):
    """An Ingress that is not taken over as written. ``keeps_last_good``: its last accepted version is served on."""

    ingress: Ingress
    keeps_last_good: bool


class Compiled(Struct, frozen=True):
    """What differs from the compile before; all in a stable order.

    ``diagnostics``: for every object whose findings differ, all that hold now (none: they are gone). ``accepted``: new
    versions of Ingresses that are good, to be stored and given back by ``Compiler.set_accepted`` after a restart;
    ``forgotten``: (namespace, name) of those whose stored version is void. ``rejected``: Ingresses looked at in this
    compile that are not taken over. ``served`` and ``gone``: ``namespace/name`` of Ingresses that are served from now
    on, and no longer. ``counts``: hosts, routes, upstreams, endpoints, certificates, ingresses.
    """

    upserts: tuple[ResourceRecord, ...] = ()
    removals: tuple[ResourceKey, ...] = ()
    diagnostics: tuple[tuple[ObjectKey, tuple[Diagnostic, ...]], ...] = ()
    accepted: tuple[Ingress, ...] = ()
    forgotten: tuple[tuple[str, str], ...] = ()
    rejected: tuple[Rejected, ...] = ()
    served: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    counts: dict[str, int] = {}
