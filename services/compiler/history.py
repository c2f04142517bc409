"""Pruning: how much of the log and of the bases is kept.

Owns the decision and its carrying out; the compiler that is active does it. Cuts only at a base: the oldest delta that
stays is that of the base's version, the base and every delta since stay too, so that each version that is left can be
rebuilt from it. The newest delta and the base that it names always stay.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from proto.signing import Verifier
from proto.snapshots import BaseRef
from proto.subjects import Subjects
from services.compiler.bases import BaseStore
from services.compiler.options import HistoryOptions
from services.compiler.signed import Entry, RefusedError, open_entry
from services.runtime.bus import Bus, StreamState

_log = logging.getLogger(__name__)


def _base_of(entry: Entry) -> tuple[BaseRef, int]:
    """The base that ``entry`` names, and where the stream holds the delta of its version."""
    base = entry.delta.base
    return base, entry.sequence if entry.delta.rebased else base.sequence


class History:
    """See the module. Every method may raise BusError."""

    def __init__(self, bus: Bus, subjects: Subjects, verifier: Verifier, options: HistoryOptions) -> None:
        self._bus = bus
        self._subjects = subjects
        self._verifier = verifier
        self._options = options
        self._bases = BaseStore(bus, subjects)

    async def prune(self, head: Entry, now: float) -> None:
        """Drop what is too old or too much. ``head``: the newest delta. ``now``: Unix seconds."""
        state = await self._bus.state(self._subjects.deltas_stream)
        if state is None or state.messages < 2:
            return
        cut = await self._first_to_keep(state, now)
        if cut <= state.first:
            return
        entry = await self._entry_from(cut)
        if entry is None:
            return
        base, sequence = min(_base_of(entry), _base_of(head), key=lambda found: found[1])
        up_to = min(sequence, state.last) - 1
        if up_to < state.first:
            return
        _log.info("history: versions before %d.%d are dropped", base.epoch, base.version)
        await self._bus.purge(self._subjects.deltas_stream, up_to_sequence=up_to)
        await self._bases.drop_before(base)

    async def _first_to_keep(self, state: StreamState, now: float) -> int:
        """The lowest stream sequence that every limit allows to keep."""
        options = self._options
        cut = state.first
        if state.messages > options.max_deltas:
            cut = max(cut, state.last - options.max_deltas + 1)
        if state.bytes > options.max_bytes:
            excess = (state.bytes - options.max_bytes) / state.bytes
            cut = max(cut, state.first + int(excess * (state.last - state.first)))
        if options.max_age > 0:
            oldest = now - options.max_age
            cut = max(cut, await self._first(state, lambda entry: entry.delta.published_at >= oldest))
        return min(cut, state.last)

    async def _first(self, state: StreamState, wanted: Callable[[Entry], bool]) -> int:
        """The first sequence whose delta is ``wanted``, where all after a wanted one are; by halving."""
        low, high = state.first, state.last
        first = await self._entry_from(low)
        if first is None or wanted(first):
            return low
        while low < high:
            middle = (low + high) // 2
            entry = await self._entry_from(middle)
            if entry is None or wanted(entry):
                high = middle
            else:
                low = max(middle, min(entry.sequence, high - 1)) + 1
        return low

    async def _entry_from(self, sequence: int) -> Entry | None:
        """The first genuine delta from ``sequence`` on (a few damaged ones in between are passed over)."""
        for stored in await self._bus.range(self._subjects.deltas_stream, sequence, limit=8):
            try:
                return open_entry(stored.data, self._verifier, stored.sequence)
            except RefusedError:
                continue
        return None
