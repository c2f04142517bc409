"""Publishing route events without ever holding up or failing the one who has something to say."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from datetime import UTC, datetime
from uuid import uuid4

from prometheus_client import Counter

from proto.events import EventData, cloud_event, place_of
from proto.reports import to_json
from proto.subjects import Subjects
from services.runtime.bus import Bus, BusError, NotConnected
from services.runtime.metrics import registry

_log = logging.getLogger(__name__)

MAX_WAITING = 10_000
"""Events kept while the bus is away; the oldest go first."""
MAX_BATCH = 256
TRIES = 10
RETRY_AFTER = 0.5

_PUBLISHED = Counter("limen_events_published", "Route events stored on the bus.", registry=registry)
_DROPPED = Counter("limen_events_dropped", "Route events given up.", registry=registry)


class EventPublisher:
    """Events of one process. ``source`` is the CloudEvents source, e.g. ``/limen/edge/edge-1``."""

    def __init__(self, bus: Bus, subjects: Subjects, source: str) -> None:
        self._bus = bus
        self._subjects = subjects
        self._source = source
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._sending: asyncio.Task[None] | None = None

    def publish(self, data: EventData, trace: str = "") -> None:
        """Say it, soon, in order; returns at once and never raises. ``trace``: 32 hex digits or empty."""
        event = cloud_event(data, id_=str(uuid4()), source=self._source, time=_now(), trace=trace)
        namespace, name = place_of(data)
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            _DROPPED.inc()
        self._waiting.append((self._subjects.event(data.type, namespace, name), to_json(event)))
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send_all(), name="events")

    async def close(self, timeout: float = 1.0) -> None:
        """Give what is waiting ``timeout`` seconds to leave."""
        if self._sending is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._sending, timeout)

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                await self._bus.wait_connected()
                batch = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
                await self._send(batch)
        finally:
            self._sending = None

    def _fitting(self, batch: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        """``batch`` without what the server would never take, which would hold up the others."""
        fitting = [(subject, data) for subject, data in batch if len(data) <= self._bus.max_payload]
        if len(fitting) < len(batch):
            _log.warning("%d route events were given up: larger than the bus takes", len(batch) - len(fitting))
            _DROPPED.inc(len(batch) - len(fitting))
        return fitting

    async def _send(self, batch: list[tuple[str, bytes]]) -> None:
        batch = self._fitting(batch)
        for _ in range(TRIES):
            try:
                await self._bus.append_many(batch)
            except NotConnected:
                await self._bus.wait_connected()
            except BusError as error:
                _log.debug("events are not stored yet: %s", error)
                await asyncio.sleep(RETRY_AFTER)
            else:
                _PUBLISHED.inc(len(batch))
                return
        _log.warning("%d route events were given up: the bus does not store them", len(batch))
        _DROPPED.inc(len(batch))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
