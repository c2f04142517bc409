"""Timeouts by one coarse sweep per worker: whoever waits keeps a time in ``deadline``; nobody arms a timer per request.

A request costs an assignment; a connection is looked at twice a second. Must not know what is being waited for.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import Final, Protocol

_log = logging.getLogger(__name__)

NEVER: Final = float("inf")

_SLOTS: Final = 4
_TICK: Final = 0.125


class Timed(Protocol):
    """Something that waits. ``expire`` is called when ``deadline`` (``time.monotonic``) has passed, at each sweep."""

    deadline: float

    def expire(self, now: float) -> None:
        """The deadline has passed; set another, or end."""


class Deadlines:
    """See the module. Runs only while something is watched."""

    __slots__ = ("_handle", "_loop", "_next", "_slots", "watched")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: list[set[Timed]] = [set() for _ in range(_SLOTS)]
        self._next = 0
        self._handle: asyncio.TimerHandle | None = None
        self.watched = 0

    def watch(self, timed: Timed) -> set[Timed]:
        """Look at ``timed`` from now on; returns the set it is to be discarded from when it ends."""
        self.watched += 1
        slot = self._slots[self.watched % _SLOTS]
        slot.add(timed)
        if self._handle is None:
            self._handle = self._loop.call_later(_TICK, self._sweep)
        return slot

    def _sweep(self) -> None:
        now = monotonic()
        slot = self._slots[self._next]
        self._next = (self._next + 1) % _SLOTS
        for timed in [timed for timed in slot if timed.deadline <= now]:
            try:
                if timed.deadline <= now and timed in slot:  # else one before it has ended it, or put it off
                    timed.expire(now)
            except Exception:  # whoever it is, the others' time goes on
                timed.deadline = NEVER
                _log.exception("what waited too long could not be ended")
        self._handle = self._loop.call_later(_TICK, self._sweep) if any(self._slots) else None
