"""The compiled table: every resource's bytes, and the digest over all of them, kept up to date.

Pure. Equal bytes are no change. Must not know what the log holds.
"""

from __future__ import annotations

from collections.abc import Iterable

from proto.digest import EMPTY, combine, entry_hash
from proto.resources import ResourceKey, ResourceRecord


class CompiledTable:
    """Resources by identity. ``records`` is for reading only."""

    def __init__(self) -> None:
        self.records: dict[ResourceKey, bytes] = {}
        self.digest = EMPTY
        self._before: dict[ResourceKey, bytes | None] = {}

    def put(self, record: ResourceRecord) -> None:
        """Put a resource in, or in the place of its former version."""
        key = record.key
        old = self.records.get(key)
        if old != record.body:
            self._before.setdefault(key, old)
            self.records[key] = record.body

    def remove(self, key: ResourceKey) -> None:
        """Take a resource out, if it is there."""
        old = self.records.pop(key, None)
        if old is not None:
            self._before.setdefault(key, old)

    def settle(self) -> tuple[tuple[ResourceRecord, ...], tuple[ResourceKey, ...]]:
        """What changed since the last time, in order of (kind, name): upserts and removals; the digest follows."""
        upserts: list[ResourceRecord] = []
        removals: list[ResourceKey] = []
        added = removed = 0
        for key in _ordered(self._before):
            old, new = self._before[key], self.records.get(key)
            if old == new:
                continue
            if old is not None:
                removed += entry_hash(key.kind, key.name, old)
            if new is None:
                removals.append(key)
            else:
                added += entry_hash(key.kind, key.name, new)
                upserts.append(ResourceRecord(key.kind, key.name, new))
        self._before = {}
        self.digest = combine(self.digest, added=added, removed=removed)
        return tuple(upserts), tuple(removals)


def _ordered(keys: Iterable[ResourceKey]) -> list[ResourceKey]:
    return sorted(keys, key=lambda key: (key.kind, key.name))
