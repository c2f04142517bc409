"""Holding back mass removals: a list that suddenly lacks most objects is more often a fault than a wish.

Pure. Only removals that were inferred from a list are ever kept aside, never those that a watch told, and never
anything else that happens to the same hosts. A removal kept aside is simply not shown to the compile, so the rest of
the world goes on changing, endpoints of the routes in question included. What was kept aside passes

- with the next beacon, which follows a list at once, while it costs at most ``FEW`` routes in all since the watcher
  last counted a list;
- when the list is over (a beacon counts it), if at most half of the routes go;
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
LOOK_EVERY: Final = 1.0
NAMED: Final = 100
"""So many of the objects kept aside are named in the status."""

Preview = Callable[[Collection[ObjectKey]], tuple[int, int]]
"""How many routes there are, and how many there would be without these objects."""


def is_mass_removal(routes_now: int, routes_after: int) -> bool:
    """More than half of the routes, and more than ten."""
    lost = routes_now - routes_after
    return lost > FEW and lost * 2 > routes_now


class SecondLook:
    """Whether the list that lacked the objects is over, and whether another one has agreed since.

    ``session``: the run of the watcher that inferred the removal. ``heard``: the last beacon before that. Its lists are
    those made before: the list that lacked the objects is one more, although its removals are heard (page by page)
    before it is counted; a second look is the one after it, or any list of another run. Without such a beacon the
    first one afterwards says where to count from.
    """

    def __init__(self, session: str, heard: WatcherBeacon | None) -> None:
        self._session = session
        self._heard = heard
        self._over: dict[Kind, int] | None = None
        self._agreed: dict[Kind, int] = {}
        self.over = False
        self.confirmed = False

    def beacon(self, beacon: WatcherBeacon, kinds: Collection[Kind]) -> None:
        """A beacon that was sent after the removal, which concerns ``kinds``."""
        lists = _lists_of(beacon)
        if self._over is None:
            self._count_from(lists, kinds)
        if beacon.session != self._session:
            self.over = self.confirmed = self.confirmed or _reached(lists, {}, kinds)
            return
        self.over = self.over or _reached(lists, self._over or {}, kinds)
        self.confirmed = self.confirmed or _reached(lists, self._agreed, kinds)

    def _count_from(self, lists: dict[Kind, int], kinds: Collection[Kind]) -> None:
        if self._heard is None:  # this process has only begun to listen: the list may be counted already, or not yet
            self._over = {kind: lists.get(kind, 0) for kind in kinds}
            self._agreed = {kind: number + 2 for kind, number in self._over.items()}
            return
        before = _lists_of(self._heard) if self._heard.session == self._session else {}
        self._over = {kind: before.get(kind, 0) + 1 for kind in kinds}
        self._agreed = {kind: number + 1 for kind, number in self._over.items()}


def _reached(lists: dict[Kind, int], least: dict[Kind, int], kinds: Collection[Kind]) -> bool:
    return all(lists.get(kind, 0) >= least.get(kind, 1) for kind in kinds)


def _lists_of(beacon: WatcherBeacon) -> dict[Kind, int]:
    """The complete lists that this run of the watcher has made of each kind."""
    return {kind.kind: kind.lists for kind in beacon.kinds}


def _count(beacon: WatcherBeacon) -> tuple[str, dict[Kind, int]]:
    return beacon.session, _lists_of(beacon)


class Hold:
    """Relisted removals that have not passed yet. ``status`` is what people see while a mass removal is held."""

    def __init__(self) -> None:
        self.status: HeldRemoval | None = None
        self._aside: dict[ObjectKey, ObjectChange] = {}
        self._passed = 0
        self._too_many = False
        self._looked_at = 0.0
        self._closed = False
        self._last: WatcherBeacon | None = None
        self._second_look = SecondLook("", None)

    def __len__(self) -> int:
        return len(self._aside)

    def keeps(self, change: ObjectChange) -> bool:
        """Whether ``change`` is kept aside. Any other news of an object replaces its removal."""
        if change.value is not None or not change.relisted:
            if self._aside.pop(change.key, None) is not None and not self._aside:
                self.approve()  # everything came back: nothing is held any more
            return False
        self._aside[change.key] = change
        self._closed = False
        self._second_look = SecondLook(change.session, self._last)
        return True

    def beacon(self, beacon: WatcherBeacon) -> None:
        """A beacon, everything before which has arrived."""
        if self._last is None or _count(self._last) != _count(beacon):
            self._passed = 0
        self._last = beacon
        if not self._aside:
            return
        if all(_covers(beacon, change) for change in self._aside.values()):
            self._closed = True
            self._second_look.beacon(beacon, {key.kind for key in self._aside})

    def release(self, preview: Preview, now: float) -> list[ObjectChange]:
        """What passes now. ``now``: Unix seconds, shown to people as the begin of a hold; while a list may still be
        going on, it is judged again at most every ``LOOK_EVERY`` seconds (judging costs, and lists are long)."""
        over = self._second_look.over
        if not self._aside or (self._too_many and not over and abs(now - self._looked_at) < LOOK_EVERY):
            return []
        if self._second_look.confirmed:
            return self.approve()
        routes_now, routes_after = preview(self._aside.keys())
        lost = routes_now - routes_after
        if lost <= FEW and not self._closed:
            return []  # what is a few so far may be the beginning of many
        if self._passed + lost <= FEW or (over and not is_mass_removal(routes_now, routes_after)):
            self._passed += lost
            return self.approve()
        if is_mass_removal(routes_now, routes_after) and (over or self._too_many):
            since = self.status.since if self.status else now
            named = tuple(str(key) for key in sorted(self._aside)[:NAMED])
            self.status = HeldRemoval(since=since, routes_now=routes_now, routes_after=routes_after, objects=named)
        self._too_many, self._looked_at = True, now
        return []

    def approve(self) -> list[ObjectChange]:
        """Everything kept aside, to be let pass."""
        released = list(self._aside.values())
        self._aside = {}
        self._too_many = False
        self._second_look = SecondLook("", None)
        self.status = None
        return released


def _covers(beacon: WatcherBeacon, change: ObjectChange) -> bool:
    """Whether ``beacon`` was sent after ``change``. Another run's beacon was: the removal came before that run."""
    return beacon.session != change.session or beacon.sequence >= change.sequence
