"""When the last good generation is read and written.

Owns the order at the start (newest file, else the one before) and the pace of writing: after a swap, beside the loop,
at most once a second and with at most a fiftieth of a core. A disk that fails is counted and said, and harms nothing
else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from proto.codec import DecodeError
from proto.resources import ResourceRecord
from proto.snapshots import HeadProof
from services.edge.follow.generations import Applied, Generations
from services.edge.follow.incoming import RejectedError
from services.edge.follow.lastgood import LastGoodError, LastGoodFile, Saved
from services.edge.follow.table import Change
from services.edge.follow.unpack import slices
from services.runtime.logs import log

_log = logging.getLogger(__name__)

AT_MOST_EVERY: Final = 1.0
SHARE: Final = 50
"""A write that took a second of this process is followed by this many seconds of rest."""
SAY_AGAIN_AFTER: Final = 60.0


def restore(file: LastGoodFile, generations: Generations) -> bool:
    """Serve what the disk holds; whether anything was found good. Says of each file that is not why."""
    for path in (file.path, file.previous):
        try:
            saved = file.read(path)
            if saved is None:
                continue
            _serve(saved, generations)
        except LastGoodError as error:
            log(_log, logging.ERROR, "last-good file cannot be used", reason=str(error))
            if error.proof is not None:
                generations.raise_floor(error.proof)
            continue
        except Exception:
            # whatever a file holds, it must not keep an edge from starting
            _log.exception("last-good file %s cannot be used", path)
            continue
        file.found_good(saved)
        fields = {"version": str(generations.position), "records": len(generations.table)}
        log(_log, logging.INFO, "serving the last good generation from disk", file=str(path), **fields)
        return True
    return False


def _serve(saved: Saved, generations: Generations) -> None:
    try:
        generations.restore(slices(saved.records), saved.proof)
    except (RejectedError, DecodeError) as error:
        raise LastGoodError(f"{saved.path}: {error}", saved.proof) from None


class Keeper:
    """Writes the file after swaps. Only one worker of an edge has one."""

    def __init__(self, file: LastGoodFile, generations: Generations) -> None:
        self._file = file
        self._generations = generations
        self._wake = asyncio.Event()
        self._said_at = float("-inf")
        self.errors = 0
        self.error = ""
        self._job: asyncio.Future[float] | None = None
        generations.on_applied(self._applied)

    def _applied(self, _applied: Applied, _change: Change) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Write for ever, each time the newest generation."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            spent = await self._write()
            await asyncio.sleep(max(AT_MOST_EVERY, spent * SHARE))

    async def flush(self) -> None:
        """Write what is not on disk yet; for the end of a process, once ``run`` has been cancelled."""
        if self._job is not None:
            await asyncio.wait([self._job])  # a thread cannot be cancelled: two of them must not write at a time
        if self._wake.is_set():
            self._wake.clear()
            await self._write()

    async def _write(self) -> float:
        """Write the present generation; the processor time that it took."""
        proof = self._generations.proof
        if proof is None:
            return 0.0
        records = self._generations.table.records()
        self._job = asyncio.ensure_future(asyncio.to_thread(self._timed_write, records, proof))
        try:
            spent = await asyncio.shield(self._job)
        except OSError as error:
            self._failed(error)
            return 0.0
        if self.error:
            log(_log, logging.INFO, "last-good file is written again", file=str(self._file.path))
            self.error = ""
        return spent

    def _timed_write(self, records: list[ResourceRecord], proof: HeadProof) -> float:
        began = time.thread_time()
        self._file.write(records, proof)
        return time.thread_time() - began

    def _failed(self, error: OSError) -> None:
        self.errors += 1
        reason = f"{self._file.path}: {error.strerror or error}"
        now = time.monotonic()
        if reason != self.error or now - self._said_at > SAY_AGAIN_AFTER:
            self._said_at = now
            log(_log, logging.ERROR, "last good generation cannot be written; serving on", reason=reason)
        self.error = reason
        self._wake.set()  # tried again at the usual pace: the disk may have room by then
