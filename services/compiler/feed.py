"""The objects as the bus holds them: which version of each is known, what is missing, and whether the watcher agrees.

Pure. Owns the order of messages: a watcher's run (session) counts its messages without gaps, so a gap says "read the
stream again"; per object, a message of the same session that is not newer is a duplicate or a replay. Must not know
what objects mean, nor how they were read.

The bus is a cache. An object that is missing from the stream is gone only when the watcher's beacon says that its own
set is exactly ours without it: a stream that was emptied or rolled back removes nothing.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable
from typing import Literal

from msgspec import Struct

from proto.digest import EMPTY, combine, entry_hash
from proto.objects import Kind, Object, ObjectKey, WatcherBeacon
from services.compiler.admission import Admitted

MAX_TOMBSTONES = 20_000
"""How many removals are remembered, to tell a late or replayed message of a removed object from a new one."""
MAX_SESSIONS = 64


class Known(Struct, frozen=True, gc=False):
    """The version of an object that was seen last; ``hash`` is its part of the digest. ``told``: it is gone, and a
    watch said so."""

    session: str
    sequence: int
    hash: int
    told: bool = False


class ObjectChange(Struct, frozen=True):
    """An object came, changed or went (``value`` None). ``relisted``: a removal that was inferred, not told.
    ``session`` and ``sequence`` place it in the watcher's order."""

    key: ObjectKey
    value: Object | None
    session: str
    sequence: int
    observed_at: float = 0.0
    resource_version: str = ""
    trace: str = ""
    relisted: bool = False


Agreement = Literal["agrees", "behind", "ahead", "differs"]


def hash_of(key: ObjectKey, body: bytes) -> int:
    """An object's part of the digest that a beacon carries."""
    return entry_hash(key.kind, f"{key.namespace}/{key.name}", body)


class Feed:
    """Everything known of the objects on the bus. ``gap``: messages were lost and the stream must be read again.
    ``counts``: objects by kind."""

    def __init__(self) -> None:
        self.digest = EMPTY
        self.gap = False
        self.session = ""
        self.sequence = 0
        self.counts: Counter[str] = Counter()
        self.absent: set[ObjectKey] = set()
        self._newest_read = ("", 0)
        self._live: dict[ObjectKey, Known] = {}
        self._gone: OrderedDict[ObjectKey, Known] = OrderedDict()
        self._highest: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, key: ObjectKey) -> bool:
        return key in self._live

    def told_gone(self, key: ObjectKey) -> bool:
        """Whether a watch told that the object was removed (not: a list lacked it, or nobody knows)."""
        gone = self._gone.get(key)
        return gone is not None and gone.told

    def lost_by_list(self, kind: Kind) -> bool:
        """Whether an object of ``kind`` is gone because a list lacked it."""
        return any(key.kind == kind and not gone.told for key, gone in self._gone.items())

    def listen(self, admitted: Admitted) -> ObjectChange | None:
        """Fold in a message of the live subject. None: nothing new."""
        envelope = admitted.envelope
        highest = self._highest.get(envelope.session)
        if envelope.session != self.session:
            if highest is not None and envelope.sequence <= highest:
                return None
            # The first message of a run leaves nothing before it unread.
            self.gap |= bool(self.session) and envelope.sequence != 1
            self.session = envelope.session
            self.sequence = envelope.sequence
        elif envelope.sequence > self.sequence:
            self.gap |= envelope.sequence != self.sequence + 1
            self.sequence = envelope.sequence
        self._note(self.session, self.sequence)
        return self._put(admitted)

    def read(self, admitted: Admitted) -> ObjectChange | None:
        """Fold in a message that the stream held, oldest first. Never goes back: an older version of an object is
        passed over."""
        envelope = admitted.envelope
        self._newest_read = (envelope.session, envelope.sequence)
        known = self._live.get(envelope.key) or self._gone.get(envelope.key)
        if known is not None and known.session != envelope.session and known.session == self.session:
            highest = self._highest.get(envelope.session)
            if highest is not None and envelope.sequence <= highest:
                return None  # an earlier run's message, in a stream that was rolled back or written to by a replay
        return self._put(admitted)

    def finish_read(self, held: Collection[ObjectKey]) -> None:
        """The stream was read whole and held these keys. What is known here and missing there becomes ``absent``."""
        self.gap = False
        if not self.session:
            self.session, self.sequence = self._newest_read
        self.absent = {key for key in self._live if key not in held}
        for key in [key for key in self._gone if key not in held]:
            del self._gone[key]  # the stream has dropped the tombstone too

    def settle(self, beacon: WatcherBeacon) -> list[ObjectChange]:
        """The removals of what is ``absent``, if the watcher's set is exactly ours without it; else nothing."""
        if not self.absent or combine(self.digest, removed=self._sum(self.absent)) != beacon.digest:
            return []
        changes = [
            ObjectChange(key, None, beacon.session, beacon.sequence, relisted=True) for key in sorted(self.absent)
        ]
        self.digest = beacon.digest
        for key in self.absent:
            del self._live[key]
            self.counts[key.kind] -= 1
        self.absent = set()
        return changes

    def agreement(self, beacon: WatcherBeacon) -> Agreement:
        """``agrees``: the watcher has published exactly what is known here. ``behind``: it has published more than has
        arrived; ``ahead``: the beacon is older than what arrived; ``differs``: in step, but not the same."""
        if beacon.digest == self.digest:
            return "agrees"
        if beacon.session != self.session:
            highest = self._highest.get(beacon.session)
            return "ahead" if highest is not None and beacon.sequence <= highest else "behind"
        if beacon.sequence == self.sequence:
            return "differs"
        return "behind" if beacon.sequence > self.sequence else "ahead"

    def adopt(self, beacon: WatcherBeacon) -> None:
        """Take over the watcher's place in its own count, after a read or when the digests agree."""
        if beacon.session == self.session:
            self.sequence = max(self.sequence, beacon.sequence)
        else:
            self.session, self.sequence = beacon.session, beacon.sequence
        self._note(self.session, self.sequence)

    def _sum(self, keys: Iterable[ObjectKey]) -> int:
        return sum(self._live[key].hash for key in keys)

    def _put(self, admitted: Admitted) -> ObjectChange | None:
        envelope = admitted.envelope
        key = envelope.key
        self.absent.discard(key)
        live = self._live.get(key)
        known = live or self._gone.get(key)
        if known is not None and known.session == envelope.session and envelope.sequence <= known.sequence:
            return None
        if not envelope.object:
            return self._remove(admitted, live)
        hashed = hash_of(key, envelope.object)
        self._live[key] = Known(envelope.session, envelope.sequence, hashed)
        self._gone.pop(key, None)
        if live is not None and live.hash == hashed:
            return None
        self.counts[key.kind] += live is None
        self.digest = combine(self.digest, added=hashed, removed=live.hash if live is not None else 0)
        if admitted.unreadable:
            return None  # counted in the digest, for the watcher has it; what was understood last stays
        return _change(admitted)

    def _remove(self, admitted: Admitted, live: Known | None) -> ObjectChange | None:
        envelope = admitted.envelope
        self._gone[envelope.key] = Known(envelope.session, envelope.sequence, 0, told=not envelope.relisted)
        self._gone.move_to_end(envelope.key)
        if len(self._gone) > MAX_TOMBSTONES:
            self._gone.popitem(last=False)
        if live is None:
            return None
        del self._live[envelope.key]
        self.counts[envelope.key.kind] -= 1
        self.digest = combine(self.digest, removed=live.hash)
        return _change(admitted)

    def _note(self, session: str, sequence: int) -> None:
        self._highest[session] = max(sequence, self._highest.get(session, 0))
        self._highest.move_to_end(session)
        if len(self._highest) > MAX_SESSIONS:
            self._highest.popitem(last=False)


def _change(admitted: Admitted) -> ObjectChange:
    envelope = admitted.envelope
    return ObjectChange(
        envelope.key,
        admitted.value,
        envelope.session,
        envelope.sequence,
        envelope.observed_at,
        envelope.resource_version,
        envelope.trace,
        envelope.relisted,
    )
