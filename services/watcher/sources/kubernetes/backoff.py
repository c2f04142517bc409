"""How long to wait before the next attempt: doubling, with jitter, never less than the server asked for."""

from __future__ import annotations

import random
from typing import Final

FIRST: Final = 0.5
LONGEST: Final = 15.0
LONGEST_ASKED: Final = 120.0
"""A Retry-After above this is not believed."""


class Backoff:
    """The delays of one thing that is tried again and again."""

    def __init__(self, first: float = FIRST, longest: float = LONGEST) -> None:
        self._first, self._longest = first, longest
        self._next = first

    def reset(self) -> None:
        """It went well."""
        self._next = self._first

    def delay(self, asked: float = 0.0) -> float:
        """Seconds to wait now; ``asked``: the server's Retry-After."""
        chosen = self._next * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        self._next = min(self._next * 2, self._longest)
        wished = min(asked, LONGEST_ASKED)
        return max(chosen, wished + chosen / 4 if wished else 0.0)
