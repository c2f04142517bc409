"""The compiler's loop: the one owner of its state.

What can happen (``inbox``), and what each does:

    object changed      the watcher published an object         → feed → hold → dirty
    beacon              the watcher says how far it is          → feed agrees, or the objects are read again; hold
    log moved           a version was stored (by another)       → the published table follows
    accepted            another compiler accepted an Ingress    → an input of the compile
    connected / lost    the bus is there again, or lost messages → read log and objects again
    approve             somebody lets a held removal pass       → dirty
    report              an edge says what it serves             → status; a proof ahead of the log → a new epoch
    base written        a base is on the bus                    → the next delta names it
    check due, tick     compare the bus with what should be there; retry what failed; a standby's patience ran out

Each turn takes everything that piled up while the last compile or publish was in flight, folds it in, compiles what is
dirty once, and publishes what differs. The first change fires at once: nothing waits by the clock, except a standby
that gives the active compiler a moment. When the bus fails, what is unknown is marked as such and read again.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time

from proto.objects import Ingress
from proto.reports import to_json
from proto.resources import ResourceKey
from services.compiler import metrics, streams
from services.compiler.background import Background
from services.compiler.events import Changed, Published
from services.compiler.inbox import (
    AcceptedSeen,
    ApprovalAsked,
    BaseWritten,
    BeaconSeen,
    CheckDue,
    Connected,
    DeltaSeen,
    Event,
    MessagesLost,
    ObjectSeen,
    ReportSeen,
    Tick,
)
from services.compiler.signed import Entry
from services.compiler.state import State
from services.compiler.table import Change, Position
from services.runtime.bus import BusError, NotConnected, SequenceConflict, StreamMissing
from services.runtime.logs import log

_log = logging.getLogger(__name__)

SLICE = 500
"""Objects of a complete read that are folded in before others get a turn."""
BEACON_GRACE = 1.0
"""Seconds after which objects that a beacon counts and that did not arrive are lost, not late."""
REREAD_PAUSE = 1.0
LONGEST_REREAD_PAUSE = 60.0
"""Seconds between complete reads while the watcher's digest stays another, doubled each time."""


class Loop:
    """See the module. ``state`` changes in this loop alone."""

    def __init__(self, state: State, background: Background) -> None:
        self._state = state
        self._background = background
        self._unpublished: set[ResourceKey] = set()
        self._streams_needed = self._accepted_needed = True
        self._log_needed = True
        self._objects_needed = ""
        self._reports_needed = True
        self._behind_since = 0.0
        self._last_reread = 0.0
        self._reread_pause = REREAD_PAUSE
        self._first = True
        self._compiled = False  # whether the compiled table is whole: it may be published
        self._in_doubt: Published | None = None
        self._waking: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            for event in await self._state.inbox.take():
                self._fold(event)
            await self._settle()

    # --- folding ------------------------------------------------------------------------------------------------

    def _fold(self, event: Event) -> None:
        state, now = self._state, time.monotonic()
        metrics.EVENTS.labels(type(event).__name__).inc()
        match event:
            case ObjectSeen(admitted, received):
                state.intake.live(admitted, received)
            case BeaconSeen(beacon):
                state.beacon_at = now
                state.intake.take_beacon(beacon, now)
            case DeltaSeen(entry):
                self._log_moved(entry, now)
            case AcceptedSeen(subject, data, ingress):
                if state.accepted.follow(subject, data):
                    self._last_good_is(ingress)
            case ReportSeen(subject, report):
                proof = state.edges.note(subject, report, now)
                position = Position(proof.epoch, proof.version) if proof else Position()
                if proof is not None and position > state.log.highest and state.log.proven(proof):
                    log(_log, logging.WARNING, "an edge holds a version that the log lacks", held=str(position))
                    state.log.learn(position)
                    self._log_needed = True
            case Connected():
                self._streams_needed = self._accepted_needed = self._log_needed = self._reports_needed = True
                self._objects_needed = "connected"
            case MessagesLost():
                self._accepted_needed = self._log_needed = self._reports_needed = True
                self._objects_needed = "slow"
            case ApprovalAsked(reply):
                self._approve(reply, now)
            case BaseWritten(ref, sequence):
                if ref.epoch == state.log.position.epoch:
                    state.log.rebase(ref, sequence)
            case CheckDue():
                self._streams_needed = self._log_needed = True
            case Tick():
                self._tick(now)

    def _approve(self, reply: str, now: float) -> None:
        """Let what is held pass. Every compiler does; only the active one answers (JSON null: nothing was held)."""
        state, held = self._state, self._state.held
        if held is not None:
            log(_log, logging.WARNING, "mass removal approved", routes=held.routes_now - held.routes_after)
            state.intake.approve(now)
        if reply and state.active:
            self._background.send(reply, to_json(held) if held is not None else b"null")

    def _last_good_is(self, ingress: Ingress) -> None:
        self._state.compiler.set_accepted(ingress)
        self._state.intake.dirty = True

    def _log_moved(self, entry: Entry, now: float) -> None:
        table_log = self._state.log
        if entry.position <= table_log.position:
            return
        self._state.leadership.read_foreign(now)
        touched = table_log.follow(entry)
        if touched is None:
            self._log_needed = True
        else:
            self._unpublished |= touched
            if entry.delta.cause.reason == "approve" and self._state.held is not None:
                self._state.intake.approve(now)

    def _tick(self, now: float) -> None:
        state = self._state
        state.lose_silent_edges(now)
        feed, beacon = state.intake.feed, state.intake.beacon
        agreement = feed.agreement(beacon) if beacon is not None else "agrees"
        if agreement == "behind":
            self._behind_since = self._behind_since or now
            if now - self._behind_since > BEACON_GRACE:
                self._reread("behind", now)
        elif agreement == "differs":
            self._reread("differs", now)
        else:
            self._behind_since = 0.0
            self._reread_pause = REREAD_PAUSE

    def _reread(self, cause: str, now: float) -> None:
        """Read the objects again, ever more seldom while that does not bring agreement."""
        if now - self._last_reread > self._reread_pause:
            self._objects_needed = self._objects_needed or cause
            self._reread_pause = min(self._reread_pause * 2, LONGEST_REREAD_PAUSE)

    # --- settling -----------------------------------------------------------------------------------------------

    async def _settle(self) -> None:
        """Bring the bus and this process in step, as far as the bus lets us. What is still to be done stays marked."""
        for _ in range(8):
            try:
                if self._state.bus.connected:
                    await self._read_what_is_needed()
                    await self._publish_what_differs()
                return
            except SequenceConflict:
                metrics.CONFLICTS.inc()
                self._log_needed = True
            except StreamMissing as error:
                _log.warning("%s: making it again", error)
                self._streams_needed = self._log_needed = True
            except NotConnected:
                self._log_needed = True
                return  # ``Connected`` will come
            except BusError as error:
                log(_log, logging.WARNING, "the bus did not do what was asked; trying again", error=str(error))
                self._state.last_error = str(error)
                self._log_needed = True
                return  # with the next tick

    async def _read_what_is_needed(self) -> None:
        state = self._state
        if self._streams_needed:
            await streams.ensure(state.bus, state.subjects, state.options.replicas)
            self._accepted_needed |= not await state.accepted.agrees()
            self._streams_needed = False
        if self._accepted_needed:
            for ingress in await state.accepted.read():
                self._last_good_is(ingress)
            self._accepted_needed = False
        if self._reports_needed:
            for stored in await state.bus.last_of_each(
                f"KV_{state.subjects.edges_bucket}", state.subjects.edge_reports
            ):
                seen = state.report(stored.subject, stored.data)
                if seen is not None:
                    self._fold(seen)
            self._reports_needed = False
        if self._log_needed:
            await self._catch_up()
        if state.intake.feed.gap:
            self._objects_needed = self._objects_needed or "gap"
        if self._objects_needed:
            await self._read_objects()

    async def _catch_up(self) -> None:
        table_log = self._state.log
        before = table_log.head
        self._unpublished |= await table_log.catch_up()
        self._log_needed = False
        doubt, self._in_doubt = self._in_doubt, None
        head = table_log.head
        if head is not None and doubt is not None and head.proof == doubt.entry.proof:
            self._stored(doubt)  # it had been stored after all
        elif head is not None and before is not None and head.position > before.position:
            self._state.leadership.read_foreign(time.monotonic())
        if head is not None and not table_log.lost and not await self._background.base_is_whole(head.delta.base):
            log(_log, logging.WARNING, "the base of the newest version is damaged; publishing a new one")
            table_log.broken = True

    async def _read_objects(self) -> None:
        """Every object that the bus holds, folded in; what is missing there waits for the watcher's word."""
        state = self._state
        cause, self._objects_needed = self._objects_needed, ""
        metrics.REREADS.labels(cause).inc()
        self._last_reread = time.monotonic()
        try:
            messages = await state.bus.last_of_each(state.subjects.objects_stream, state.subjects.objects)
        except StreamMissing:
            return  # the watcher makes it; the first object is an event
        except BusError:
            self._objects_needed = cause
            raise
        held = set()
        for number, stored in enumerate(messages, 1):
            admitted = state.admit(stored.subject, stored.data)
            if admitted is not None:
                held.add(admitted.envelope.key)
                state.intake.read(admitted, self._last_reread)
            if number % SLICE == 0:
                await asyncio.sleep(0)
        state.intake.finish_read(held, self._last_reread)
        self._behind_since = 0.0

    # --- compiling and publishing -------------------------------------------------------------------------------

    async def _publish_what_differs(self) -> None:
        state = self._state
        self._compile()
        if not self._compiled or self._log_needed:
            return
        if state.log.must_publish:
            await self._start_over()
            return
        wanted, published = state.compiler.table, state.log.table
        differs = published.change_towards(wanted, self._unpublished)
        change = state.intake.start_hold.filter(differs, published.records, wanted, state.intake.feed, time.time())
        if not change:
            self._agreed(differs.touched())
        elif not await self._waits():
            await self._append(change, published.records, state.log.position, differs.touched() - change.touched())

    def _compile(self) -> None:
        state = self._state
        state.intake.release(time.time(), time.monotonic())
        if not state.intake.synced or not (state.intake.dirty or self._first):
            return
        started = time.perf_counter()
        try:
            compiled = state.compiler.compile()
        except Exception as error:  # an error of ours must not stop what is served, nor the next try
            _log.exception("the compile failed; what is published stays")
            metrics.COMPILE_FAILURES.inc()
            state.last_error = f"compile failed: {error!r}"
            state.intake.dirty = self._compiled = False
            return
        metrics.COMPILE_SECONDS.observe(time.perf_counter() - started)
        state.intake.dirty = False
        self._first = False
        if not self._compiled:
            self._compiled = True
            self._unpublished = {*state.compiler.table, *state.log.table.records}
        self._unpublished.update(record.key for record in compiled.upserts)
        self._unpublished.update(compiled.removals)
        state.findings.add(compiled)

    async def _start_over(self) -> None:
        """The log is lost or its table cannot be rebuilt: everything that was compiled goes as a new base."""
        state = self._state
        served, before = state.log.table.records, state.log.position
        lost = state.log.lost
        state.log.start_over()
        change = state.log.table.change_towards(state.compiler.table, state.compiler.table)
        if lost and before > Position():
            state.intake.reason = "log lost"
        elif state.log.broken:
            state.intake.reason = "repair"
        await self._append(change, served, before, set())

    async def _waits(self) -> bool:
        """Whether somebody else is to write first. A standby whose patience is over makes sure that it has seen all
        that the active compiler can have seen: an answer of the server comes after everything sent before it."""
        state = self._state
        seconds = state.leadership.wait(time.monotonic())
        if seconds > 0:
            self._wake_in(seconds)
            return True
        if state.leadership.active(time.monotonic()):
            return False
        await state.bus.state(state.subjects.objects_stream)
        await asyncio.sleep(0.005)
        return len(state.inbox) > 0  # then the news is folded first, and we are here again

    def _wake_in(self, seconds: float) -> None:
        if self._waking is not None:
            self._waking.cancel()
        self._waking = asyncio.get_running_loop().call_later(seconds, self._state.inbox.put, Tick())

    async def _append(
        self, change: Change, served: dict[ResourceKey, bytes], before: Position, left: set[ResourceKey]
    ) -> None:
        """Publish ``change``. ``served``, ``before``: the table and the position that it replaces; ``left``: resources
        that differ and are not published yet."""
        state = self._state
        started = time.perf_counter()
        changed = _changed(change, served, whole=state.log.must_publish)
        cause = state.intake.carried()
        try:
            entry = await state.log.append(change, cause, time.time())
        except SequenceConflict:
            raise
        except BusError:
            doubt = state.log.attempted
            self._in_doubt = Published(doubt, before, changed, state.counts()) if doubt else None
            raise
        metrics.PUBLISH_SECONDS.observe(time.perf_counter() - started)
        if state.intake.pending.received:
            metrics.REACTION_SECONDS.observe(time.monotonic() - state.intake.pending.received)
        self._stored(Published(entry, before, changed, state.counts()))
        self._agreed(left)

    def _stored(self, published: Published) -> None:
        """A version of ours is in the log."""
        state, entry = self._state, published.entry
        state.leadership.wrote(time.monotonic())
        state.version_since = time.time()
        state.last_error = ""
        metrics.PUBLISHED.labels("base" if entry.delta.rebased else "delta").inc()
        state.announcer.published(published)
        self._background.write_base_if_due(state.log)

    def _agreed(self, left: set[ResourceKey]) -> None:
        """The log holds what is compiled, but for ``left``, which a hold keeps back."""
        state = self._state
        self._unpublished = left
        state.leadership.agreed()
        state.intake.published()
        self._background.tell()
        if not state.in_step:
            state.in_step = True
            gc.collect()
            gc.freeze()  # the world as it was at the start stays, by and large


def _changed(change: Change, served: dict[ResourceKey, bytes], *, whole: bool) -> tuple[Changed, ...]:
    """Every resource that is another afterwards than in ``served``. ``whole``: ``change`` is all of the new table."""
    upserts = {record.key: record.body for record in change.upserts}
    gone = [key for key in served if key not in upserts] if whole else change.removals
    put = (Changed(key, served.get(key), body) for key, body in upserts.items() if served.get(key) != body)
    return (*put, *(Changed(key, served[key], None) for key in gone if key in served))
