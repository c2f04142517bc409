"""Reading the log and its bases from the bus: direct gets, everything checked before it is handed on.

Owns how a head, a run of deltas and a base are found in the streams. Must not know what is served at present.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from msgspec import Struct

from proto.codec import MAX_BASE_SIZE
from proto.signing import Verifier
from proto.snapshots import CHUNK_SIZE, BaseRef
from proto.subjects import Subjects
from services.edge.follow.incoming import Opened, RejectedError, open_delta
from services.runtime.bus import Bus, Stored

CHUNKS_AT_ONCE: Final = 8
DELTAS_AT_ONCE: Final = 200
"""Deltas to a read; between reads, and every few signatures, the loop runs."""

MAX_RUN: Final = 1000
"""A longer run of deltas is not read when a newer base shortens it."""


LOOK_BACK: Final = 64
"""Entries below a head that is not to be believed in which the newest genuine one is looked for."""


class UnavailableError(Exception):
    """The bus does not hold (any more, or yet) what its own head refers to; reading again may help."""


class Head(Struct, frozen=True):
    """The newest entry of the log and its stream sequence at this moment (good for this catch-up only)."""

    opened: Opened
    sequence: int


class Fetcher:
    """Reads one instance's log. Every method raises BusError when the bus does not answer.

    ``refused`` is told of each message in the log that is not to be believed; reading goes on beside it.
    """

    def __init__(
        self, bus: Bus, subjects: Subjects, verifier: Verifier, refused: Callable[[RejectedError], None]
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._verifier = verifier
        self._refused = refused

    async def head(self) -> Head | None:
        """The newest delta that the compiler signed, None if the log holds none.

        Raises RejectedError when the compiler wrote something that this edge cannot read.
        """
        stored = await self._bus.last(self._subjects.deltas_stream, self._subjects.delta)
        if stored is None:
            return None
        opened = self._open(stored)
        if opened is not None:
            return Head(opened, stored.sequence)
        first = max(1, stored.sequence - LOOK_BACK)
        below = await self._range(first, stored.sequence)
        return next((Head(found, sequence) for sequence, found in reversed(below)), None)

    async def run(self, after: int, head: Head) -> list[Opened]:
        """The deltas of the head's epoch from version ``after + 1`` up to the head, in order and without a gap.

        Raises UnavailableError when the log was pruned there.
        """
        delta = head.opened.delta
        found = {delta.version: head.opened}
        # one version is one entry, so this is where they begin; further down only if strangers wrote in between
        end, step = head.sequence, delta.version - after - 1
        while min(found) > after + 1 and end > 1:
            start = max(1, end - step)
            entries = await self._range(start, end)
            found.update((one.delta.version, one) for _, one in entries if self._belongs(one, after, head))
            if not entries and step >= LOOK_BACK:
                break  # pruned; a smaller hole is where a stranger's message was removed
            end, step = start, max(min(found) - after - 1, LOOK_BACK)
        chain = [found[version] for version in range(after + 1, delta.version + 1) if version in found]
        if len(chain) != delta.version - after:
            raise UnavailableError(f"deltas after version {delta.epoch}.{after} are not on the bus any more")
        return chain

    @staticmethod
    def _belongs(opened: Opened, after: int, head: Head) -> bool:
        delta, newest = opened.delta, head.opened.delta
        return delta.epoch == newest.epoch and after < delta.version < newest.version and not delta.rebased

    async def _range(self, start: int, end: int) -> list[tuple[int, Opened]]:
        """What the compiler signed from stream sequence ``start`` up to, not including, ``end``."""
        entries: list[tuple[int, Opened]] = []
        while start < end:
            limit = min(end - start, DELTAS_AT_ONCE)
            page = await self._bus.range(
                self._subjects.deltas_stream, start, limit=limit, subject_filter=self._subjects.delta
            )
            for number, stored in enumerate(page):
                opened = self._open(stored) if stored.sequence < end else None
                if opened is not None:
                    entries.append((stored.sequence, opened))
                if number % 16 == 15:
                    await asyncio.sleep(0)
            if not page:
                break
            start = page[-1].sequence + 1
        return entries

    def _open(self, stored: Stored) -> Opened | None:
        try:
            return open_delta(stored.data, self._verifier)
        except RejectedError as error:
            if error.trusted:
                raise
            self._refused(error)
            return None

    async def base(self, ref: BaseRef) -> bytes:
        """The packed bytes of a base, all chunks read at once and checked against the hash in the signed delta.

        Raises UnavailableError for a chunk that is missing, RejectedError for content that is not what was signed.
        """
        if not 0 < ref.chunks <= MAX_BASE_SIZE // CHUNK_SIZE or ref.size > ref.chunks * CHUNK_SIZE:
            raise RejectedError("malformed", f"base {ref.epoch}.{ref.version} has {ref.chunks} chunks", trusted=True)
        gate = asyncio.Semaphore(CHUNKS_AT_ONCE)

        async def chunk(number: int) -> bytes:
            subject = self._subjects.base_chunk(ref.epoch, ref.version, number)
            async with gate:
                stored = await self._bus.last(self._subjects.bases_stream, subject)
            if stored is None:
                raise UnavailableError(f"chunk {number} of base {ref.epoch}.{ref.version} is not on the bus")
            return stored.data

        packed = b"".join(await asyncio.gather(*map(chunk, range(ref.chunks))))
        if len(packed) != ref.size or blake2b(packed, digest_size=32).digest() != ref.hash:
            raise RejectedError("digest", f"base {ref.epoch}.{ref.version} is not what was signed")
        return packed
