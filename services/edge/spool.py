"""What waits between two parties of different speed: in memory while that is little, else in a file without a name.

Owns the worker's budget for it and the files. Must not know what the bytes are. Files live in the edge's state folder
and are unlinked from the start: whatever becomes of the process, none is left behind.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections import deque
from pathlib import Path
from typing import IO, Final

from services.runtime.logs import log
from services.runtime.seldom import Seldom

_log = logging.getLogger(__name__)

ALWAYS: Final = 8 * 1024
"""Bytes that may wait in memory whatever else does (nginx: client_body_buffer_size as ingress-nginx sets it)."""
ROOMY: Final = 64 * 1024
"""Bytes that do while the budget lasts, however little was asked for: a file costs more than they do."""
BUDGET: Final = 32 * 1024 * 1024
"""Bytes beyond ALWAYS that wait in the memory of one worker, all together."""
SPARED: Final = 64 * 1024 * 1024
"""Bytes of the file system that are left alone: the last good snapshot has to be written there too."""
PIECE: Final = 128 * 1024
"""How much is read from a file at a time."""
_CHECKED_EVERY: Final = 8 * 1024 * 1024


class Spools:
    """What all spools of a worker share. ``held``: bytes in memory; ``files``: how many files are open."""

    __slots__ = ("_folder", "_seldom", "_unchecked", "budget", "files", "held")

    def __init__(self, folder: Path, budget: int = BUDGET) -> None:
        self._folder = folder
        self.budget = budget
        self.held = 0
        self.files = 0
        self._unchecked = _CHECKED_EVERY
        self._seldom = Seldom()

    def open(self) -> IO[bytes]:
        """A new file that has no name. Raises OSError."""
        file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - it lives as long as its spool
        self.files += 1
        return file

    def expect(self, size: int) -> None:
        """Say that ``size`` bytes are about to be written to a file. Raises OSError where the disk is nearly full."""
        self._unchecked += size
        if self._unchecked < _CHECKED_EVERY:
            return
        self._unchecked = 0
        state = os.statvfs(self._folder)
        if state.f_bavail * state.f_frsize < SPARED + _CHECKED_EVERY:
            self._unchecked = _CHECKED_EVERY  # ask again before the next bytes
            raise OSError(f"less than {SPARED >> 20} MiB are left in {self._folder}")

    def complain(self, error: OSError) -> None:
        """Log that something could not be kept, now and then at most: a client could make it happen all the time."""
        if self._seldom.more() is not None:
            log(_log, logging.WARNING, "bytes could not be kept in the state folder", reason=str(error))


class _Kept:
    """What both kinds of spool are made of. ``memory``: bytes that may be kept there."""

    __slots__ = ("_counted", "_file", "_memory", "_spools", "size")

    def __init__(self, spools: Spools, memory: int) -> None:
        self._spools = spools
        self._memory = max(memory, ROOMY)
        self._counted = 0
        self._file: IO[bytes] | None = None
        self.size = 0

    @property
    def on_disk(self) -> bool:
        """Whether there is a file."""
        return self._file is not None

    def _fits(self, size: int) -> bool:
        """Whether so many bytes in all may be in memory."""
        spools = self._spools
        more = max(size - ALWAYS, 0) - self._counted
        return size <= self._memory and (more <= 0 or spools.held + more <= spools.budget)

    def _count(self, size: int) -> None:
        """So many bytes are in memory now."""
        counted = max(size - ALWAYS, 0)
        self._spools.held += counted - self._counted
        self._counted = counted

    def _append(self, data: bytes | bytearray, at: int) -> None:
        """Write to the file, which is opened if there is none. Raises OSError."""
        self._spools.expect(len(data))
        if self._file is None:
            self._file = self._spools.open()
        number = self._file.fileno()
        rest = memoryview(data)
        while rest:
            written = os.pwrite(number, rest, at)
            at += written
            rest = rest[written:]

    def _read(self, at: int, size: int) -> bytes:
        """Bytes of the file. Raises OSError."""
        assert self._file is not None
        data = os.pread(self._file.fileno(), size, at)
        if not data:
            raise OSError("a spool file is shorter than what was written to it")
        return data

    def close(self) -> None:
        """Let go of everything."""
        self._count(0)
        if self._file is not None:
            self._file.close()
            self._file = None
            self._spools.files -= 1


class Collected(_Kept):
    """What is put in piece by piece, and then read from the beginning, perhaps more than once."""

    __slots__ = ("_data",)

    def __init__(self, spools: Spools, memory: int) -> None:
        super().__init__(spools, memory)
        self._data: bytes | bytearray = b""

    def put(self, data: bytes) -> None:
        """Append ``data``. Raises OSError: what is there so far is of no more use then."""
        before = self.size
        self.size = size = before + len(data)
        if self._file is not None:
            self._append(data, before)
        elif self._fits(size):
            self._count(size)
            if not before:
                self._data = data
                return
            if not isinstance(self._data, bytearray):
                self._data = bytearray(self._data)
            self._data += data
        else:
            if before:
                self._append(self._data, 0)
            self._append(data, before)
            self._data = b""
            self._count(0)

    def give(self) -> bytes | bytearray:
        """All of it, where there is no file. It is counted until ``close``, and not kept here any more."""
        data, self._data = self._data, b""
        return data

    def read(self, at: int) -> bytes:
        """Some of what is in the file, from ``at``. Raises OSError."""
        return self._read(at, min(PIECE, self.size - at))

    def close(self) -> None:
        """Let go of everything."""
        self._data = b""
        super().close()


class Backlog(_Kept):
    """A queue: what comes out is gone. ``size``: bytes in it; at most ``on_disk_at_most`` of them go to a file."""

    __slots__ = ("_begin", "_end", "_limit", "_pieces", "_waiting")

    def __init__(self, spools: Spools, memory: int, on_disk_at_most: int) -> None:
        super().__init__(spools, memory)
        self._pieces: deque[bytes] = deque()
        self._waiting = 0
        self._begin = self._end = 0
        self._limit = on_disk_at_most

    @property
    def full(self) -> bool:
        """Whether whoever puts bytes in should stop: what is put in nevertheless is kept."""
        if self._end:
            return self._end >= self._limit
        return self._limit <= 0 and not self._fits(self._waiting + 1)

    def put(self, data: bytes) -> None:
        """Append ``data``. Raises OSError: the queue is broken then."""
        waiting = self._waiting + len(data)
        if not self._end and (self._fits(waiting) or self._limit <= 0):
            self._pieces.append(data)
            self._waiting = waiting
            self._count(waiting)
        else:
            self._append(data, self._end)
            self._end += len(data)
        self.size += len(data)

    def take(self) -> bytes:
        """The next bytes; there are some. Raises OSError."""
        if self._pieces:
            data = self._pieces.popleft()
            self._waiting -= len(data)
            self._count(self._waiting)
        else:
            data = self._read(self._begin, min(PIECE, self._end - self._begin))
            self._begin += len(data)
            if self._begin == self._end:
                self._begin = self._end = 0  # the next bytes go to memory again, or over these
        self.size -= len(data)
        return data

    def close(self) -> None:
        """Let go of everything."""
        self._pieces.clear()
        self.size = self._waiting = self._begin = self._end = 0
        super().close()
