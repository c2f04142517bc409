"""The generation that is served and the table behind it: what may follow it, and the one swap that makes it so.

Owns table, position and proof of this process, always moved together. A change is computed, checked against the signed
digest, decoded and built beside what is served; only then is anything replaced. Must not know where deltas and bases
come from.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from proto.codec import DecodeError, decode_resource
from proto.resources import ResourceRecord
from proto.snapshots import Cause, HeadProof, Position
from services.edge.core.generation import Generation
from services.edge.follow.incoming import NOWHERE, Opened, RejectedError
from services.edge.follow.table import Change, ResourceTable, Staging
from services.edge.follow.unpack import SLICE, sliced

_log = logging.getLogger(__name__)


class Applied(Struct, frozen=True):
    """A version came into force. ``swap_seconds``: from holding the message to serving it; ``cause``: as published,
    None when it came from the file."""

    position: Position
    proof: HeadProof
    applied_at: float
    swap_seconds: float
    cause: Cause | None = None


Listener = Callable[[Applied, Change], None]


class Generations:
    """See the module. ``swap`` puts a generation in force; it may raise only before it does."""

    def __init__(self, swap: Callable[[Generation], None]) -> None:
        self._swap = swap
        self._listeners: list[Listener] = []
        self.table = ResourceTable()
        self.position: Position = NOWHERE
        self.proof: HeadProof | None = None
        self.generation: Generation | None = None
        self.applied: Applied | None = None
        self.swaps = 0
        self._floor: Position = NOWHERE

    def on_applied(self, listener: Listener) -> None:
        """Call ``listener`` after each swap, in the same turn of the loop: it must not block."""
        self._listeners.append(listener)

    def raise_floor(self, proof: HeadProof) -> None:
        """Refuse from now on what is older than ``proof``: a version that was served once but cannot be read now."""
        self._floor = max(self._floor, Position(proof.epoch, proof.version))

    def accepts(self, position: Position) -> bool:
        """Whether ``position`` may follow: nothing ever goes back."""
        return position > self.position and position >= self._floor

    @property
    def next_position(self) -> Position | None:
        """The position to which one more delta leads, None while there is no table to apply it to."""
        if self.generation is None:
            return None
        return Position(self.position.epoch, self.position.version + 1)

    def advance(self, chain: Sequence[Opened], received: float) -> None:
        """Carry out deltas that lead on from the present version without a gap.

        ``received``: when the last of them was in hand (``time.perf_counter``). Raises RejectedError (digest, build)
        with everything as it was.
        """
        last = chain[-1]
        change = self.table.change_of([opened.delta for opened in chain])
        self._replace(change, last, received)

    def relabel(self, head: Opened, received: float) -> None:
        """Take over the position of ``head``, whose digest is that of the present table."""
        self._replace(Change((), (), self.table.digest), head, received)

    async def rebase(
        self, slices: Iterable[list[ResourceRecord]], chain: Sequence[Opened], head: Opened, received: float
    ) -> bool:
        """Put the table that ``slices`` hold, led on by the deltas of ``chain``, in place of the present one.

        Lets the loop run between slices. False when the present version moved meanwhile and the work was in vain.
        Raises RejectedError with everything as it was, DecodeError from ``slices``.
        """
        base = ResourceTable()
        staging = Staging(self.table)
        for records in slices:
            base.apply(Change(tuple(records), (), base.digest))
            await asyncio.sleep(0)
        led_on = base.change_of([opened.delta for opened in chain])
        base.apply(led_on)
        for records in sliced(base.records(), SLICE):
            _check_decodes(records)
            staging.add(records)
            await asyncio.sleep(0)
        if not staging.current or not self.accepts(head.position):
            return False
        self._put_in_force(staging.change(), head.proof, head.delta.cause, received)
        return True

    def restore(self, slices: Iterable[list[ResourceRecord]], proof: HeadProof) -> None:
        """Serve a table from disk. Raises RejectedError, DecodeError."""
        received = time.perf_counter()
        staging = Staging(self.table)
        for records in slices:
            _check_decodes(records)
            staging.add(records)
        self._put_in_force(staging.change(), proof, None, received)

    def _replace(self, change: Change, head: Opened, received: float) -> None:
        _check_decodes(change.upserts)
        self._put_in_force(change, head.proof, head.delta.cause, received)

    def _put_in_force(self, change: Change, proof: HeadProof, cause: Cause | None, received: float) -> None:
        position = Position(proof.epoch, proof.version)
        if change.digest != proof.digest:
            message = f"version {position}: digest is {change.digest.hex()[:16]}, signed was {proof.digest.hex()[:16]}"
            raise RejectedError("digest", message, trusted=True)
        generation = self._build(change, position)
        self.table.apply(change)
        self.position, self.proof, self.generation = position, proof, generation
        self.swaps += 1
        self.applied = Applied(position, proof, time.time(), time.perf_counter() - received, cause)
        for listener in self._listeners:
            listener(self.applied, change)

    def _build(self, change: Change, position: Position) -> Generation:
        """Build beside what is served, and swap. Whatever goes wrong in it is a refusal: an edge that serves its last
        generation is worth more than one that fell over the newest."""
        try:
            if self.generation is None:
                generation = Generation.first(change.upserts, position.epoch, position.version, change.digest)
            else:
                generation = self.generation.next(
                    change.upserts, change.removals, position.epoch, position.version, change.digest
                )
            self._swap(generation)
        except Exception as error:
            _log.exception("version %s cannot be built", position)
            raise RejectedError("build", f"version {position} cannot be built: {error}", trusted=True) from error
        return generation


def _check_decodes(records: Iterable[ResourceRecord]) -> None:
    for record in records:
        try:
            decode_resource(record)
        except DecodeError as error:
            raise RejectedError("build", f"cannot be read: {error}", trusted=True) from None
