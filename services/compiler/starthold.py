"""The hold for a compiler that has just started: what is to be removed is known from the log alone.

Pure. A compiler that starts has never seen the objects that a list lost while it was away, so it cannot keep them
aside. It compares the owners of the routes in the published table with what it compiled: if routes of Ingresses that
nobody told to be removed would go, and they are a mass removal, their hosts stay as they are published, with all
that they may refer to; everything else goes on. The same things let it pass as in ``hold``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from proto.codec import DecodeError, decode_resource
from proto.objects import Kind, ObjectKey, WatcherBeacon
from proto.reports import HeldRemoval
from proto.resources import ResourceKey, ResourceRecord, RouteGroup, VirtualHost
from services.compiler.events import host_of
from services.compiler.feed import Feed
from services.compiler.hold import NAMED, SecondLook, is_mass_removal
from services.compiler.table import Change

_KINDS: Final[frozenset[Kind]] = frozenset({"ingress", "ingressclass"})
"""Lists whose faults make routes vanish."""
OF_HOSTS: Final = ("virtualhost", "routegroup")


class StartHold:
    """See the module. Decides once, when the first table is compared with the log, and then lets go step by step."""

    def __init__(self) -> None:
        self.status: HeldRemoval | None = None
        self._decided = False
        self._owners: dict[ResourceKey, frozenset[str]] = {}
        self._held: frozenset[str] = frozenset()
        self._second_look: SecondLook | None = None

    def filter(
        self, change: Change, published: Mapping[ResourceKey, bytes], wanted: Mapping[ResourceKey, bytes], feed: Feed,
        now: float,
    ) -> Change:  # fmt: skip
        """What of ``change`` may be published. ``now``: Unix seconds, shown to people as the begin of a hold."""
        if not self._decided:
            self._decided = True
            if any(key.kind in OF_HOSTS for key in change.touched()):
                self._decide(published, wanted, feed, now)
        if self.status is None:
            return change
        self._held = frozenset(owner for owner in self._held if _inferred(owner, feed))
        if not self._held or (self._second_look is not None and self._second_look.over):
            self.approve()
            return change
        hosts = {host_of(key) for key, owners in self._owners.items() if owners & self._held}
        return leaving(change, hosts)

    def beacon(self, beacon: WatcherBeacon) -> None:
        """A beacon, everything before which has arrived."""
        if self.status is not None:
            if self._second_look is None:  # whoever inferred the removal, what is listed from now on is a second look
                self._second_look = SecondLook(beacon.session, beacon)
            self._second_look.beacon(beacon, _KINDS)

    def approve(self) -> None:
        """Let everything pass."""
        self.status = None
        self._owners = {}
        self._held = frozenset()

    def _decide(
        self, published: Mapping[ResourceKey, bytes], wanted: Mapping[ResourceKey, bytes], feed: Feed, now: float
    ) -> None:
        owners, routes = owners_of(published)
        remaining = set().union(*owners_of(wanted)[0].values())
        vanished = {owner for owner in routes if owner not in remaining and _inferred(owner, feed)}
        routes_now = sum(routes.values())
        routes_after = routes_now - sum(routes[owner] for owner in vanished)
        if is_mass_removal(routes_now, routes_after):
            self._owners, self._held = owners, frozenset(vanished)
            named = tuple(f"ingress {owner}" for owner in sorted(vanished)[:NAMED])
            self.status = HeldRemoval(since=now, routes_now=routes_now, routes_after=routes_after, objects=named)


def _inferred(owner: str, feed: Feed) -> bool:
    """Whether the routes of an Ingress go although nobody told that it was removed."""
    namespace, _, name = owner.partition("/")
    key = ObjectKey("ingress", namespace, name)
    if key in feed:
        return feed.lost_by_list("ingressclass")
    return not feed.told_gone(key)


def leaving(change: Change, hosts: set[str]) -> Change:
    """``change`` without what concerns ``hosts``, nor the removal of anything that they may refer to."""
    return Change(
        tuple(record for record in change.upserts if not _of(record.key, hosts)),
        tuple(key for key in change.removals if key.kind in OF_HOSTS and not _of(key, hosts)),
    )


def _of(key: ResourceKey, hosts: set[str]) -> bool:
    return key.kind in OF_HOSTS and host_of(key) in hosts


def owners_of(records: Mapping[ResourceKey, bytes]) -> tuple[dict[ResourceKey, frozenset[str]], dict[str, int]]:
    """The Ingresses that own routes of each resource, and how many routes each Ingress owns."""
    owners: dict[ResourceKey, frozenset[str]] = {}
    routes: dict[str, int] = {}
    for key, body in records.items():
        if key.kind not in OF_HOSTS:
            continue
        try:
            resource = decode_resource(ResourceRecord(key.kind, key.name, body))
        except DecodeError:  # of another release, in the log: nobody is known to own it
            continue
        assert isinstance(resource, VirtualHost | RouteGroup)
        found = [route.ingress for route in resource.routes if route.ingress]
        owners[key] = frozenset(found)
        for owner in found:
            routes[owner] = routes.get(owner, 0) + 1
    return owners, routes
