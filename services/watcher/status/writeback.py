"""The write-back of an active watcher: what the compiler and the watcher found → status and Events. Wiring only."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

from proto.diagnostics import Diagnostic
from proto.reports import Findings
from proto.subjects import Subjects
from services.runtime.bus import Bus
from services.watcher.observed import Change
from services.watcher.status.events import EventWriter
from services.watcher.status.findings import Following
from services.watcher.status.ingresses import StatusWriter

ASK_EVERY: Final = 60.0
ASK_UNTIL_KNOWN: Final = 3.0
OWN_EVERY: Final = 2.0
LISTED_POLL: Final = 0.1
LISTED_WITHIN: Final = 10.0


class WriteBack:
    """``own``: the watcher's own diagnostics, asked every other second. ``listed``: whether the source has said what
    there is; an Event about an object that is not known yet could not be written."""

    def __init__(
        self,
        bus: Bus,
        subjects: Subjects,
        statuses: StatusWriter,
        events: EventWriter,
        own: Callable[[], tuple[Diagnostic, ...]],
        listed: Callable[[], bool],
    ) -> None:
        self.following = Following(bus, subjects, self._told)
        self.statuses = statuses
        self.events = events
        self._own = own
        self._listed = listed
        self._asked = asyncio.Event()

    def watched(self, change: Change) -> None:
        """The source saw an object."""
        self.statuses.watched(change)
        if change.key.kind != "endpointslice" or change.value is None:
            self.events.exists(change.key, change.uid if change.value is not None else "")

    def ask(self) -> None:
        """Ask the compiler for everything soon (the connection to the bus is new)."""
        self._asked.set()

    async def run(self) -> None:
        """Write back for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.statuses.run())
            group.create_task(self.events.run())
            group.create_task(self._keep_asking())
            group.create_task(self._keep_looking())

    def _told(self, findings: Findings) -> None:
        self.statuses.served(findings.served, findings.gone)
        self.events.say(findings.diagnostics)

    async def _keep_asking(self) -> None:
        for _ in range(round(LISTED_WITHIN / LISTED_POLL)):  # a kind that is forbidden must not end all write-back
            if self._listed():
                break
            await asyncio.sleep(LISTED_POLL)
        while True:
            self._asked.clear()
            known = await self.following.ask()
            pause = ASK_EVERY if known else ASK_UNTIL_KNOWN
            try:
                async with asyncio.timeout(pause * random.uniform(0.8, 1.0)):  # noqa: S311 - jitter
                    await self._asked.wait()
            except TimeoutError:
                continue

    async def _keep_looking(self) -> None:
        said: frozenset[Diagnostic] = frozenset()
        while True:
            found = frozenset(self._own())
            self.events.say(tuple(sorted(found - said)))
            said = found
            await asyncio.sleep(OWN_EVERY)
