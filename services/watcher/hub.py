"""The hub: takes in what a source says, keeps inventory and outbox in step, and knows how far each kind has got.

The one place where an object's way through the watcher can be read: ``changed`` is called by the source, asks the
inventory what that makes different on the bus, puts it into the outbox and lets the publisher send.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, TypeVar

from msgspec import Struct

from proto.codec import DecodeError, decode
from proto.diagnostics import Diagnostic
from proto.objects import OBJECT_KINDS, Kind, KindState, Object, ObjectKey, Secret, Source
from proto.reports import SourceStatus
from services.contract.diagnostics import finding
from services.watcher.inventory import NEEDS_REFERENCE, Inventory, Wanted
from services.watcher.observed import Change, SourceName
from services.watcher.outbox import MAX_OBJECT, Outbox

_log = logging.getLogger(__name__)

T = TypeVar("T", bound=Object)

REFERRING: Final[tuple[Kind, ...]] = ("ingress", "ingressclass", "configmap")
"""Kinds that decide which Secrets and ConfigMaps are referred to: before they are listed nobody knows which may go."""


FEW: Final = 10


class _KindProgress(Struct):
    synced: bool = False
    listed: bool = False
    lists: int = 0
    error: str = ""
    heard_at: float = 0.0


class Hub:
    """A ``Sink``.

    ``send``: the outbox may hold something new; ``announce``: a beacon is due; ``look_again``: the source shall list
    once more before what it no longer has is believed to be gone; ``watched`` is told of every change.
    """

    def __init__(
        self,
        source: SourceName,
        inventory: Inventory,
        outbox: Outbox,
        *,
        send: Callable[[], None],
        announce: Callable[[], None],
        look_again: Callable[[frozenset[Kind]], None],
        watched: Callable[[Change], None],
    ) -> None:
        self._source: SourceName = source
        self._inventory = inventory
        self._outbox = outbox
        self._send = send
        self._announce = announce
        self._look_again = look_again
        self._watched = watched
        self._kinds: dict[Kind, _KindProgress] = {kind: _KindProgress() for kind in OBJECT_KINDS}
        self._adopted = False
        self._places: dict[str, tuple[Diagnostic, ...]] = {}
        self._too_large: dict[ObjectKey, Diagnostic] = {}
        self.changes = 0

    # --- what the source says (Sink) ------------------------------------------------------------------------------

    def changed(self, changes: list[Change]) -> None:
        """See ``Sink``."""
        inferred: Counter[Kind] = Counter()
        for change in changes:
            self.changes += 1
            if change.relisted:
                inferred[change.key.kind] += 1
            self._take(self._inventory.apply(change))
            self._watched(change)
        self._send()
        self._doubt(inferred)

    def listed(self, kind: Kind) -> None:
        """See ``Sink``."""
        progress = self._kinds[kind]
        progress.listed = progress.synced = True
        progress.lists += 1
        progress.error = ""
        self.heard(kind)
        self._settle()
        self._announce()

    def trouble(self, kind: Kind, error: str) -> None:
        """See ``Sink``."""
        before = self._kinds[kind].error
        if before == error:
            return
        self._kinds[kind].error = ""
        others = {progress.error for progress in self._kinds.values()}  # a folder has the trouble of all kinds
        self._kinds[kind].error = error
        if error and error not in others:
            _log.warning("%s: %s", self._whose(kind), error)
        elif not error and before not in others:
            _log.info("%s: works again", self._whose(kind))
        self._settle()

    def _whose(self, kind: Kind) -> str:
        """What a line of the log is about: a folder is one thing, of a cluster each kind is asked for alone."""
        return self._source if self._source == "folder" else f"{self._source}: {kind}"

    def heard(self, kind: Kind) -> None:
        """See ``Sink``."""
        self._kinds[kind].heard_at = time.monotonic()

    def namespaces(self, names: frozenset[str]) -> None:
        """See ``Sink``."""
        self._take(self._inventory.select(names, time.time()))
        self._send()

    def diagnosed(self, place: str, diagnostics: tuple[Diagnostic, ...]) -> None:
        """See ``Sink``."""
        before = self._places.get(place, ())
        if any(map(_wrong, before)) and not any(map(_wrong, diagnostics)):
            _log.info("%s: nothing is wrong any more", place)
        for found in diagnostics:
            if found not in before:
                level = logging.INFO if found.severity == "notice" else logging.WARNING
                _log.log(level, "%s: %s", found.field, found.message)
        if diagnostics:
            self._places[place] = diagnostics
        else:
            self._places.pop(place, None)

    # --- what the bus says ----------------------------------------------------------------------------------------

    def adopted(self) -> None:
        """The outbox has read the stream: learn from it what only the bus remembers."""
        self._adopted = True
        self._take(self._inventory.recover(self._stored("secret", Secret)))
        for source in self._stored("source", Source):
            for state in source.kinds if source.name == self._source else ():
                progress = self._kinds[state.kind]
                progress.synced |= state.synced
                if not progress.listed and not progress.error:
                    progress.error = state.error
        self._settle()

    def refused(self, key: ObjectKey) -> None:
        """The server does not take this object: its limit of a message is lower than usual."""
        self._too_large[key] = _oversized(key, "this NATS server's limit of a message")
        self.diagnosed(f"size of {key}", (self._too_large[key],))

    @property
    def complete(self) -> bool:
        """Whether every kind has been listed, now or by the watcher that filled the bus."""
        return self._adopted and all(progress.synced for progress in self._kinds.values())

    @property
    def listed_all(self) -> bool:
        """Whether this process has listed every kind."""
        return all(progress.listed for progress in self._kinds.values())

    def beacon(self) -> bytes:
        """The message that says how far this watcher has got."""
        return self._outbox.beacon(lambda kind: self._kinds[kind].lists)

    # --- for people -----------------------------------------------------------------------------------------------

    def sources(self) -> tuple[SourceStatus, ...]:
        """How each kind stands."""
        now, counts = time.monotonic(), self._inventory.counts()
        return tuple(
            SourceStatus(
                kind=kind,
                synced=progress.synced,
                objects=counts[kind],
                age=round(now - progress.heard_at, 3) if progress.heard_at else 0.0,
                error=progress.error,
            )
            for kind, progress in self._kinds.items()
        )

    def lists(self) -> dict[Kind, int]:
        """Complete lists made of each kind."""
        return {kind: progress.lists for kind, progress in self._kinds.items()}

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Everything that is wrong now."""
        found = [each for place in self._places.values() for each in place]
        return tuple(sorted({*found, *map(_secret_problem, self._inventory.problems())}))

    # --- inside ---------------------------------------------------------------------------------------------------

    def _take(self, wanted: list[Wanted]) -> None:
        for item in wanted:
            if self._outbox.want(item.key, item.value, item.observed_at, item.resource_version, item.relisted):
                if item.key in self._too_large:
                    del self._too_large[item.key]
                    self.diagnosed(f"size of {item.key}", ())
            else:
                self._too_large[item.key] = _oversized(item.key, f"{MAX_OBJECT} bytes")
                self.diagnosed(f"size of {item.key}", (self._too_large[item.key],))

    def _settle(self) -> None:
        """After a list, an error or a look at the bus: remove what no source has any more, and say how far we are."""
        if not self._adopted:
            return
        kinds = frozenset(kind for kind in OBJECT_KINDS if self._known_completely(kind))
        retired = Counter(key.kind for key in self._outbox.retire(kinds, time.time()))
        if len(kinds) == len(OBJECT_KINDS):
            for source in self._stored("source", Source):
                if source.name != self._source:
                    self._outbox.want(ObjectKey("source", "", source.name), None, time.time(), relisted=True)
        states = tuple(KindState(kind, progress.synced, progress.error) for kind, progress in self._kinds.items())
        own = Source(self._source, states)
        self._outbox.want(ObjectKey("source", "", self._source), own, time.time())
        self._send()
        self._doubt(retired)

    def _doubt(self, inferred: Counter[Kind]) -> None:
        """Removals that a list implies are looked at a second time where they may cost many routes."""
        if not inferred:
            return  # counting tens of thousands of objects is not for every change
        counts = self._inventory.counts()
        kinds = {
            kind
            for kind, gone in inferred.items()
            if kind in ("ingress", "ingressclass") or (gone > FEW and gone > counts[kind])
        }
        if kinds:
            gone = ", ".join(f"{count} {kind}" for kind, count in sorted(inferred.items()))
            _log.warning("%s: gone from the list: %s; looking again soon", self._source, gone)
            self._look_again(frozenset(kinds))
            self._announce()

    def _known_completely(self, kind: Kind) -> bool:
        needed = (kind, *REFERRING) if kind in NEEDS_REFERENCE else (kind,)
        return all(self._kinds[each].listed for each in needed)

    def _stored(self, kind: Kind, type_: type[T]) -> list[T]:
        found = []
        for data in self._outbox.on_bus(kind):
            try:
                found.append(decode(data, type_, kind))
            except DecodeError as error:
                _log.warning("an object on the bus is not understood: %s", error)
        return found


def _wrong(found: Diagnostic) -> bool:
    return found.severity != "notice"


def _oversized(key: ObjectKey, limit: str) -> Diagnostic:
    message = f"{key} is larger than {limit} after trimming: it is not taken over, its last version (if any) stays"
    return finding(key, "object-too-large", str(key), "", message, "make it smaller, for example by splitting it")


def _secret_problem(secret: Secret) -> Diagnostic:
    kept = "its last good pair is served on" if secret.tls is not None else "it gives no certificate"
    key = ObjectKey("secret", secret.namespace, secret.name)
    return finding(key, "secret-invalid", "data", "", f"{key}: {secret.problem}; {kept}", "correct the Secret")
