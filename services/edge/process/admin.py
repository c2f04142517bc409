"""The process that answers for an edge as a whole: its admin endpoint, and status requests on the bus.

Owns what is known of each worker's place: the state it last told, and what it and its predecessors counted. It
handles no traffic, so that neither a slow scrape nor a fault in here costs a request anything.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Sequence
from typing import Final

from proto.reports import EdgeReport, RoleStatus
from proto.subjects import Subjects
from services.edge.options import EdgeOptions
from services.edge.process import machine
from services.edge.process.channel import Channel, Parcel, Question, WorkerCounters, WorkerState
from services.edge.process.exposing import PREFIX
from services.edge.process.families import OWN, families_of
from services.edge.process.machine import resident_bytes
from services.edge.process.metrics import Counters, Totals
from services.edge.process.registered import registered_families, registered_names
from services.runtime import admin, lifecycle, logs
from services.runtime.bus import Bus
from services.runtime.metrics import controller_labels, render
from services.runtime.status import answer_status
from services.runtime.version import software

_log = logging.getLogger(__name__)

ANSWER_WITHIN: Final = 0.5
"""Seconds that a scrape waits for workers; of one that does not answer, the last known counters are shown."""
SILENT_AFTER: Final = 5.0
"""Seconds without a word after which a worker no longer counts as ready (it says something every second)."""


class Place:
    """What is known of one worker's place, over all processes that held it."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.state: WorkerState | None = None
        self.heard_at = float("-inf")
        self.counters = Counters()
        self.counted_by = 0
        self.answered = 0
        self.processes = 0
        self.ended: list[Counters] = []

    def told(self, state: WorkerState) -> None:
        """A worker says how it stands."""
        if self.state is None or self.state.process != state.process:
            self.processes += 1
        self.state, self.heard_at = state, time.monotonic()

    def counted(self, message: WorkerCounters) -> None:
        """A worker says what it counted; what its predecessor counted last is kept."""
        if self.counted_by not in (0, message.process):
            self.ended.append(self.counters)
        self.counters, self.counted_by = message.counters, message.process
        self.answered = max(self.answered, message.answer)

    @property
    def ready(self) -> bool:
        """Whether requests are answered at this place."""
        state = self.state
        return state is not None and state.ready and time.monotonic() - self.heard_at < SILENT_AFTER


class AdminProcess:
    """See the module. ``ends``: the admin's end of each worker's channel, by place."""

    def __init__(self, options: EdgeOptions, ends: Sequence[socket.socket]) -> None:
        self._options = options
        self._ends = ends
        self._places = [Place(index) for index in range(len(ends))]
        self._channels: list[Channel] = []
        self._started_at = time.time()
        self._question = 0
        self._answered = asyncio.Event()

    def run(self) -> int:
        """Run until told to stop."""
        self._software = software()
        self._registered = registered_names()
        self._families = families_of(self._options.metrics, registered_families())
        logs.setup(f"edge {self._options.name} admin", self._options.log_json)
        return lifecycle.run(self._main)

    async def _main(self, life: lifecycle.Lifecycle) -> None:
        for place, end in zip(self._places, self._ends, strict=True):
            self._channels.append(Channel(end, self._receiver(place)))
        bus = Bus(self._options.bus)
        await bus.start()
        await answer_status(bus, Subjects(self._options.instance), self._status)
        server = None
        if self._options.admin is not None:
            server = await admin.serve(
                self._options.admin, ready=self._ready, status=self._status, metrics=self._metrics
            )
        await life.stopping.wait()
        if server is not None:
            await server.close()
        await bus.close()

    def _receiver(self, place: Place) -> Callable[[Parcel], None]:
        def received(message: Parcel) -> None:
            match message:
                case WorkerState():
                    place.told(message)
                case WorkerCounters():
                    place.counted(message)
                    self._answered.set()
                case Question():
                    pass

        return received

    def _ready(self) -> bool:
        """A worker that starts again leaves the edge ready: its connections wait for it."""
        return any(place.ready for place in self._places)

    # --- status -----------------------------------------------------------------------------------------------

    def _status(self) -> RoleStatus:
        states = [place.state for place in self._places if place.state is not None]
        reports = tuple(state.report for state in states)
        behind = min((report for report in reports if report.version), key=_progress, default=None)
        counts: dict[str, int] = {}
        for state in states:
            for name, value in state.counts.items():
                counts[name] = max(counts.get(name, 0), value) if name in _ALIKE else counts.get(name, 0) + value
        counts["workers"] = len(self._places)
        counts["workers_ready"] = sum(place.ready for place in self._places)
        return RoleStatus(
            role="edge",
            name=self._options.name,
            software=self._software,
            started_at=self._started_at,
            ready=self._ready(),
            epoch=behind.epoch if behind else 0,
            version=behind.version if behind else 0,
            digest=behind.digest if behind else "",
            age=max(0.0, time.time() - behind.applied_at) if behind else 0.0,
            counts=counts,
            last_error=next((state.last_error for state in states if state.last_error), ""),
            connected=bool(states) and all(state.connected for state in states),
            edges=reports,
        )

    # --- metrics ----------------------------------------------------------------------------------------------

    async def _metrics(self) -> bytes:
        await self._ask_workers()
        totals = Totals(self._families, constant=controller_labels(self._options.name), constant_for=PREFIX)
        for place in self._places:
            if len(place.ended) > 1:
                place.ended = [self._sum_of(place.ended)]
            for counters in place.ended:
                totals.add(counters, ended=True)
            totals.add(place.counters)
        self._add_own(totals)
        return totals.render() + render(leave_out=self._registered)

    def _sum_of(self, counters: Sequence[Counters]) -> Counters:
        totals = Totals(self._families)
        for one in counters:
            totals.add(one, ended=True)
        return totals.counters()

    async def _ask_workers(self) -> None:
        self._question += 1
        asked = [
            place
            for place, channel in zip(self._places, self._channels, strict=True)
            if channel.send(Question(self._question))
        ]
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                while any(place.answered < self._question for place in asked):
                    self._answered.clear()
                    await self._answered.wait()
        except TimeoutError:
            _log.debug("a worker did not say its counters in time")

    def _add_own(self, totals: Totals) -> None:
        ready = sum(place.ready for place in self._places)
        totals.set(OWN + "ready", float(self._ready()))
        totals.set(OWN + "workers", ready, ("ready",))
        totals.set(OWN + "workers", len(self._places) - ready, ("not ready",))
        totals.set(OWN + "worker_restarts_total", sum(max(0, place.processes - 1) for place in self._places))
        totals.set(PREFIX + "build_info", 1.0, (self._software, "", ""))
        processes = [place.state.process for place in self._places if place.state is not None]
        for name, value in machine.totals(processes):
            totals.set(f"{PREFIX}nginx_process_{name}", value)
        records = self._status().counts
        for kind in ("hosts", "upstreams", "certificates"):
            totals.set(OWN + "snapshot_records", records.get(kind, 0), (kind,))
        for place in self._places:
            if place.state is not None:
                _add_state(totals, str(place.index), place.state)
        reports = [place.state.report for place in self._places if place.state is not None]
        applied = [report for report in reports if report.version]
        if applied:
            last = min(applied, key=_progress)
            totals.set(PREFIX + "config_hash", int(last.digest[:12] or "0", 16))
            totals.set(PREFIX + "config_last_reload_successful", float(not any(report.error for report in reports)))
            totals.set(PREFIX + "config_last_reload_successful_timestamp_seconds", last.applied_at)


_ALIKE: Final = frozenset({"hosts", "upstreams", "certificates", "records"})
"""Counts that every worker has of the same things: not to be added up."""


def _add_state(totals: Totals, worker: str, state: WorkerState) -> None:
    report = state.report
    age = max(0.0, time.time() - report.applied_at) if report.applied_at else 0.0
    for name, value in (
        ("snapshot_epoch", report.epoch),
        ("snapshot_version", report.version),
        ("snapshot_age_seconds", age),
        ("snapshot_stale", report.stale),
        ("bus_connected", state.connected),
        ("resident_memory_bytes", resident_bytes(state.process)),
    ):
        totals.set(OWN + name, float(value), (worker,))


def _progress(report: EdgeReport) -> tuple[int, int]:
    return report.epoch, report.version
