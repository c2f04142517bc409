"""How many further tries an Upstream may cost: so that one whose endpoints all fail is not asked three times as often.

Owns the budget. Pure: the caller says what time it is.
"""

from __future__ import annotations

from typing import Final

RESERVE: Final = 500.0
"""Further tries that may come at once."""
PER_SECOND: Final = 100.0
"""Further tries a second that go on for as long as it takes."""


class RetryBudget:
    """One Upstream's, in one worker."""

    __slots__ = ("_at", "_left")

    def __init__(self) -> None:
        self._left = RESERVE
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Whether one more try may be made; it then has been."""
        left = min(RESERVE, self._left + (now - self._at) * PER_SECOND)
        self._at = now
        if left < 1.0:
            self._left = left
            return False
        self._left = left - 1.0
        return True
