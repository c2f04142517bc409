"""The published table: what the log says the resources are, and how it differs from what was compiled.

Pure. Owns applying deltas with the digest check. Must not know the bus, nor how resources are compiled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from proto.digest import EMPTY, combine, entry_hash
from proto.resources import ResourceKey, ResourceRecord


class TableError(ValueError):
    """A delta that does not lead from this table to the digest it names."""


class Change(Struct, frozen=True):
    """What leads from one table to another: put ``upserts`` in, take ``removals`` out."""

    upserts: tuple[ResourceRecord, ...] = ()
    removals: tuple[ResourceKey, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.upserts or self.removals)

    def touched(self) -> set[ResourceKey]:
        """Every resource that the change touches."""
        return {*(record.key for record in self.upserts), *self.removals}


class Table:
    """Resources by identity, with their digest. ``records`` is for reading only."""

    def __init__(self, records: Iterable[ResourceRecord] = ()) -> None:
        self.records: dict[ResourceKey, bytes] = {}
        self.digest = EMPTY
        self.apply(Change(tuple(records)))

    def __len__(self) -> int:
        return len(self.records)

    def after(self, change: Change) -> bytes:
        """The digest that the table would have after ``change``."""
        added = removed = 0
        for key in change.touched():
            old = self.records.get(key)
            if old is not None:
                removed += entry_hash(key.kind, key.name, old)
        for record in change.upserts:
            added += entry_hash(record.kind, record.name, record.body)
        return combine(self.digest, added=added, removed=removed)

    def apply(self, change: Change, digest: bytes | None = None) -> None:
        """Carry ``change`` out. Raises TableError, having done nothing, when it does not lead to ``digest``."""
        reached = self.after(change)
        if digest is not None and digest != reached:
            raise TableError(f"change leads to digest {reached.hex()[:16]}, not {digest.hex()[:16]}")
        for key in change.removals:
            self.records.pop(key, None)
        for record in change.upserts:
            self.records[record.key] = record.body
        self.digest = reached

    def records_after(self, change: Change) -> list[ResourceRecord]:
        """Every resource as it would be after ``change``."""
        records = dict(self.records)
        for key in change.removals:
            records.pop(key, None)
        records.update((record.key, record.body) for record in change.upserts)
        return [ResourceRecord(key.kind, key.name, body) for key, body in records.items()]

    def all_records(self) -> list[ResourceRecord]:
        """Every resource, as a base packs them."""
        return [ResourceRecord(key.kind, key.name, body) for key, body in self.records.items()]

    def change_towards(self, wanted: Mapping[ResourceKey, bytes], keys: Iterable[ResourceKey]) -> Change:
        """What makes ``keys`` here as they are in ``wanted``, in the order of names: equal inputs give equal bytes."""
        upserts, removals = [], []
        for key in sorted(keys):
            want = wanted.get(key)
            have = self.records.get(key)
            if want == have:
                continue
            if want is None:
                removals.append(key)
            else:
                upserts.append(ResourceRecord(key.kind, key.name, want))
        return Change(tuple(upserts), tuple(removals))
