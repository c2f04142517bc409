"""Columns of values that are read from headers: once per block where clients repeat theirs, else once per batch.

Pure but for what it remembers, which is bounded. Which headers there are, ``services.edge.core.header_reads`` knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Final

from services.edge.access.escape import Escape
from services.edge.core.header_reads import Read
from services.edge.traffic import alike

_KEPT: Final = 512
"""Blocks of headers whose values are remembered."""
_LONGEST: Final = 4096
"""Bytes of a block that is worth remembering."""
_AGAIN: Final = 16
"""Where blocks do not repeat, only one batch in so many is looked up."""
_BETWEEN: Final = b"\0"
"""What no block has in it."""


class Blocks:
    """The values of several readers for each block of headers, as they stand in a line."""

    def __init__(self, escape: Escape) -> None:
        self._escape = escape
        self._readers: list[Read] = []
        self._known: dict[bytes, tuple[bytes, ...]] = {}
        self._batches = 0
        self._repeat = True

    def add(self, read: Read) -> int:
        """Read this too; which of the columns it is."""
        self._readers.append(read)
        return len(self._readers) - 1

    def columns(self, blocks: Sequence[bytes]) -> Sequence[Iterable[bytes]]:
        """A column for each reader; ``itertools.repeat`` where all of it is the same."""
        if not self._readers:
            return ()
        if alike(blocks):
            return [repeat(value, len(blocks)) for value in self._values(blocks[0])]
        self._batches += 1
        if self._repeat or self._batches % _AGAIN == 0:
            return tuple(zip(*self._looked_up(blocks), strict=True))
        together = _BETWEEN.join(blocks)
        return [self._column(read, blocks, together) for read in self._readers]

    def _looked_up(self, blocks: Sequence[bytes]) -> list[tuple[bytes, ...]]:
        known = self._known
        values: list[tuple[bytes, ...]] = []
        missed = 0
        for block in blocks:
            found = known.get(block)
            if found is None:
                found = self._values(block)
                missed += 1
                if len(block) <= _LONGEST:
                    if len(known) >= _KEPT:
                        known.clear()
                    known[block] = found
            values.append(found)
        self._repeat = missed * 2 <= len(blocks)
        if not self._repeat:
            known.clear()  # blocks that do not come again are not worth their memory
        return values

    def _values(self, block: bytes) -> tuple[bytes, ...]:
        lower = block.lower()
        return tuple([self._escape.one(read(block, lower)) for read in self._readers])

    def _column(self, read: Read, blocks: Sequence[bytes], together: bytes) -> Iterable[bytes]:
        """One reader's column. A header that nobody sent is found missing by one look at all blocks ``together``."""
        lines = read.lines
        if lines is not None and lines.search(together) is None:
            return repeat(self._escape.absent, len(blocks))
        if lines is None or read.joined_by is None:
            return self._escape.all([read(block, block.lower()) for block in blocks])
        by = read.joined_by
        return self._escape.all([_joined(found, by) for found in map(lines.findall, blocks)])


def _joined(found: Sequence[bytes], by: bytes) -> bytes | None:
    """What the lines of one header say together."""
    if len(found) == 1:
        return found[0].rstrip(b" \t")
    return by.join([value.rstrip(b" \t") for value in found]) if found else None
