"""A complaint that would be made again and again is made once, again when it is another, and every few minutes with how
often it would have been made.

Owns what was said last. Must not know what about, nor how it is written down.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

SAID_EVERY: Final = 300.0
"""Seconds between two lines about the same trouble while it lasts."""


class Repeats:
    """See the module. ``clock``: seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._text = ""
        self._said_at = 0.0
        self._unsaid = 0

    def due(self, text: str) -> str:
        """``text`` as it is to be said now, perhaps with how often it came since; empty: not now."""
        now = self._clock()
        if text != self._text:
            self._text, self._said_at, self._unsaid = text, now, 0
            return text
        self._unsaid += 1
        if now - self._said_at < SAID_EVERY:
            return ""
        often, self._unsaid, self._said_at = self._unsaid, 0, now
        return f"{text} (again, {often} times since this was last said)"

    def over(self) -> bool:
        """The trouble has ended, and would be news again. Whether there was any."""
        ended, self._text = bool(self._text), ""
        return ended
