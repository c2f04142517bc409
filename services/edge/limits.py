"""How much of everything a worker takes on at once. Owns the counts; what is done about them is for who asks."""

from __future__ import annotations

from collections import Counter
from typing import Final

from msgspec import Struct


class LimitOptions(Struct, frozen=True, kw_only=True):
    """What the flags say; 0: no limit.

    ``pending_connects``: connections to endpoints that are being opened.
    """

    pending_connects: int = 4096


USUAL: Final = LimitOptions()


class Limits:
    """See the module. One per worker."""

    __slots__ = ("_connecting", "_counters", "_options")

    def __init__(self, counters: Counter[str], options: LimitOptions = USUAL) -> None:
        self._counters = counters
        self._options = options
        self._connecting = 0

    def connect(self) -> bool:
        """Whether one more connection to an endpoint may be opened; ``connected`` is then called when that is over."""
        limit = self._options.pending_connects
        if limit and self._connecting >= limit:
            self._counters["overload-pending-connects"] += 1
            return False
        self._connecting += 1
        return True

    def connected(self) -> None:
        """A connection was opened, or could not be."""
        self._connecting -= 1

    def exhausted(self) -> None:
        """The process, or the machine, has no more of something that a connection needs."""
        self._counters["overload-resources"] += 1
