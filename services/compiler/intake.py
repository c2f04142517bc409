"""From messages to a dirty compile: the pure half of the loop.

Owns the feed, the hold and what is known of the sources; shows every change that may pass to the compile. Remembers
what led here, for the next version's cause. Must not know the bus.
"""

from __future__ import annotations

import logging

from msgspec import Struct

from proto.objects import ObjectKey, Source, WatcherBeacon
from proto.snapshots import Cause
from services.compiler import metrics
from services.compiler.admission import Admitted
from services.compiler.core.compiler import Compiler
from services.compiler.feed import Feed, ObjectChange
from services.compiler.hold import Hold
from services.compiler.starthold import StartHold

_log = logging.getLogger(__name__)

MAX_NAMED = 16
"""So many objects are named in a cause."""


class Pending(Struct):
    """Changes folded in since the last version. ``received``: monotonic seconds of the first, 0 if there is none."""

    objects: list[ObjectKey] = []
    count: int = 0
    received: float = 0.0
    observed_at: float = 0.0
    resource_version: str = ""
    trace: str = ""

    def add(self, change: ObjectChange, received: float) -> None:
        """Count ``change``; the first one gives version, time and trace."""
        if self.count == 0:
            self.received, self.observed_at = received, change.observed_at
            self.resource_version, self.trace = change.resource_version, change.trace
        elif 0 < change.observed_at < self.observed_at:
            self.observed_at = change.observed_at
        if len(self.objects) < MAX_NAMED and change.key not in self.objects:
            self.objects.append(change.key)
        self.count += 1

    def cause(self, reason: str) -> Cause:
        """The cause of a version that carries these changes."""
        return Cause(
            reason, tuple(self.objects), self.resource_version, self.observed_at, self.trace, changes=self.count
        )


class Intake:
    """See the module. ``beacon`` is the watcher's last word on how far it is. ``confirmed``: since the stream was last
    read a beacon has counted exactly the objects known here. ``versions``: resourceVersions of the Ingresses, for
    events."""

    def __init__(self, compiler: Compiler) -> None:
        self.compiler = compiler
        self.feed = Feed()
        self.hold = Hold()
        self.start_hold = StartHold()
        self.versions: dict[ObjectKey, str] = {}
        self.sources: dict[str, Source] = {}
        self.beacon: WatcherBeacon | None = None
        self.confirmed = False
        self.pending = Pending()
        self.dirty = False
        self._unshown: WatcherBeacon | None = None
        self.reason = "start"

    @property
    def synced(self) -> bool:
        """Whether a source has listed every kind, and no source has yet to: nothing is compiled before."""
        return bool(self.sources) and all(source.synced for source in self.sources.values())

    def live(self, admitted: Admitted, received: float) -> None:
        """An object message of the live subject."""
        change = self.feed.listen(admitted)
        if change is not None:
            self._offer(change, received)
        self._show_beacon()

    def begin_read(self) -> None:
        """The stream is about to be read whole: whether it holds the watcher's word is open again."""
        self.confirmed = False

    def read(self, admitted: Admitted, received: float) -> None:
        """An object message that the stream held."""
        change = self.feed.read(admitted)
        if change is not None:
            self._offer(change, received)

    def finish_read(self, held: set[ObjectKey], received: float) -> None:
        """The stream was read whole and held these keys."""
        self.feed.finish_read(held)
        if self.beacon is not None:
            if self.feed.agreement(self.beacon) == "behind":
                self.feed.adopt(self.beacon)  # what it had published before the read is in what was read
            self._settle(self.beacon, received)

    def take_beacon(self, beacon: WatcherBeacon, received: float) -> None:
        """The watcher says how far it is."""
        self.beacon = self._unshown = beacon
        self._settle(beacon, received)

    def release(self, now: float, received: float) -> None:
        """Show the compile what need not be held back (any longer). ``now``: Unix seconds."""
        if self.hold:
            self._pass(self.hold.release(self.compiler.preview_removals, now), received)

    def approve(self, received: float) -> None:
        """Let everything pass that is held."""
        self._pass(self.hold.approve(), received)
        self.start_hold.approve()
        self.reason = "approve"

    def carried(self) -> Cause:
        """The cause of what is to be published now."""
        return self.pending.cause(self.reason)

    def published(self) -> None:
        """What was pending is in the log, or made no difference."""
        self.pending = Pending(objects=[])
        self.reason = "change"

    def _settle(self, beacon: WatcherBeacon, received: float) -> None:
        if self.feed.agreement(beacon) == "agrees":
            self.feed.adopt(beacon)
        for change in self.feed.settle(beacon):
            self._offer(change, received)
        self.confirmed |= self.feed.agreement(beacon) == "agrees"
        self._show_beacon()

    def _show_beacon(self) -> None:
        """Once everything that was published before the beacon has arrived, it counts for the hold, once."""
        beacon = self._unshown
        agreement = "behind" if beacon is None else self.feed.agreement(beacon)
        if beacon is not None and agreement != "behind":
            self._unshown = None
            self.confirmed |= agreement == "agrees"
            self.hold.beacon(beacon)
            self.start_hold.beacon(beacon)

    def _offer(self, change: ObjectChange, received: float) -> None:
        if isinstance(change.value, Source):
            self.sources[change.key.name] = change.value
        elif change.key.kind == "source":
            self.sources.pop(change.key.name, None)
        elif not self.hold.keeps(change):
            self._pass([change], received)

    def _pass(self, changes: list[ObjectChange], received: float) -> None:
        for change in changes:
            try:
                self.dirty |= self.compiler.change(change.key, change.value)
            except Exception:  # one object must not stop the others
                _log.exception("%s cannot be taken in; what it was before stays", change.key)
                metrics.COMPILE_FAILURES.inc()
                continue
            if change.key.kind == "ingress":
                self._note_version(change)
            self.pending.add(change, received)

    def _note_version(self, change: ObjectChange) -> None:
        if change.value is None:
            self.versions.pop(change.key, None)
        else:
            self.versions[change.key] = change.resource_version
