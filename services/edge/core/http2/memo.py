"""A dictionary that is filled by a function and never grows beyond a bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Memo(dict[K, V]):
    """``memo[key]`` is what ``make(key)`` returned at first; what it raises is not kept.

    Full, it forgets everything: whoever fills it on purpose costs others one more call each, and no bookkeeping is done
    on the way of those who find what they look for.
    """

    __slots__ = ("_limit", "_make")

    def __init__(self, make: Callable[[K], V], limit: int) -> None:
        super().__init__()
        self._make = make
        self._limit = limit

    def __missing__(self, key: K) -> V:
        value = self._make(key)
        if len(self) >= self._limit:
            self.clear()
        self[key] = value
        return value
