"""The log: one totally ordered sequence of signed deltas, read, followed and appended to behind a fence.

Owns where the log stands (``head``), the table that it describes, and the rules of epoch and version:

- A version follows the last one by one. The append names the stream sequence of the delta that this compiler saw
  last, so that of two compilers only one can write the next; the other reads on.
- A new epoch, with a complete base, starts when the log has lost versions that somebody holds: its highest epoch plus
  one. What somebody holds is known from this process' own head, from edges' reports with a signed proof, and from the
  file that the last run left.
- When only the way to the table is lost (a base or a delta in between), the next version is a complete base.

Stream sequences are used as places in one life of a stream, never compared across two. Must not know what is compiled.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from proto.resources import ResourceKey
from proto.signing import Signer, Verifier
from proto.snapshots import CHUNK_SIZE, SCHEMA, BaseRef, Cause, Delta, HeadProof, Position
from proto.subjects import Subjects
from services.compiler.bases import BaseError, BaseStore
from services.compiler.signed import Entry, RefusedError, open_entry, sign
from services.compiler.table import Change, Table, TableError
from services.runtime.bus import Bus, BusError, StreamMissing, StreamState

_log = logging.getLogger(__name__)

PAGE = 512
"""Deltas read at once."""


class NewerLogError(BusError):
    """The log holds what only a newer compiler can read: this one writes nothing until it is upgraded."""


class Log:
    """See the module. ``known`` is false until the log was read, and again while the outcome of an append is unknown;
    ``attempted`` is what was appended last, or tried, ``written`` its bytes.

    ``broken``: the log stands but its table cannot be rebuilt from the bus. ``refused`` is told of each message in the
    log that no compiler of this instance wrote.
    """

    def __init__(
        self, bus: Bus, subjects: Subjects, signer: Signer, verifier: Verifier, refused: Callable[[RefusedError], None]
    ) -> None:
        self.bases = BaseStore(bus, subjects)
        self.head: Entry | None = None
        self.table = Table()
        self.base: BaseRef | None = None
        self.base_at = 0
        self.since_base = 0
        self.bytes_since_base = 0
        self.known = False
        self.attempted: Entry | None = None
        self.written = b""
        self.broken = False
        self.highest = Position()
        self._bus = bus
        self._subjects = subjects
        self._signer = signer
        self._verifier = verifier
        self._refused = refused
        self._fence = 0
        self._holes: tuple[str, int, int] | None = None
        self._created = ""

    @property
    def position(self) -> Position:
        """Where the log stands; zero when it is empty."""
        return self.head.position if self.head else Position()

    @property
    def lost(self) -> bool:
        """Whether versions are missing that somebody holds, or there never was one: the next append opens an epoch."""
        return self.head is None or self.position < self.highest

    @property
    def must_publish(self) -> bool:
        """Whether the log needs a new version even if the content is what it was."""
        return self.lost or self.broken

    def start_over(self) -> None:
        """Forget the table, so that the next append carries all of the wanted one."""
        self.table = Table()

    def learn(self, position: Position) -> None:
        """Somebody holds ``position``, and it is proven."""
        self.highest = max(self.highest, position)

    def proven(self, proof: HeadProof) -> Position | None:
        """The position that ``proof`` stands for, or None if no compiler of this instance signed it."""
        try:
            self._verifier.check(proof)
        except ValueError:
            return None
        return Position(proof.epoch, proof.version)

    # --- reading ------------------------------------------------------------------------------------------------

    async def catch_up(self) -> set[ResourceKey]:
        """Read what the log holds; the resources in which the table may differ from before.

        Raises StreamMissing when the stream does not exist, and BusError.
        """
        state = await self._bus.state(self._subjects.deltas_stream)
        if state is None:
            raise StreamMissing(f"stream {self._subjects.deltas_stream} does not exist")
        same_stream = state.created == self._created
        self._created = state.created
        stored = await self._last_genuine()
        touched = await self._reach(stored, same_stream)
        self._fence = stored.sequence if stored else 0
        self.known = True
        if self.head is not None and not self.must_publish and not await self._is_chained(self.head, state):
            _log.error("deltas that lead to version %s are missing from the log", self.position)
            self.broken = True
        return touched

    async def _is_chained(self, head: Entry, state: StreamState) -> bool:
        """Whether every delta from the base to ``head`` is there. Looked at only when the stream has other holes than
        at the last look."""
        holes = _holes(head, state)
        if holes == self._holes or head.delta.rebased:
            return True
        start = head.delta.base.sequence + 1
        entries = await self._between(start, head)
        versions = {entry.position.version for entry in entries if entry.position.epoch == self.position.epoch}
        if not versions.issuperset(range(head.delta.base.version + 1, head.position.version + 1)):
            return False
        self._holes = holes
        return True

    async def has_new_holes(self) -> bool:
        """Whether the stream has other holes than when it was last found sound: the cheap look in between."""
        head, state = self.head, await self._bus.state(self._subjects.deltas_stream)
        if head is None or state is None:
            return True
        return not head.delta.rebased and _holes(head, state) != self._holes

    async def _reach(self, stored: Entry | None, same_stream: bool) -> set[ResourceKey]:
        if stored is None:
            self.head = None
            return set()
        if self.head is not None and stored.proof == self.head.proof:
            self.head = stored
            return set()
        self.learn(self.position)
        if stored.position < self.highest:
            self.head = stored  # rolled back: what to do follows from ``lost``; the table is not needed for it
            return set()
        self.learn(stored.position)
        ahead = stored.position > self.position and stored.position.epoch == self.position.epoch
        if self.head is not None and same_stream and not self.broken and ahead:
            touched = await self._follow(self.head, stored)
            if touched is not None:
                return touched
        return await self._rebuild(stored)

    async def _follow(self, head: Entry, stored: Entry) -> set[ResourceKey] | None:
        """Apply the deltas between two entries of one epoch; None if the chain has a gap."""
        touched: set[ResourceKey] = set()
        for entry in await self._between(head.sequence + 1, stored):
            if entry.position <= self.position:
                continue
            applied = self.follow(entry)
            if applied is None:
                return None
            touched |= applied
        return touched if self.position == stored.position else None

    def follow(self, entry: Entry) -> set[ResourceKey] | None:
        """Take the next delta, written by another compiler, in. None: it does not follow the head, read the log."""
        if self.head is None or self.lost or self.broken:
            return None
        if entry.position != Position(self.position.epoch, self.position.version + 1) or entry.delta.rebased:
            return None
        try:
            self.table.apply(entry.change, entry.delta.digest)
        except TableError as error:
            _log.error("delta %s does not fit the table before it: %s", entry.position, error)
            return None
        self._advance(entry)
        return entry.change.touched()

    async def _rebuild(self, stored: Entry) -> set[ResourceKey]:
        """The table of ``stored`` from its base and the deltas since; ``broken`` if the bus no longer has them."""
        before = set(self.table.records)
        self.head, self.base, self.broken = stored, stored.delta.base, False
        self.base_at = stored.sequence if stored.delta.rebased else self.base.sequence
        self.since_base = self.bytes_since_base = 0
        try:
            self.table = await self._replay(stored)
        except (BaseError, TableError) as error:
            _log.error("the table of version %s cannot be rebuilt from the bus: %s", stored.position, error)
            self.table, self.broken = Table(), True
        return before | set(self.table.records)

    async def _replay(self, stored: Entry) -> Table:
        ref = stored.delta.base
        table = await self.bases.read(ref)
        version = ref.version
        if version < stored.position.version:
            for entry in await self._between(ref.sequence + 1, stored):
                if entry.position.epoch != ref.epoch or entry.position.version != version + 1:
                    continue
                table.apply(entry.change, entry.delta.digest)
                version += 1
                self.since_base += 1
                self.bytes_since_base += entry.size
        if version != stored.position.version or table.digest != stored.delta.digest:
            raise TableError(f"deltas from version {ref.epoch}.{version} to {stored.position} are missing")
        return table

    async def _between(self, start: int, last: Entry) -> list[Entry]:
        """The genuine deltas from stream sequence ``start`` up to ``last``, which is already opened."""
        entries: list[Entry] = []
        while start < last.sequence:
            page = await self._bus.range(self._subjects.deltas_stream, start, limit=PAGE)
            for stored in page:
                if stored.sequence < last.sequence:
                    entry = await self._open(stored.data, stored.sequence)
                    if entry is not None:
                        entries.append(entry)
            if not page or page[-1].sequence >= last.sequence:
                break
            start = page[-1].sequence + 1
        return [*entries, last]

    async def _last_genuine(self) -> Entry | None:
        """The newest delta that a compiler signed. What stands above it is forged or damaged and is removed, for edges
        that start read the newest message."""
        while True:
            stored = await self._bus.last(self._subjects.deltas_stream, self._subjects.delta)
            if stored is None:
                return None
            entry = await self._open(stored.data, stored.sequence)
            if entry is not None:
                return entry

    async def _open(self, data: bytes, sequence: int) -> Entry | None:
        try:
            return open_entry(data, self._verifier, sequence)
        except RefusedError as error:
            if error.reason == "schema" and error.trusted:  # else anybody could stop the compiler by a number
                raise NewerLogError(f"the log was written by a newer compiler: {error}") from None
            _log.error("message %d in the log is removed: %s", sequence, error)
            self._refused(error)
            await self._bus.delete(self._subjects.deltas_stream, sequence)
            return None

    # --- appending ----------------------------------------------------------------------------------------------

    async def append(self, change: Change, cause: Cause, now: float) -> Entry:
        """Write the next version; returns it as it stands in the log. ``now``: Unix seconds, for people.

        ``change`` leads from ``table`` to the new one; where the log is ``lost`` or ``broken``, ``start_over`` comes
        first. Raises SequenceConflict when another compiler was faster and BusError when the outcome
        is unknown: then ``known`` is false and the log must be read before anything else.
        """
        position = self._next()
        digest = self.table.after(change)
        rebased = self.must_publish
        if not rebased:
            assert self.base is not None, "a head names a base"
            delta = self._delta(position, digest, self._named_base(self.base), cause, now, change)
            proof, data = sign(delta, self._signer)
            rebased = len(data) > CHUNK_SIZE
        if rebased:
            ref = await self.bases.write(self.table.records_after(change), position, digest)
            delta = self._delta(position, digest, ref, cause, now, None)
            proof, data = sign(delta, self._signer)
        self.known = False
        self.attempted, self.written = Entry(proof, delta, 0, len(data)), data
        sequence = await self._bus.append(self._subjects.delta, data, expected_last_subject_sequence=self._fence)
        self.known = True
        self.table.apply(change, digest)
        entry = Entry(proof, delta, sequence, len(data))
        self._advance(entry)
        self.broken = False
        return entry

    def _next(self) -> Position:
        if self.lost:
            return Position(max(self.highest, self.position).epoch + 1, 1)
        return Position(self.position.epoch, self.position.version + 1)

    def _delta(
        self, position: Position, digest: bytes, base: BaseRef, cause: Cause, now: float, change: Change | None
    ) -> Delta:
        return Delta(
            SCHEMA,
            self._subjects.instance,
            position.epoch,
            position.version,
            digest,
            base,
            cause,
            now,
            change.upserts if change else (),
            change.removals if change else (),
            rebased=change is None,
        )

    def _named_base(self, base: BaseRef) -> BaseRef:
        return BaseRef(base.epoch, base.version, base.chunks, base.size, base.hash, base.digest, self.base_at)

    def _advance(self, entry: Entry) -> None:
        self.head = entry
        self._fence = entry.sequence
        self.learn(entry.position)
        base = entry.delta.base
        if entry.delta.rebased:
            self.rebase(base, entry.sequence)
        else:
            if self.base is None or (base.epoch, base.version) > (self.base.epoch, self.base.version):
                self.rebase(base, base.sequence)
            self.since_base += 1
            self.bytes_since_base += entry.size

    def take_base(self, base: BaseRef, sequence: int) -> None:
        """A base was written beside the log; it is named from now on if it still is the newest of this epoch."""
        newest = self.base is None or base.version > self.base.version
        if self.head is not None and base.epoch == self.position.epoch and newest:
            self.rebase(base, sequence)

    def rebase(self, base: BaseRef, sequence: int) -> None:
        """From the next delta on, name ``base``; ``sequence``: where the stream holds the delta of its version."""
        self.base, self.base_at = base, sequence
        version = self.position.version
        self.since_base = max(version - base.version, 0)
        self.bytes_since_base = 0


def _holes(head: Entry, state: StreamState) -> tuple[str, int, int]:
    """What tells that messages were removed from between: the stream's life, how many are missing in it, and where what
    ``head`` needs begins."""
    missing = state.last - state.first + 1 - state.messages
    return state.created, missing, max(state.first, head.delta.base.sequence + 1)
