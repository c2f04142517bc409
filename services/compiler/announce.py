"""Telling the world what was published, after the fact: nothing here can hold up or fail a publish.

Owns the queue between the loop and the events' stream. Events of one version are made in slices, so that the loop gets
its turn in between; a version that finds the queue full is told by its snapshot event alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final

from proto.events import EventData
from services.compiler import metrics
from services.compiler.events import Published, events_of
from services.runtime.announce import EventPublisher

_log = logging.getLogger(__name__)

MAX_VERSIONS: Final = 1000
"""So many versions may wait to be told."""
SLICE: Final = 25
AFTER_A_VERSION: Final = 0.02
"""Seconds by which the word comes after what it tells of: edges on this machine put the version in force first."""


class Announcer:
    """Run ``run`` beside the loop."""

    def __init__(self, publisher: EventPublisher) -> None:
        self._publisher = publisher
        self._waiting: deque[Published | tuple[tuple[EventData, ...], str]] = deque()
        self._filled = asyncio.Event()

    def published(self, published: Published) -> None:
        """A version was stored."""
        if len(self._waiting) >= MAX_VERSIONS:
            metrics.EVENTS_LEFT_OUT.inc(len(published.changed))
            published = Published(published.entry, published.before, (), published.counts)
        self._waiting.append(published)
        self._filled.set()

    def say(self, events: tuple[EventData, ...], trace: str = "") -> None:
        """Other events, in order with the versions."""
        if events:
            self._waiting.append((events, trace))
            self._filled.set()

    async def run(self) -> None:
        """Tell what waits, for ever."""
        while True:
            await self._filled.wait()
            await asyncio.sleep(AFTER_A_VERSION)
            self._filled.clear()
            while self._waiting:
                item = self._waiting.popleft()
                try:
                    await self._tell(item)
                except Exception:  # an event that cannot be made must not silence all that follow
                    _log.exception("route events of a version could not be made")

    async def _tell(self, item: Published | tuple[tuple[EventData, ...], str]) -> None:
        events, trace = (events_of(item), item.trace) if isinstance(item, Published) else item
        for number, event in enumerate(events, 1):
            self._publisher.publish(event, trace)
            if number % SLICE == 0:
                await asyncio.sleep(0)
