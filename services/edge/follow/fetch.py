"""Reading the log and its bases from the bus: direct gets, everything checked before it is handed on.

Owns how a head, a run of deltas and a base are found in the streams. Must not know what is served at present.
"""

from __future__ import annotations

import asyncio
from hashlib import blake2b
from typing import Final

from msgspec import Struct

from proto.codec import MAX_BASE_SIZE
from proto.signing import Verifier
from proto.snapshots import CHUNK_SIZE, BaseRef
from proto.subjects import Subjects
from services.edge.follow.incoming import Opened, RejectedError, open_delta
from services.runtime.bus import Bus

CHUNKS_AT_ONCE: Final = 8
DELTAS_AT_ONCE: Final = 200
"""Deltas to a read; between reads, and every few signatures, the loop runs."""

MAX_RUN: Final = 1000
"""A longer run of deltas is not read when a newer base shortens it."""


class UnavailableError(Exception):
    """The bus does not hold (any more, or yet) what its own head refers to; reading again may help."""


class Head(Struct, frozen=True):
    """The newest entry of the log and its stream sequence at this moment (good for this catch-up only)."""

    opened: Opened
    sequence: int


class Fetcher:
    """Reads one instance's log. Every method raises BusError when the bus does not answer."""

    def __init__(self, bus: Bus, subjects: Subjects, verifier: Verifier) -> None:
        self._bus = bus
        self._subjects = subjects
        self._verifier = verifier

    async def head(self) -> Head | None:
        """The newest delta, None if the log is empty. Raises RejectedError when what stands there is not to be
        believed."""
        stored = await self._bus.last(self._subjects.deltas_stream, self._subjects.delta)
        if stored is None:
            return None
        return Head(open_delta(stored.data, self._verifier), stored.sequence)

    async def run(self, after: int, head: Head) -> list[Opened]:
        """The deltas of the head's epoch from version ``after + 1`` up to the head, in order and without a gap.

        Raises UnavailableError when the log was pruned, or holds something else there; RejectedError.
        """
        wanted = head.opened.delta.version - after
        found: list[Opened] = []
        # one delta is one entry of the stream, so versions and sequences of an epoch differ by a constant
        sequence = head.sequence - wanted + 1
        while len(found) < wanted - 1:
            limit = min(wanted - 1 - len(found), DELTAS_AT_ONCE)
            stored = await self._bus.range(
                self._subjects.deltas_stream,
                sequence + len(found),
                limit=limit,
                subject_filter=self._subjects.delta,
            )
            if not stored:
                raise UnavailableError(f"deltas after version {after} are not on the bus any more")
            for number, entry in enumerate(stored):
                opened = open_delta(entry.data, self._verifier)
                self._check_next(opened, after + len(found) + 1, head)
                found.append(opened)
                if number % 16 == 15:
                    await asyncio.sleep(0)
        return [*found, head.opened] if wanted > 0 else []

    def _check_next(self, opened: Opened, version: int, head: Head) -> None:
        delta = opened.delta
        if delta.epoch != head.opened.delta.epoch or delta.version != version or delta.rebased:
            raise UnavailableError(f"log holds {opened.position} where version {version} was looked for")

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
