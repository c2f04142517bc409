"""Bytes of responses that wait for clients which take them slowly: how many in all, and whose.

Owns the worker's budget. Whoever is told to wait by its client says so here (``note``); a client that takes what it is
sent at once is never seen. What a connection may hold is its own affair: its endpoints are read no further. Should all
together hold more than the budget, those leave that have taken nothing for longest: somebody who reads, however slowly,
outlasts those who do not. Must not know protocols.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import sys
import termios
from collections import Counter, OrderedDict
from typing import Final, Protocol

ORDINARY: Final = 64 * 1024
"""Bytes that a connection may hold without being told to wait (the event loops' default)."""
PRESSED_FROM: Final = 1 / 4
"""Share of the budget from which endpoints of slow clients are read in small pieces."""
_NUMBER: Final = bytes(4)


class Slow(Protocol):
    """A client's connection that does not take what is written (any that is ``clients.Kept``)."""

    transport: asyncio.Transport

    def untaken(self) -> int:
        """Bytes that wait for it."""

    def give_up(self) -> None:
        """There is no room for what it does not take: end it."""


class _Share:
    """What one holds: ``size`` is counted; ``left`` tells progress, with what the kernel holds of it: that takes more
    only when a third of its room is free, which may be long after the client has taken something."""

    __slots__ = ("left", "size")

    def __init__(self, size: int, left: int) -> None:
        self.size = size
        self.left = left


class Outflow:
    """See the module. ``budget``: bytes, 0: no bound; ``held``: bytes that wait, as of when each was looked at last."""

    __slots__ = ("_counters", "_due", "_loop", "_shares", "budget", "held")

    def __init__(self, loop: asyncio.AbstractEventLoop, counters: Counter[str], budget: int) -> None:
        self._loop = loop
        self._counters = counters
        self._shares: OrderedDict[Slow, _Share] = OrderedDict()  # who has taken nothing for longest stands first
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
        return len(self._shares)

    def note(self, who: Slow) -> None:
        """``who`` waits for its client, or holds more or less than before."""
        size = who.untaken()
        share = self._shares.get(who)
        if share is None:
            self._shares[who] = _Share(size, size + in_kernel(who.transport))
            self.held += size
        else:
            self.held += size - share.size
            share.size = size
        if self.held > self.budget > 0 and not self._due:
            self._due = True
            self._loop.call_soon(self._make_room)  # ``who`` may be amid a write

    def forget(self, who: Slow) -> None:
        """``who`` holds nothing any more, or is gone."""
        share = self._shares.pop(who, None)
        if share is not None:
            self.held -= share.size

    def look(self) -> None:
        """See who has taken something; to be called now and then."""
        for who in list(self._shares):
            self._measure(who)

    def _measure(self, who: Slow) -> bool:
        """Whether ``who`` has taken something since."""
        size, share = who.untaken(), self._shares[who]
        left = size + in_kernel(who.transport)
        took = left < share.left
        self.held += size - share.size
        share.size, share.left = size, left
        if not left:
            del self._shares[who]
        elif took:
            self._shares.move_to_end(who)
        return took

    def _make_room(self) -> None:
        self._due = False
        while self.held > self.budget:
            who = next(iter(self._shares))
            if not self._measure(who):
                self.forget(who)
                self._counters["overload-untaken"] += 1
                who.give_up()


def in_kernel(transport: asyncio.BaseTransport) -> int:
    """Bytes written to a connection that its peer has not confirmed (Linux: SIOCOUTQ); 0 where that is not told."""
    own: socket.socket | None = transport.get_extra_info("socket")
    try:
        return 0 if own is None else int.from_bytes(fcntl.ioctl(own.fileno(), termios.TIOCOUTQ, _NUMBER), sys.byteorder)
    except (OSError, ValueError):
        return 0
