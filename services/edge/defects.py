"""Errors that nobody expects: defects of ours, met while a request is at work.

Owns what is said of them: each place once with its traceback, then now and then how often it was met again. Whoever
meets one ends what it was doing; must not know how.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from time import monotonic
from types import TracebackType
from typing import Final

from services.runtime.logs import log

_log = logging.getLogger(__name__)

SAID_EVERY: Final = 60.0
"""Seconds between two lines about the same place: many requests may meet it, and must not fill a disk."""
PLACES_AT_MOST: Final = 256
"""Places that are told apart."""


class _Place:
    __slots__ = ("more", "said_at")

    def __init__(self, now: float) -> None:
        self.said_at = now
        self.more = 0


class Defects:
    """See the module. One per worker."""

    __slots__ = ("_counters", "_places")

    def __init__(self, counters: Counter[str]) -> None:
        self._counters = counters
        self._places: dict[str, _Place] = {}

    def note(self, error: BaseException) -> None:
        """``error`` was raised where nobody expected one."""
        self._counters["defect"] += 1
        place = f"{type(error).__name__} at {_where(error.__traceback__)}"
        now = monotonic()
        known = self._places.get(place)
        if known is None:
            if len(self._places) >= PLACES_AT_MOST:
                self._places.clear()
            self._places[place] = _Place(now)
            _log.error("a defect: %s: %s", place, error, exc_info=error)
        elif now - known.said_at < SAID_EVERY:
            known.more += 1
        else:
            log(_log, logging.ERROR, "a defect is met again", place=place, more=known.more + 1)
            known.said_at, known.more = now, 0

    def done(self, task: asyncio.Task[None]) -> None:
        """``task`` has ended: as a callback for those that nobody waits for."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.note(error)


def _where(traceback: TracebackType | None) -> str:
    """File and line of the innermost frame."""
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return "?" if traceback is None else f"{traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}"
