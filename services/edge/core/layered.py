"""Records by name that many generations share: a large part that stays, and a small one with what changed since.

A change costs time proportional to what changed lately, not to the size of the table: with ten thousand hosts, copying
a dict took longer than all else that an edge does to put a change in force. Immutable from outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MERGE_AT: Final = 512
"""So many changed names make a new large part. Copying that much is cheap, and merging so seldom is cheaper still."""


class Layered:
    """Names to bodies. ``changed`` gives another one; both stay valid."""

    __slots__ = ("_count", "_recent", "_settled")

    def __init__(self, settled: dict[str, bytes]) -> None:
        self._settled = settled
        self._recent: dict[str, bytes | None] = {}
        self._count = len(settled)

    def get(self, name: str) -> bytes | None:
        """The body of that name, None if there is none."""
        recent = self._recent
        if name in recent:
            return recent[name]
        return self._settled.get(name)

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __len__(self) -> int:
        return self._count

    def changed(self, changes: Mapping[str, bytes | None]) -> Layered:
        """These records with ``changes`` (None: removed)."""
        after = Layered(self._settled)
        before_and_now = ((name in self, body is not None) for name, body in changes.items())
        after._count = self._count + sum(now - before for before, now in before_and_now)
        after._recent = {**self._recent, **changes}
        if len(after._recent) > MERGE_AT:
            merged = {**self._settled, **after._recent}
            after._settled = {name: body for name, body in merged.items() if body is not None}
            after._recent = {}
        return after
