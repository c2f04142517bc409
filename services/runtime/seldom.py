"""Says now and then what happens again and again: whoever can make it happen must not fill a disk by it.

Owns when something was last said. Must not know what it is.
"""

from __future__ import annotations

from time import monotonic
from typing import Final

SAID_EVERY: Final = 60.0
"""Seconds, where nothing else is said."""
APART_AT_MOST: Final = 64
"""Things that are told apart; more of them, within that time, are as one."""

_OTHERS: Final = ""
_NEVER: Final = float("-inf")


class Seldom:
    """See the module. One for each kind of thing. ``every``: seconds between two lines about the same thing."""

    __slots__ = ("_every", "_said")

    def __init__(self, every: float = SAID_EVERY) -> None:
        self._every = every
        self._said: dict[str, tuple[float, int]] = {}

    def more(self, about: str = _OTHERS) -> int | None:
        """How often ``about`` was met since it was last said, for the line that says it now; None: it is not to be.
        Without ``about``, there is only one thing to say."""
        now = monotonic()
        said = self._said
        if about not in said and len(said) >= APART_AT_MOST and not self._forget_one(now):
            about = _OTHERS
        at, unsaid = said.get(about, (_NEVER, 0))
        if now - at < self._every:
            said[about] = at, unsaid + 1
            return None
        said.pop(about, None)  # the one that was said last stands last
        said[about] = now, 0
        return unsaid

    def _forget_one(self, now: float) -> bool:
        """Let go of what was said longest ago, if it could be said again anyway."""
        oldest = next(iter(self._said))
        if now - self._said[oldest][0] < self._every:
            return False
        del self._said[oldest]
        return True
