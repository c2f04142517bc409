"""What ``limen demo`` tells about each change: route events and troubles in, lines out. Pure: the clock is given."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from proto.events import EdgeApplied, IngressRejected, SnapshotPublished
from services.cli.demo_troubles import AT_MOST, Changes

GIVE_UP_AFTER: Final = 3.0
"""Seconds after which a version that is not live everywhere is told as it is."""


class Told(Struct, frozen=True):
    """A line. ``good``: False for what somebody should look at, None for what asks nothing of anybody."""

    text: str
    good: bool | None = True


def told(changes: Changes) -> list[Told]:
    """The lines of troubles that came and went."""
    lines = [Told(f"no longer: {each.head}") for each in changes.gone[:AT_MOST]]
    for each in changes.new[:AT_MOST]:
        good = None if each.mild else False
        lines += [Told(each.head, good), Told(f"  {each.detail}", good)]
    more = len(changes.gone[AT_MOST:]) + len(changes.new[AT_MOST:])
    return [*lines, Told(f"and {more} more changes: see `limen status`", None)] if more else lines


class _Version(Struct):
    published: SnapshotPublished
    since: float
    applied: dict[tuple[str, int], float] = {}


class Timeline:
    """Puts together which objects led to a version and when how many of ``edges`` edges serve it."""

    def __init__(self, edges: int) -> None:
        self._edges = edges
        self._open: dict[tuple[int, int], _Version] = {}
        self._serving: dict[tuple[str, int], tuple[int, int, float]] = {}

    def add(self, data: Struct, now: float) -> list[Told]:
        """Take an event; the lines that are complete now. Events of several processes may come in any order."""
        if isinstance(data, IngressRejected):
            kept = "its last good version is served on" if data.keeps_last_good else "it is not served"
            return [Told(f"ingress {data.namespace}/{data.name} is rejected: {kept}", good=False)]
        if isinstance(data, SnapshotPublished):
            version = _Version(data, now)
            for worker, (epoch, number, seconds) in self._serving.items():
                if (epoch, number) >= (data.epoch, data.to_version):
                    version.applied[worker] = seconds
            self._open[data.epoch, data.to_version] = version
        elif isinstance(data, EdgeApplied):
            worker = (data.edge, data.worker)
            self._serving[worker] = (data.epoch, data.version, data.live_seconds)
            for key, version in self._open.items():
                if key <= (data.epoch, data.version):
                    version.applied.setdefault(worker, data.live_seconds)
        return self._complete(now)

    def tick(self, now: float) -> list[Told]:
        """The lines of versions that took too long."""
        return self._complete(now)

    def _complete(self, now: float) -> list[Told]:
        lines = []
        for key, version in sorted(self._open.items()):
            edges = len({edge for edge, _ in version.applied})
            if edges >= self._edges or now - version.since > GIVE_UP_AFTER:
                lines.append(self._line(version, edges))
                del self._open[key]
        return lines

    def _line(self, version: _Version, edges: int) -> Told:
        published = version.published
        named = list(published.objects[:2])
        more = len(published.objects) - len(named)
        seen = ", ".join(named) + (f" and {more} more" if more > 0 else "") if named else published.cause
        slowest = max(version.applied.values(), default=0.0)
        took = f" in {slowest * 1000:.1f} ms" if slowest > 0 else ""
        text = f"{seen} → snapshot {published.epoch}.{published.to_version} → live on {edges}/{self._edges} edges{took}"
        return Told(text, good=edges >= self._edges)
