"""Memory that this process has freed and still holds: the C library is asked to give it back, now and then.

Reads of 250 KB, records of TLS and what lives for long come from the same heap of the C library. What stays in between
keeps it from shrinking, so that after a peak many MiB are free and resident all the same. Owns the asking: how much is
free, and when it is worth it. Where the C library cannot be asked (it is not glibc), nothing is done.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

WORTH: Final = 4 * 1024 * 1024
"""Free bytes in the heap from which giving back is worth the page faults that follow."""
LOOKED_EVERY: Final = 10.0
"""Seconds between two times; each takes a millisecond or two."""
GROWN: Final = 1024 * 1024
"""Bytes by which memory has grown since: what was given back still counts as free in the heap."""
CALM: Final = 0.5
"""Share of its time that a worker may be at work: one that is busier would ask for the same memory again at once."""

_STATE: Final = Path("/proc/self/statm")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class _Heap(ctypes.Structure):
    """What ``mallinfo2`` tells (malloc.h)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    )


def _nothing_free() -> int:
    return 0


def _trim_nothing(_left: int) -> int:
    return 0


def _asked() -> tuple[Callable[[], int], Callable[[int], int]]:
    """(bytes that are free in the heap, what gives them back)."""
    library = ctypes.CDLL(None)
    try:
        told, trim = library.mallinfo2, library.malloc_trim
    except AttributeError:
        return _nothing_free, _trim_nothing
    told.argtypes, told.restype = (), _Heap
    trim.argtypes, trim.restype = (ctypes.c_size_t,), ctypes.c_int

    return lambda: int(told().fordblks), trim


class Heap:
    """See the module."""

    __slots__ = ("_free", "_left", "_looked_at", "_trim")

    def __init__(self) -> None:
        self._free, self._trim = _asked()
        self._looked_at = 0.0
        self._left = 0

    def look(self, now: float, busy: float) -> None:
        """Give back what is free if that is much and the process has time. ``busy``: share of it that is at work."""
        if busy > CALM or now - self._looked_at < LOOKED_EVERY:
            return
        self._looked_at = now
        if resident() - self._left >= GROWN and self._free() >= WORTH:
            self._trim(0)
            self._left = resident()


def resident() -> int:
    """Bytes of memory that this process holds; 0 where that cannot be told."""
    try:
        return int(_STATE.read_bytes().split()[1]) * _PAGE
    except (OSError, ValueError):
        return 0
