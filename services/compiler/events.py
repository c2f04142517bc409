"""Route events: what a new version means, told route by route.

Pure: two tables' worth of changed resources in, typed events out. Bounded: of a mass change the first ``MAX_EVENTS``
are told and the rest is counted in the event of the snapshot, whose delta anyone can read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from msgspec import Struct

from proto.codec import DecodeError, decode_resource
from proto.events import (
    CertificateChanged,
    EventData,
    RouteAdded,
    RouteChanged,
    RouteRemoved,
    RouteUpdated,
    SnapshotPublished,
    UpstreamChanged,
)
from proto.resources import (
    Certificate,
    Endpoint,
    Forward,
    Resource,
    ResourceKey,
    ResourceRecord,
    Route,
    RouteGroup,
    Upstream,
    VirtualHost,
)
from proto.snapshots import Position
from services.compiler.signed import Entry

MAX_EVENTS: Final = 1000
"""So many events of routes, upstreams and certificates are told of one version."""


class Changed(Struct, frozen=True):
    """One resource before and after; None: it was not there."""

    key: ResourceKey
    before: bytes | None
    after: bytes | None


class Published(Struct, frozen=True):
    """A version that was stored, and the resources in which it differs from what was served before it."""

    entry: Entry
    before: Position
    changed: tuple[Changed, ...]
    counts: dict[str, int] = {}

    @property
    def trace(self) -> str:
        """The trace of the change that led here."""
        return self.entry.delta.cause.trace


def events_of(published: Published) -> Iterator[EventData]:
    """The snapshot's event first, then one for each thing that changed, at most ``MAX_EVENTS``.

    The snapshot's ``counts`` say how many resources of each kind changed, how many of them are told, and what the
    table holds.
    """
    told, left = published.changed[:MAX_EVENTS], published.changed[MAX_EVENTS:]
    counts = Counter(f"{changed.key.kind}s_changed" for changed in published.changed)
    if left:
        counts["resources_not_told"] = len(left)
    yield _snapshot(published, dict(published.counts) | dict(counts))
    yield from islice(_changes(published.entry.position, told), MAX_EVENTS)


def _snapshot(published: Published, counts: dict[str, int]) -> SnapshotPublished:
    delta = published.entry.delta
    cause = delta.cause
    same_epoch = published.before.epoch == delta.epoch
    return SnapshotPublished(
        epoch=delta.epoch,
        from_version=published.before.version if same_epoch else 0,
        to_version=delta.version,
        digest=delta.digest.hex(),
        cause=cause.reason,
        objects=tuple(str(key) for key in cause.objects),
        resource_version=cause.resource_version,
        observed_at=cause.observed_at,
        trace=cause.trace,
        upserts=sum(changed.after is not None for changed in published.changed),
        removals=sum(changed.after is None for changed in published.changed),
        counts=counts,
    )


def _changes(position: Position, changed: Iterable[Changed]) -> Iterator[EventData]:
    before: dict[str, dict[_Match, Route]] = {}
    after: dict[str, dict[_Match, Route]] = {}
    others: list[EventData] = []
    for change in changed:
        old, new = _decoded(change.key, change.before), _decoded(change.key, change.after)
        match change.key.kind:
            case "virtualhost" | "routegroup":
                host = host_of(change.key)
                before.setdefault(host, {}).update(_routes(old))
                after.setdefault(host, {}).update(_routes(new))
            case "upstream":
                others += _upstream(position, change.key.name, old, new)
            case "certificate":
                others += _certificate(position, change.key.name, new)
    for host in before:
        yield from _routes_changed(position, host, before[host], after[host])
    yield from others


_Match = tuple[str, str]


def host_of(key: ResourceKey) -> str:
    """The host that a VirtualHost or a RouteGroup (named ``<host>#<group>``) belongs to."""
    return key.name.partition("#")[0]


def _decoded(key: ResourceKey, body: bytes | None) -> Resource | None:
    if body is None:
        return None
    try:
        return decode_resource(ResourceRecord(key.kind, key.name, body))
    except DecodeError:  # another compiler's, of a newer version: nothing can be told of it
        return None


def _routes(resource: Resource | None) -> dict[_Match, Route]:
    if not isinstance(resource, VirtualHost | RouteGroup):
        return {}
    found: dict[_Match, Route] = {}
    for route in resource.routes:
        found.setdefault((route.match.kind, route.match.value), route)
    return found


def _routes_changed(
    position: Position, host: str, before: dict[_Match, Route], after: dict[_Match, Route]
) -> Iterator[EventData]:
    for match, route in before.items():
        if match not in after:
            yield _route(RouteRemoved, position, host, route)
    for match, route in after.items():
        old = before.get(match)
        if old is None:
            yield _route(RouteAdded, position, host, route)
        elif old != route:
            yield _route(RouteUpdated, position, host, route)


def _route(
    type_: type[RouteAdded] | type[RouteUpdated] | type[RouteRemoved], position: Position, host: str, route: Route
) -> EventData:
    upstream = route.action.upstream if isinstance(route.action, Forward) else ""
    event: RouteChanged = type_(
        host=host,
        path=route.path,
        match=route.match.kind,
        ingress=route.ingress,
        upstream=upstream,
        version=position.version,
        epoch=position.epoch,
    )
    return event  # type: ignore[return-value]


def _upstream(position: Position, name: str, old: Resource | None, new: Resource | None) -> list[EventData]:
    before = set(old.endpoints) if isinstance(old, Upstream) else set()
    after = set(new.endpoints) if isinstance(new, Upstream) else set()
    if before == after:
        return []
    return [
        UpstreamChanged(
            upstream=name,
            added=tuple(address(endpoint) for endpoint in sorted(after - before)),
            removed=tuple(address(endpoint) for endpoint in sorted(before - after)),
            total=len(after),
            version=position.version,
            epoch=position.epoch,
        )
    ]


def _certificate(position: Position, name: str, new: Resource | None) -> list[EventData]:
    if not isinstance(new, Certificate):
        return []
    return [
        CertificateChanged(
            certificate=name,
            names=new.names,
            not_after=new.not_after,
            fingerprint=new.fingerprint,
            version=position.version,
            epoch=position.epoch,
        )
    ]


def address(endpoint: Endpoint) -> str:
    """``address:port``, IPv6 in brackets."""
    return f"[{endpoint.address}]:{endpoint.port}" if ":" in endpoint.address else f"{endpoint.address}:{endpoint.port}"
