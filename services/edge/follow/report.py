"""What a worker tells the others: its report in the edges' bucket, and the events edge.joined, edge.applied, edge.left.

Owns their pace: the first word after a pause when the change has had its way, under churn at most one every 50 ms, and
a heartbeat. Must not know how the values come about.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from proto.events import EdgeApplied, EdgeJoined, EdgeLeft
from proto.reports import EdgeReport, to_json
from proto.subjects import Subjects
from services.edge.follow.follower import Follower
from services.edge.follow.generations import Applied, Generations
from services.edge.follow.table import Change
from services.runtime.announce import EventPublisher
from services.runtime.bus import Bus, BusError

_log = logging.getLogger(__name__)

HEARTBEAT: Final = 10.0
"""Seconds between two reports when nothing happens; the bucket forgets a report after 30."""
AT_MOST_EVERY: Final = 0.05
AFTER_A_CHANGE: Final = 0.02
"""Seconds by which the word comes after what it tells of: other edges on this machine, and the requests that wait, go
first (three edges on two cores serve a change a millisecond earlier)."""


class Reporter:
    """See the module. ``edge`` and ``worker`` name this process."""

    def __init__(
        self,
        bus: Bus,
        subjects: Subjects,
        events: EventPublisher,
        generations: Generations,
        follower: Follower,
        *,
        edge: str,
        worker: int,
    ) -> None:
        self._bus = bus
        self._subject = subjects.edge_report(f"{edge}-{worker}")
        self._events = events
        self._generations = generations
        self._follower = follower
        self._edge = edge
        self._worker = worker
        self._started_at = time.time()
        self._wake = asyncio.Event()
        self._draining = False
        self._left = False
        self._trouble = ""
        self._announced: Applied | None = None
        generations.on_applied(self._applied)
        follower.on_error_changed(self._wake.set)
        follower.on_older(self._wake.set)  # a compiler that lost the log learns from reports what was in it
        bus.on_connected(self._on_connected)

    def report(self) -> EdgeReport:
        """This worker as of now."""
        generations, follower = self._generations, self._follower
        applied = generations.applied
        base = EdgeReport(
            edge=self._edge,
            worker=self._worker,
            started_at=self._started_at,
            draining=self._draining,
            stale=follower.stale,
            error=follower.error or self._trouble,
        )
        if applied is None:
            return base
        return EdgeReport(
            edge=self._edge,
            worker=self._worker,
            epoch=applied.position.epoch,
            version=applied.position.version,
            digest=applied.proof.digest.hex(),
            applied_at=applied.applied_at,
            swap_seconds=applied.swap_seconds,
            live_seconds=_live_seconds(applied),
            started_at=self._started_at,
            ready=not self._draining,
            draining=self._draining,
            stale=follower.stale,
            error=follower.error or self._trouble,
            proof=applied.proof,
        )

    def trouble(self, error: str) -> None:
        """Something does not work, though the worker serves; empty: it does again."""
        self._trouble = error
        self._wake.set()

    def joined(self) -> None:
        """This worker began to serve."""
        self._events.publish(EdgeJoined(edge=self._edge, worker=self._worker))

    def drain(self) -> None:
        """This worker is about to leave; say so at once."""
        self._draining = True
        self._wake.set()

    async def left(self, reason: str) -> None:
        """This worker answers nobody any more: an empty message takes the place of its report."""
        self._left = True
        self._events.publish(EdgeLeft(edge=self._edge, worker=self._worker, reason=reason))
        await self._put(b"")

    async def run(self) -> None:
        """Report for ever."""
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT):
                    await self._wake.wait()
            except TimeoutError:
                pass
            else:
                await asyncio.sleep(0 if self._draining else AFTER_A_CHANGE)
            self._wake.clear()
            await self._send()
            self._announce()
            await asyncio.sleep(AT_MOST_EVERY)

    def _applied(self, _applied: Applied, _change: Change) -> None:
        self._wake.set()

    async def _on_connected(self) -> None:
        self._wake.set()

    async def _send(self) -> None:
        if not self._left:
            await self._put(to_json(self.report()))

    async def _put(self, data: bytes) -> None:
        if not self._bus.connected:
            return  # the report that follows the next connection says all that matters
        try:
            await self._bus.publish(self._subject, data)
        except BusError as error:
            _log.debug("report is not sent: %s", error)

    def _announce(self) -> None:
        """An event for the newest version; those that were passed over within one pause get none."""
        applied = self._generations.applied
        if applied is None or applied is self._announced or not self._bus.connected:
            return
        self._announced = applied
        event = EdgeApplied(
            edge=self._edge,
            worker=self._worker,
            epoch=applied.position.epoch,
            version=applied.position.version,
            swap_seconds=applied.swap_seconds,
            live_seconds=_live_seconds(applied),
        )
        self._events.publish(event, trace=applied.cause.trace if applied.cause else "")


def _live_seconds(applied: Applied) -> float:
    if applied.cause is None or not applied.cause.observed_at:
        return 0.0
    return max(0.0, applied.applied_at - applied.cause.observed_at)
