"""A thread that writes lines, so that a slow disk or reader holds up nobody else; what it cannot keep up with is lost.

Owns the thread and the bound on what waits for it. Must not know what lines say.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from time import monotonic
from typing import Final

from msgspec import Struct

from services.edge.access.outlet import Direct, Outlet
from services.runtime.logs import log

_log = logging.getLogger(__name__)

WAITING_AT_MOST: Final = 4 * 1024 * 1024
"""Bytes that wait to be written; what comes beyond is lost."""
COMPLAIN_EVERY: Final = 60.0
"""Seconds between two complaints about an outlet that takes nothing."""


class _Lines(Struct, frozen=True, gc=False):
    text: bytes


class _Change(Struct, frozen=True, gc=False):
    make: Callable[[], Outlet]


class _Reopen(Struct, frozen=True, gc=False):
    pass


class _End(Struct, frozen=True, gc=False):
    pass


class Writer:
    """See the module. Its methods never wait; all are called by the one thread that serves.

    ``written`` and ``lost``: lines so far. The thread says in ``_open`` what may be written to directly, and after how
    many of the things that it was told; what was told since closes that.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Lines | _Change | _Reopen | _End] = SimpleQueue()
        self._given = 0
        self._taken = 0
        self._refused = 0
        self._failed = 0
        self._outlet: Outlet | None = None
        self._told = 0
        self._done = 0
        self._open: tuple[int, Direct | None] = (0, None)
        self._directly = 0
        self._by_thread = 0
        self._complained_at = float("-inf")
        self._thread = Thread(target=self._run, name="access log", daemon=True)
        self._thread.start()

    @property
    def written(self) -> int:
        """Lines that were."""
        return self._directly + self._by_thread

    @property
    def lost(self) -> int:
        """Lines that were not written."""
        return self._refused + self._failed

    @property
    def settled(self) -> bool:
        """Whether everything that was given was written or lost."""
        return self._given == self._taken

    def write(self, text: bytes) -> None:
        """Write lines, each with its end: at once if that can be done without waiting, else soon, or lose them."""
        after, direct = self._open
        if direct is not None and after == self._told and self._given == self._taken:
            taken = direct.write(text)
            self._directly += text.count(b"\n", 0, taken)
            if taken == len(text):
                return
            text = text[taken:]
        if self._given - self._taken + len(text) > WAITING_AT_MOST:
            self._refused += text.count(b"\n")
            return
        self._given += len(text)
        self._queue.put(_Lines(text))

    def change(self, make: Callable[[], Outlet]) -> None:
        """Write what comes from now on elsewhere."""
        self._told += 1
        self._queue.put(_Change(make))

    def reopen(self) -> None:
        """Open the outlet anew."""
        self._told += 1
        self._queue.put(_Reopen())

    def end(self) -> None:
        """Write what waits, then be done. Whoever wants to see that waits for ``ended``."""
        self._told += 1
        self._queue.put(_End())

    @property
    def ended(self) -> bool:
        """Whether the thread is done."""
        return not self._thread.is_alive()

    # --- in the thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            match self._queue.get():
                case _Lines(text):
                    self._write(text)
                    if self._outlet is not None:
                        self._open = self._done, self._outlet.direct
                    self._taken += len(text)
                case _Change(make):
                    self._done += 1
                    self._close()
                    self._outlet = make()
                    self._complained_at = float("-inf")
                case _Reopen():
                    self._done += 1
                    if self._outlet is not None:
                        self._outlet.reopen()
                case _End():
                    self._close()
                    return

    def _close(self) -> None:
        if self._outlet is not None:
            self._outlet.close()

    def _write(self, text: bytes) -> None:
        outlet = self._outlet
        if outlet is None:
            self._failed += text.count(b"\n")
            return
        try:
            outlet.write(text)
        except OSError as error:
            self._failed += text.count(b"\n") - outlet.written
            self._complain(outlet.place, error)
        self._by_thread += outlet.written

    def _complain(self, place: str, error: OSError) -> None:
        now = monotonic()
        if now - self._complained_at >= COMPLAIN_EVERY:
            self._complained_at = now
            log(
                _log, logging.ERROR, "lines of the access log are lost", place=place, error=error.strerror or str(error)
            )
