"""What a worker does when it is pressed: idle connections end, newcomers are turned away, requests are answered 503.

Owns the looks (how late the loop is, how many connections, how much of the memory limit) and the means. Each costs the
requests nothing while all is well: refusing is taking the generation away, for which the answer is 503 in any case. The
admin port is another process', and lives on. At each look the heap (``services.edge.heap``) may give back what is free.
"""

from __future__ import annotations

import asyncio
import logging
import time
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from services.edge.core.pressure import MEMORY_SHEDDING, Measured, Pressure
from services.edge.heap import Heap
from services.edge.outflow import ORDINARY
from services.runtime.logs import log

if TYPE_CHECKING:
    from services.edge.clients import Listening
    from services.edge.serving import Serving

_log = logging.getLogger(__name__)

EVERY: Final = 0.25
"""Seconds between two looks."""
SHED: Final = 1 / 16
"""Share of the allowed connections that is shed at a time."""
SHED_EVERY: Final = 0.05
"""Seconds between two times: finding them means looking at all."""
MEMORY_EVERY: Final = 4
"""Looks between two at the memory: it is read from files."""
FORGOTTEN_EVERY: Final = 40
CGROUP: Final = Path("/sys/fs/cgroup")


class Overload:
    """See the module. ``listeners``: whose connections are shed."""

    __slots__ = (
        "_busy",
        "_due",
        "_handle",
        "_heap",
        "_looks",
        "_memory",
        "_pressure",
        "_seen",
        "_serving",
        "_shed_at",
        "listeners",
    )

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._pressure = Pressure()
        self._heap = Heap()
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._busy = 0.0
        self._looks = 0
        self._memory = 0.0
        self._seen = 0
        self._shed_at = 0.0
        self.listeners: list[Listening] = []

    @property
    def turns_away(self) -> bool:
        """Whether newcomers cannot be taken on for want of memory."""
        return self._memory >= MEMORY_SHEDDING

    def clients(self) -> int:
        """How many connections of clients there are."""
        return sum(len(listener.connections) + len(listener.handshakes) for listener in self.listeners)

    def watch(self) -> None:
        """Look from now on."""
        if self._handle is None:
            self._next()

    def stop(self) -> None:
        """Look no more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _next(self) -> None:
        loop = self._serving.loop
        self._due = loop.time() + EVERY
        self._busy = time.process_time()
        self._handle = loop.call_at(self._due, self._look)

    def _look(self) -> None:
        try:
            self._measure()
        except Exception as error:  # the next look may do better
            self._serving.defects.note(error)
        self._next()

    def _measure(self) -> None:
        serving, limits = self._serving, self._serving.limits
        self._looks += 1
        late = serving.loop.time() - self._due
        busy = (time.process_time() - self._busy) / (EVERY + late)
        if self._looks % MEMORY_EVERY == 0:
            self._memory = memory_share(CGROUP)
            self._weigh()
        if self._looks % FORGOTTEN_EVERY == 0:
            limits.forget_closed()
        self._heap.look(serving.loop.time(), busy)
        serving.outflow.look()
        limits.endpoints = serving.pools.open()
        before = self._pressure.level
        used = limits.used / max(limits.connections_at_most, 1)
        level = self._pressure.look(Measured(late, busy, used, self._memory))
        if level != before:
            log(
                _log,
                logging.WARNING if level != "normal" else logging.INFO,
                "pressure has changed",
                level=level,
                late=round(late, 3),
                connections=limits.used,
                memory=round(self._memory, 3),
            )
            serving.refuse(level == "refusing")
        if level != "normal" or limits.exhausted_times != self._seen:
            self._seen = limits.exhausted_times
            self.shed()

    def _weigh(self) -> None:
        """Where there are so many clients that those who were not told to wait could hold more than there is room for,
        they count too."""
        outflow = self._serving.outflow
        if 0 < outflow.budget < self.clients() * ORDINARY:
            for listener in self.listeners:
                for one in listener.connections:
                    if one.untaken():
                        outflow.note(one)

    def shed(self) -> None:
        """End connections that are idle, longest first: of clients, and to endpoints; not all the time."""
        now = self._serving.loop.time()
        if now - self._shed_at < SHED_EVERY:
            return
        self._shed_at = now
        limits = self._serving.limits
        count = max(1, int(limits.connections_at_most * SHED))
        resting = self._serving.pools.resting
        for connection in list(resting)[: (len(resting) + 3) // 4]:
            connection.drop()
        idle = [one for listener in self.listeners for one in listener.connections if one.doing == "waiting"]
        idle.sort(key=attrgetter("lasts_until"))  # whoever has waited longest has the least time left
        for one in idle[:count]:
            one.drain()
        if idle:
            self._serving.traffic.counters["overload-shed"] += min(count, len(idle))


def memory_share(cgroup: Path) -> float:
    """How much of the memory limit is used, without what the kernel would give back; 0.0 where there is no limit."""
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        if limit == "max":
            return 0.0
        current = int((cgroup / "memory.current").read_text())
        for line in (cgroup / "memory.stat").read_text().splitlines():
            if line.startswith("inactive_file "):
                current -= int(line.split()[1])
        return max(0.0, current / int(limit))
    except (OSError, ValueError, ZeroDivisionError):
        return 0.0
