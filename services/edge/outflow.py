"""Bytes of responses that wait for clients which take them slowly: how many in all, and whose.

Owns the worker's budget. Whoever is told to wait by its client says so here (``note``); a client that takes what it is
sent at once is never seen. What a connection may hold is its own affair: its endpoints are read no further. Should all
together hold more than the budget, those leave that have taken nothing for longest: somebody who reads, however slowly,
outlasts those who do not. Must not know protocols.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from typing import Final, Protocol

ORDINARY: Final = 64 * 1024
"""Bytes that a connection may hold without being told to wait (the event loops' default)."""
PRESSED_FROM: Final = 1 / 4
"""Share of the budget from which endpoints of slow clients are read in small pieces."""


class Slow(Protocol):
    """A client's connection that does not take what is written."""

    def untaken(self) -> int:
        """Bytes that wait for it."""

    def give_up(self) -> None:
        """There is no room for what it does not take: end it."""


class Outflow:
    """See the module. ``budget``: bytes, 0: no bound; ``held``: bytes that wait, as of when each was looked at last."""

    __slots__ = ("_counters", "_due", "_loop", "_sizes", "budget", "held")

    def __init__(self, loop: asyncio.AbstractEventLoop, counters: Counter[str], budget: int) -> None:
        self._loop = loop
        self._counters = counters
        self._sizes: OrderedDict[Slow, int] = OrderedDict()  # who has taken nothing for longest stands first
        self._due = False
        self.budget = budget
        self.held = 0

    @property
    def pressed(self) -> bool:
        """Whether so much waits that no more should be read than has to be."""
        return self.held > self.budget * PRESSED_FROM > 0

    @property
    def clients(self) -> int:
        """How many hold something."""
        return len(self._sizes)

    def note(self, who: Slow) -> None:
        """``who`` waits for its client, or holds more or less than before."""
        size = who.untaken()
        known = self._sizes.get(who)
        if known is None:
            known = 0
        elif size < known:
            self._sizes.move_to_end(who)
        self._sizes[who] = size
        self.held += size - known
        if self.held > self.budget > 0 and not self._due:
            self._due = True
            self._loop.call_soon(self._make_room)  # ``who`` may be amid a write

    def forget(self, who: Slow) -> None:
        """``who`` holds nothing any more, or is gone."""
        size = self._sizes.pop(who, None)
        if size is not None:
            self.held -= size

    def look(self) -> None:
        """See who has taken something; to be called now and then."""
        for who in list(self._sizes):
            self._measure(who)

    def _measure(self, who: Slow) -> bool:
        """Whether ``who`` has taken something since."""
        size, known = who.untaken(), self._sizes[who]
        if size == known:
            return False
        self.held += size - known
        if size:
            self._sizes[who] = size
            if size < known:
                self._sizes.move_to_end(who)
        else:
            del self._sizes[who]
        return size < known

    def _make_room(self) -> None:
        self._due = False
        while self.held > self.budget:
            who = next(iter(self._sizes))
            if not self._measure(who):
                self.forget(who)
                self._counters["overload-untaken"] += 1
                who.give_up()
