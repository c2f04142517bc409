"""Bases: packed snapshots in chunks, written before the delta that names them, read when a table is rebuilt.

Owns the chunks on the bus. Must not know when a base is due, nor what the log holds. A base whose writer died halfway
is named by no delta: nobody reads it, and pruning removes it.
"""

from __future__ import annotations

import asyncio
from hashlib import blake2b

from proto.codec import DecodeError, pack_base, split_chunks, unpack_base
from proto.resources import ResourceRecord
from proto.snapshots import BaseRef, Position
from proto.subjects import Subjects
from services.compiler.table import Table
from services.runtime.bus import Bus


class BaseError(ValueError):
    """A base that cannot be had: a chunk is missing, or the bytes are not those that the delta named."""


class BaseStore:
    """The bases of one instance on the bus. Every method may raise BusError."""

    def __init__(self, bus: Bus, subjects: Subjects) -> None:
        self._bus = bus
        self._subjects = subjects

    async def write(self, records: list[ResourceRecord], position: Position, digest: bytes) -> BaseRef:
        """Store ``records`` as the base of ``position``. Packing runs beside the event loop."""
        packed = await asyncio.to_thread(pack_base, records)
        chunks = split_chunks(packed)
        subject = self._subjects.base_chunk
        await self._bus.append_many(
            [(subject(position.epoch, position.version, number), chunk) for number, chunk in enumerate(chunks)],
            window=8,
        )
        hashed = blake2b(packed, digest_size=32).digest()
        return BaseRef(position.epoch, position.version, len(chunks), len(packed), hashed, digest)

    async def read(self, ref: BaseRef) -> Table:
        """The table that ``ref`` names. Raises BaseError."""
        name = f"base {ref.epoch}.{ref.version}"
        packed = await self._packed(ref, name)
        try:
            table = Table(await asyncio.to_thread(unpack_base, packed))
        except DecodeError as error:
            raise BaseError(f"{name}: {error}") from None
        if table.digest != ref.digest:
            raise BaseError(f"{name}: its content has digest {table.digest.hex()[:16]}, not the one named")
        return table

    async def is_whole(self, ref: BaseRef) -> bool:
        """Whether the chunks that ``ref`` names are there and hold what it says."""
        try:
            await self._packed(ref, "base")
        except BaseError:
            return False
        return True

    async def _packed(self, ref: BaseRef, name: str) -> bytes:
        parts = []
        for number in range(ref.chunks):
            subject = self._subjects.base_chunk(ref.epoch, ref.version, number)
            stored = await self._bus.last(self._subjects.bases_stream, subject)
            if stored is None:
                raise BaseError(f"{name}: chunk {number} of {ref.chunks} is missing")
            parts.append(stored.data)
        packed = b"".join(parts)
        if len(packed) != ref.size or blake2b(packed, digest_size=32).digest() != ref.hash:
            raise BaseError(f"{name}: the chunks do not hold what the delta names")
        return packed

    async def drop_before(self, ref: BaseRef) -> None:
        """Remove every chunk that was written before the first one of ``ref``."""
        stream = self._subjects.bases_stream
        first = await self._bus.last(stream, self._subjects.base_chunk(ref.epoch, ref.version, 0))
        if first is not None and first.sequence > 1:
            await self._bus.purge(stream, up_to_sequence=first.sequence - 1)
