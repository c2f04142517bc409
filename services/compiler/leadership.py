"""Who writes when several compilers are alive. Correctness never rests on it: the log's fence does that.

Pure; the time is given (monotonic seconds). Every compiler compiles everything. Whoever wrote the newest version, or
has read nothing of another for a while, is active and writes at once. The others wait a moment for the same content to
arrive from the active one, and write only if it does not: then they have become the active one.
"""

from __future__ import annotations

from collections import deque
from typing import Final

PATIENCE: Final = 0.2
"""Seconds that a standby gives the active compiler to publish the same content."""
LONGEST_PATIENCE: Final = 30.0
QUIET: Final = 60.0
"""After so many seconds without a version from elsewhere nobody else is assumed to be active."""
QUARREL: Final = 300.0
"""Taking over again within so many seconds doubles the patience: two compilers that compile different things from the
same objects (two releases during an upgrade) shall not write over each other at full speed."""


class Leadership:
    """This compiler's view of who is active."""

    def __init__(self) -> None:
        self._mine = False
        self._foreign: float | None = None
        self._deadline: float | None = None
        self._takeovers: deque[float] = deque(maxlen=16)

    @property
    def wrote_newest(self) -> bool:
        """Whether the newest version was written here."""
        return self._mine

    def active(self, now: float) -> bool:
        """Whether this compiler writes at once and speaks for the compilers."""
        return self._mine or self._foreign is None or now - self._foreign > QUIET

    def read_foreign(self, now: float) -> None:
        """Another compiler's version was read off the live log."""
        self._mine = False
        self._foreign = now

    def wrote(self, now: float) -> None:
        """This compiler's version is in the log."""
        if self._foreign is not None and not self._mine:
            self._takeovers.append(now)
        self._mine = True
        self._deadline = None

    def agreed(self) -> None:
        """The log holds what was compiled here: nothing to wait for."""
        self._deadline = None

    def wait(self, now: float) -> float:
        """Seconds still to wait before writing what differs; 0: write."""
        if self.active(now):
            return 0.0
        if self._deadline is None:
            self._deadline = now + self._patience(now)
        return max(self._deadline - now, 0.0)

    def _patience(self, now: float) -> float:
        while self._takeovers and now - self._takeovers[0] > QUARREL:
            self._takeovers.popleft()
        return float(min(PATIENCE * 2 ** len(self._takeovers), LONGEST_PATIENCE))
