"""Holding back mass removals: a list that suddenly lacks most objects is more often a fault than a wish.

Pure. Only removals that were inferred from a list are ever kept aside, never those that a watch told, and never
anything else that happens to the same hosts. A removal kept aside is simply not shown to the compile, so the rest of
the world goes on changing, endpoints of the routes in question included. What was kept aside passes

- at once, while it costs at most ``FEW`` routes in all since the watcher's last beacon;
- when the beacon that closes the list has come, if at most half of the routes go;
- when a second list agrees: the same watcher lists those kinds again, or another run of a watcher lists them, and the
  objects are still not there;
- when somebody approves it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from proto.objects import Kind, ObjectKey, WatcherBeacon
from proto.reports import HeldRemoval
from services.compiler.feed import ObjectChange

FEW: Final = 10
"""So many routes may always go."""
NAMED: Final = 100
"""So many of the objects kept aside are named in the status."""

Preview = Callable[[Collection[ObjectKey]], tuple[int, int]]
"""How many routes there are, and how many there would be without these objects."""


def is_mass_removal(routes_now: int, routes_after: int) -> bool:
    """More than half of the routes, and more than ten."""
    lost = routes_now - routes_after
    return lost > FEW and lost * 2 > routes_now


class SecondLook:
    """Whether the watcher has listed again since a removal was kept aside: the same run lists the kinds in question
    once more, or another run of a watcher lists them."""

    def __init__(self) -> None:
        self._baseline: tuple[str, dict[Kind, int]] | None = None
        self.confirmed = False

    @property
    def begun(self) -> bool:
        """Whether the list that the removal came from is over."""
        return self._baseline is not None

    def beacon(self, beacon: WatcherBeacon, kinds: Collection[Kind]) -> None:
        """A beacon that was sent after the removal: the first is the one to compare with."""
        lists = {kind.kind: kind.lists for kind in beacon.kinds}
        if self._baseline is None:
            self._baseline = (beacon.session, lists)
            return
        session, before = self._baseline
        least = before if session == beacon.session else {}
        self.confirmed = self.confirmed or all(lists.get(kind, 0) > least.get(kind, 0) for kind in kinds)


class Hold:
    """Relisted removals that have not passed yet. ``status`` is what people see while a mass removal is held."""

    def __init__(self) -> None:
        self.status: HeldRemoval | None = None
        self._aside: dict[ObjectKey, ObjectChange] = {}
        self._passed = 0
        self._too_many = False
        self._second_look = SecondLook()

    def __len__(self) -> int:
        return len(self._aside)

    def keeps(self, change: ObjectChange) -> bool:
        """Whether ``change`` is kept aside. Any other news of an object replaces its removal."""
        if change.value is not None or not change.relisted:
            if self._aside.pop(change.key, None) is not None and not self._aside:
                self.approve()  # everything came back: nothing is held any more
            return False
        self._aside[change.key] = change
        self._second_look = SecondLook()
        return True

    def beacon(self, beacon: WatcherBeacon) -> None:
        """A beacon, everything before which has arrived."""
        self._passed = 0
        if self._second_look.begun or all(_covers(beacon, change) for change in self._aside.values()):
            self._second_look.beacon(beacon, {key.kind for key in self._aside})

    def release(self, preview: Preview, now: float) -> list[ObjectChange]:
        """What passes now. ``now``: Unix seconds, shown to people as the begin of a hold."""
        if not self._aside or (self._too_many and not self._second_look.begun):
            return []  # more of the list may be coming; its beacon closes it
        if self._second_look.confirmed:
            return self.approve()
        routes_now, routes_after = preview(self._aside.keys())
        lost = routes_now - routes_after
        if self._passed + lost <= FEW or (self._second_look.begun and not is_mass_removal(routes_now, routes_after)):
            self._passed += lost
            return self.approve()
        self._too_many = True
        if is_mass_removal(routes_now, routes_after):
            since = self.status.since if self.status else now
            named = tuple(str(key) for key in sorted(self._aside)[:NAMED])
            self.status = HeldRemoval(since=since, routes_now=routes_now, routes_after=routes_after, objects=named)
        return []

    def approve(self) -> list[ObjectChange]:
        """Everything kept aside, to be let pass."""
        released = list(self._aside.values())
        self._aside = {}
        self._too_many = False
        self._second_look = SecondLook()
        self.status = None
        return released


def _covers(beacon: WatcherBeacon, change: ObjectChange) -> bool:
    """Whether ``beacon`` was sent after ``change``. Another run's beacon was: the removal came before that run."""
    return beacon.session != change.session or beacon.sequence >= change.sequence
