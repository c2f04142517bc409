"""From dirty to published: compile once, see what differs from the log's table, write it as the next version.

The second half of the loop. Owns which resources may differ from the published table, and what became of an append
whose outcome is unknown. Must not know how messages arrive.
"""

from __future__ import annotations

import gc
import logging
import time

from proto.codec import DecodeError, decode_resource
from proto.resources import ResourceKey, ResourceRecord, RouteGroup, VirtualHost
from proto.snapshots import Position
from services.compiler import metrics
from services.compiler.background import Background
from services.compiler.defects import keep_published
from services.compiler.events import Changed, Published
from services.compiler.state import State
from services.compiler.table import Change
from services.runtime.bus import BusError, SequenceConflict
from services.runtime.logs import log

_log = logging.getLogger(__name__)


class Publishing:
    """See the module. ``state`` changes in the loop that calls this, alone."""

    def __init__(self, state: State, background: Background) -> None:
        self._state = state
        self._background = background
        self._unpublished: set[ResourceKey] = set()
        self._first = True
        self._whole = False  # whether the last compile came to its end: only then may the table be published
        self._replaced: tuple[dict[ResourceKey, bytes], Position] | None = None
        self._in_doubt: Published | None = None
        self._said_held = False

    # --- the log's side -----------------------------------------------------------------------------------------

    def moved(self, touched: set[ResourceKey]) -> None:
        """The published table may be another than before in ``touched``."""
        self._unpublished |= touched

    def caught_up(self) -> bool:
        """The log was read. True if its newest version is our own, written by an append whose outcome was unknown."""
        doubt, self._in_doubt = self._in_doubt, None
        head = self._state.log.head
        if head is None or doubt is None or head.proof != doubt.entry.proof:
            return False
        self._stored(doubt)
        return True

    def others_let_go(self) -> bool:
        """Whether a mass removal that is held here has been published by another compiler (somebody approved it, or
        the second list came, while this one was not listening)."""
        state = self._state
        held = state.held
        if held is None or state.log.must_publish:
            return False
        return _count_routes(state.log.table.records) * 2 <= held.routes_now + held.routes_after

    # --- compiling ----------------------------------------------------------------------------------------------

    def compile(self) -> bool:
        """Compile what is dirty, if anything is; whether the compiled table may be published."""
        state = self._state
        state.intake.release(time.time(), time.monotonic())
        if not state.intake.synced or not (state.intake.dirty or self._first):
            return self._whole
        state.intake.dirty = False
        started = time.perf_counter()
        try:
            compiled = state.compiler.compile()
        except Exception as error:  # an error of ours must not stop what is served, nor the next try
            _log.exception("the compile failed; what is published stays")
            metrics.COMPILE_FAILURES.inc()
            state.last_error = f"compile failed: {error!r}"
            self._whole = False
            return False
        metrics.COMPILE_SECONDS.observe(time.perf_counter() - started)
        if not self._whole:
            self._unpublished = {*state.compiler.table, *state.log.table.records}
        self._whole, self._first = True, False
        self._unpublished.update(record.key for record in compiled.upserts)
        self._unpublished.update(compiled.removals)
        state.findings.add(compiled)
        return True

    # --- publishing ---------------------------------------------------------------------------------------------

    def difference(self) -> tuple[Change, set[ResourceKey]]:
        """What is to be published now, and the resources that differ but are held back. Nothing to publish: noted."""
        state = self._state
        wanted, published = state.compiler.table, state.log.table
        differs = published.change_towards(wanted, self._unpublished)
        change = state.intake.start_hold.filter(differs, published.records, wanted, state.intake.feed, time.time())
        change = keep_published(change, published.records, state.compiler.broken)
        self._say_held()
        held_back = differs.touched() - change.touched()
        if not change:
            self._agreed(held_back)
        return change, held_back

    async def publish(self, change: Change, held_back: set[ResourceKey]) -> None:
        """Write ``change`` as the next version. Raises SequenceConflict, BusError: then the log is to be read."""
        published = self._state.log.table.records
        await self._append(_changed(change, published), change, self._state.log.position)
        self._agreed(held_back)

    async def start_over(self) -> None:
        """The log is lost, or its table cannot be rebuilt: write all that was compiled as a base. Raises as
        ``publish``."""
        state = self._state
        if self._replaced is None:
            self._replaced = state.log.table.records, state.log.highest
        served, before = self._replaced
        if state.log.highest > Position():
            state.intake.reason = "log lost" if state.log.lost else "repair"
        state.log.start_over()
        change = state.log.table.change_towards(state.compiler.table, state.compiler.table)
        gone = tuple(key for key in served if key not in state.compiler.table)
        await self._append(_changed(Change(change.upserts, gone), served), change, before)
        self._replaced = None
        self._agreed(set())

    async def _append(self, changed: tuple[Changed, ...], change: Change, before: Position) -> None:
        state = self._state
        started = time.perf_counter()
        try:
            entry = await state.log.append(change, state.intake.carried(), time.time())
        except SequenceConflict:
            raise
        except BusError:
            attempted = state.log.attempted
            if not state.log.known and attempted is not None:
                self._in_doubt = Published(attempted, before, changed, state.counts())
            raise
        metrics.PUBLISH_SECONDS.observe(time.perf_counter() - started)
        if state.intake.pending.received:
            metrics.REACTION_SECONDS.observe(time.monotonic() - state.intake.pending.received)
        self._stored(Published(entry, before, changed, state.counts()))

    def _stored(self, published: Published) -> None:
        """A version of ours is in the log."""
        state = self._state
        state.leadership.wrote(time.monotonic())
        metrics.PUBLISHED.labels("base" if published.entry.delta.rebased else "delta").inc()
        state.announcer.published(published)
        self._background.write_base_if_due()

    def _agreed(self, held_back: set[ResourceKey]) -> None:
        """The log holds what is compiled, but for ``held_back``."""
        state = self._state
        self._unpublished = held_back
        state.leadership.agreed()
        state.intake.published()
        state.last_error = ""
        self._background.tell()
        if not state.in_step:
            state.in_step = True
            gc.collect()
            gc.freeze()  # the world as it was at the start stays, by and large

    def _say_held(self) -> None:
        held = self._state.held
        if held is not None and not self._said_held:
            log(
                _log,
                logging.WARNING,
                "a mass removal is held for a second look; `limen approve` lets it pass",
                routes_now=held.routes_now,
                routes_after=held.routes_after,
            )
        self._said_held = held is not None


def _changed(change: Change, served: dict[ResourceKey, bytes]) -> tuple[Changed, ...]:
    """Every resource that is another after ``change`` than in ``served``."""
    put = (
        Changed(record.key, served.get(record.key), record.body)
        for record in change.upserts
        if served.get(record.key) != record.body
    )
    return (*put, *(Changed(key, served[key], None) for key in change.removals if key in served))


def _count_routes(records: dict[ResourceKey, bytes]) -> int:
    """How many routes Ingresses own in a table."""
    count = 0
    for key, body in records.items():
        if key.kind in ("virtualhost", "routegroup"):
            try:
                resource = decode_resource(ResourceRecord(key.kind, key.name, body))
            except DecodeError:  # of another release, in the log: what cannot be read has no routes to lose
                continue
            assert isinstance(resource, VirtualHost | RouteGroup)
            count += sum(bool(route.ingress) and not route.synthetic for route in resource.routes)
    return count
