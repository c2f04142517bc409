"""The folder source: tells the sink what the manifests in some folders say, within about a millisecond of a change.

Owns file system and inotify. A change of a file is read alone; a slow scan of everything finds what events missed.
Removals that a scan inferred, and those that leave no manifest at all, are marked as such: a volume that is not mounted
looks the same.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final, NamedTuple

from proto.objects import OBJECT_KINDS, Kind
from services.watcher.observed import Change, Sink
from services.watcher.sources.folder.events import Events
from services.watcher.sources.folder.files import MAX_FILE, Folder
from services.watcher.sources.folder.tree import Stat, scan

RESCAN: Final = 30.0
SECOND_LOOK: Final = 8.0
QUICK_RESCAN: Final = 0.5
"""Seconds between scans while a folder is missing, or where the system offers no events."""
YOUNG: Final = 1.0
"""A scan leaves alone, for so many seconds, a known file that was just written: its writer may not be done."""
GRACE: Final = 0.1
"""Seconds that a file must be away before that is believed: editors and tools replace a file by removing it first, and
what it declared must not be gone in between."""


class _Away(NamedTuple):
    """Since when a file is away; ``inferred``: a scan lacked it, no event told."""

    since: float
    inferred: bool


class FolderSource:
    """``roots``: folders (or single files) with manifests. They need not exist yet."""

    def __init__(self, roots: tuple[Path, ...], sink: Sink) -> None:
        self._roots = tuple(root.absolute() for root in roots)
        self._sink = sink
        self._folder = Folder()
        self._stats: dict[str, Stat] = {}
        self._away: dict[str, _Away] = {}
        self._scanned = False
        self._next_list = 0.0
        self._next_scan = 0.0

    def look_again(self, kinds: frozenset[Kind]) -> None:
        """List once more soon: much seems to be gone."""
        del kinds  # a scan lists all of them
        self._next_list = min(self._next_list, time.monotonic() + SECOND_LOOK)

    async def run(self) -> None:
        """Follow the folders for ever."""
        with Events(self._roots) as events:
            while True:
                scan_due = min(self._next_list, self._next_scan)
                due = min([scan_due, *(away.since + GRACE for away in self._away.values())])
                touched = await events.next(max(0.0, due - time.monotonic()))
                if touched.structure or time.monotonic() >= scan_due:
                    await self._scan(events)
                else:
                    self._read(touched.files)

    def _read(self, files: frozenset[str]) -> None:
        """Take in the files that an event named."""
        observed_at, now, inferred = time.time(), time.monotonic(), False
        for file in sorted(files):
            try:
                stat = Stat.of(file)
            except OSError:
                self._forget_if_gone(file, now)
            else:
                self._take(file, stat)
        for file in self._away.keys() - files:
            if Path(file).exists():
                del self._away[file]  # it is being written anew: the end of that is an event of its own
            else:
                inferred |= self._forget_if_gone(file, now)
        if self._report(observed_at, relisted=inferred or not self._folder.files):
            self._listed()
        for kind in OBJECT_KINDS:
            self._sink.heard(kind)

    async def _scan(self, events: Events) -> None:
        """Look at everything. Counts as a list when one is due, and when it lacks something: a second look is the next
        one that is due."""
        missing = [root for root in self._roots if not root.exists()]
        if missing and not self._scanned:
            self._trouble(f"{missing[0]} does not exist: waiting for it")
            self._next_scan = time.monotonic() + QUICK_RESCAN
            return
        events.watch()
        observed_at = time.time()
        found = await asyncio.to_thread(scan, self._roots)
        now = time.monotonic()  # one for all, so that what went together is told together
        for file in self._folder.files - found.keys():
            self._forget_if_gone(file, now, inferred=True)
        young = False
        for file, stat in found.items():
            known = self._stats.get(file)
            if known is not None and known != stat and abs(observed_at - stat.mtime) < YOUNG:
                young = True
            elif known != stat:
                self._take(file, stat)
                await asyncio.sleep(0)
        lacking = self._report(observed_at, relisted=True)
        self._scanned = True
        quick = bool(missing) or not events.working
        now = time.monotonic()
        self._next_scan = now + (YOUNG if young else QUICK_RESCAN if quick else RESCAN)
        self._trouble(f"{missing[0]} is gone" if missing else "")
        due = now >= self._next_list
        if due:
            self._next_list = now + RESCAN
        if due or lacking:
            self._listed()
            if missing:
                self._trouble(f"{missing[0]} is gone")

    def _listed(self) -> None:
        for kind in OBJECT_KINDS:
            self._sink.listed(kind)

    def _take(self, file: str, stat: Stat) -> None:
        if stat.size > MAX_FILE:  # not even read: it may be larger than the memory
            self._away.pop(file, None)
            self._stats[file] = stat
            self._folder.refuse(file, stat.size)
            return
        try:
            data = Path(file).read_bytes()
        except FileNotFoundError:
            self._forget_if_gone(file, time.monotonic())
        except OSError as error:
            self._folder.fail(file, error.strerror or str(error))
        else:
            self._away.pop(file, None)
            self._stats[file] = stat
            self._folder.put(file, data)

    def _forget_if_gone(self, file: str, now: float, *, inferred: bool = False) -> bool:
        """Forget ``file`` if it has been away for long enough; else it is asked for again when that time is over. True
        if it is forgotten although no event told that it went."""
        away = self._away.setdefault(file, _Away(now, inferred))
        if now - away.since < GRACE:
            return False
        del self._away[file]
        self._stats.pop(file, None)
        self._folder.drop(file)
        return away.inferred

    def _report(self, observed_at: float, *, relisted: bool) -> bool:
        """Tell what changed; whether objects are gone because ``relisted`` lacks them."""
        changed, findings = self._folder.changes(self._away)
        if changed:
            self._sink.changed(
                [Change(key, value, observed_at, relisted=relisted and value is None) for key, value in changed]
            )
        for file, diagnostics in findings.items():
            self._sink.diagnosed(file, diagnostics)
        return relisted and any(value is None for _, value in changed)

    def _trouble(self, error: str) -> None:
        for kind in OBJECT_KINDS:
            self._sink.trouble(kind, error)
