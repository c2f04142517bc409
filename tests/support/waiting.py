"""Waiting for a condition with a deadline: the only way in which tests wait for something to happen."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(
    condition: Callable[[], T | Awaitable[T]], timeout: float = 10.0, what: str = "", every: float = 0.01
) -> T:
    """The first true value of ``condition`` (a plain or async function, asked every ``every`` seconds).

    An AssertionError or OSError that it raises counts as "not yet". Raises AssertionError after ``timeout`` seconds,
    naming ``what`` and the last thing seen.
    """
    deadline = time.monotonic() + timeout
    last: object = None
    while True:
        try:
            value = condition()
            found: T = await value if inspect.isawaitable(value) else value  # type: ignore[assignment]
            if found:
                return found
            last = found
        except (AssertionError, OSError) as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(
                f"not within {timeout} s: {what or inspect.getsource(condition).strip()}; last: {last!r}"
            )
        await asyncio.sleep(every)


def eventually_sync(condition: Callable[[], T], timeout: float = 10.0, what: str = "", every: float = 0.01) -> T:
    """``eventually`` for tests without an event loop."""
    deadline = time.monotonic() + timeout
    last: object = None
    while True:
        try:
            last = value = condition()
            if value:
                return value
        except (AssertionError, OSError) as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout} s: {what or condition}; last: {last!r}")
        time.sleep(every)
