"""The records of a snapshot, and their digest kept up to date in time proportional to a change.

Pure. Owns the table; must not know where records come from, nor how they are served.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Final

from msgspec import Struct

from proto.digest import EMPTY, combine, entry_hash
from proto.resources import ResourceKey, ResourceKind, ResourceRecord
from proto.snapshots import Delta

_NOTHING: Final[dict[str, bytes]] = {}


class Change(Struct, frozen=True):
    """What makes another table of a table, with the digest that comes out. Every removal is of a record that exists."""

    upserts: tuple[ResourceRecord, ...]
    removals: tuple[ResourceKey, ...]
    digest: bytes


class ResourceTable:
    """All records of the snapshot that is served."""

    def __init__(self) -> None:
        self._kinds: dict[ResourceKind, dict[str, bytes]] = {}
        self.digest: bytes = EMPTY
        self.changes = 0
        """How often the table changed: a Staging tells by it whether what it compared with still stands."""

    def __len__(self) -> int:
        return sum(map(len, self._kinds.values()))

    def count(self, kind: ResourceKind) -> int:
        """How many records of a kind there are."""
        return len(self._kinds.get(kind, ()))

    def body(self, kind: ResourceKind, name: str) -> bytes | None:
        """The MessagePack of a resource, None if there is no such resource."""
        return self._kinds.get(kind, _NOTHING).get(name)

    def bodies(self, kind: ResourceKind) -> Mapping[str, bytes]:
        """All resources of a kind: name to MessagePack. A view, good until the next change."""
        return self._kinds.get(kind, _NOTHING)

    def records(self) -> list[ResourceRecord]:
        """All records, in no particular order; a copy."""
        return [ResourceRecord(kind, name, body) for kind, names in self._kinds.items() for name, body in names.items()]

    def change_of(self, deltas: Sequence[Delta]) -> Change:
        """What ``deltas``, one after the other, make of this table (which stays as it is)."""
        last: dict[ResourceKey, ResourceRecord | None] = {}
        for delta in deltas:
            for key in delta.removals:
                last[key] = None
            for record in delta.upserts:
                last[record.key] = record
        upserts = tuple(record for record in last.values() if record is not None)
        removals = tuple(
            key for key, record in last.items() if record is None and self.body(key.kind, key.name) is not None
        )
        return Change(upserts, removals, self._digest_after(upserts, removals))

    def missing_from(self, names: Mapping[ResourceKind, Set[str]]) -> Iterator[ResourceKey]:
        """The keys of this table that ``names`` (by kind) does not hold."""
        for kind, records in self._kinds.items():
            for name in records.keys() - names.get(kind, set()):
                yield ResourceKey(kind, name)

    def apply(self, change: Change) -> None:
        """Carry out a change that was computed from this very table."""
        for key in change.removals:
            del self._kinds[key.kind][key.name]
        for record in change.upserts:
            self._kinds.setdefault(record.kind, {})[record.name] = record.body
        self.digest = change.digest
        self.changes += 1

    def _digest_after(self, upserts: Iterable[ResourceRecord], removals: Iterable[ResourceKey]) -> bytes:
        added = removed = 0
        for record in upserts:
            added += entry_hash(record.kind, record.name, record.body)
            old = self.body(record.kind, record.name)
            if old is not None:
                removed += entry_hash(record.kind, record.name, old)
        for key in removals:
            removed += entry_hash(key.kind, key.name, self._kinds[key.kind][key.name])
        return combine(self.digest, added=added, removed=removed)


class Staging:
    """A whole new table, taken in slice by slice beside the one that is served, and the change that leads to it."""

    def __init__(self, table: ResourceTable) -> None:
        self._table = table
        self._changes = table.changes
        self._added = 0
        self._upserts: list[ResourceRecord] = []
        self._names: dict[ResourceKind, set[str]] = {}

    def add(self, records: Iterable[ResourceRecord]) -> None:
        """Take in a slice of the new table."""
        present = self._table.body
        for record in records:
            self._added += entry_hash(record.kind, record.name, record.body)
            self._names.setdefault(record.kind, set()).add(record.name)
            if present(record.kind, record.name) != record.body:
                self._upserts.append(record)

    @property
    def current(self) -> bool:
        """Whether the table is still the one that the slices were compared with."""
        return self._table.changes == self._changes

    def change(self) -> Change:
        """What makes the new table of the old one, once every slice is in."""
        digest = combine(EMPTY, added=self._added)
        return Change(tuple(self._upserts), tuple(self._table.missing_from(self._names)), digest)
