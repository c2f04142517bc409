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
import logging
import time

from proto.objects import Ingress
from proto.reports import to_json
from proto.snapshots import Position
from services.compiler import metrics, streams
from services.compiler.background import Background
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
from services.compiler.publishing import Publishing
from services.compiler.signed import Entry
from services.compiler.state import State
from services.runtime.bus import BusError, NotConnected, SequenceConflict, StreamMissing
from services.runtime.logs import log
from services.runtime.repeats import Repeats

_log = logging.getLogger(__name__)

SLICE = 500
"""Objects of a complete read that are folded in before others get a turn."""
HANDED_OVER = 0.005
"""Seconds within which messages that have arrived in this process have come to the inbox."""
BEACON_GRACE = 1.0
"""Seconds after which objects that a beacon counts and that did not arrive are lost, not late."""
REREAD_PAUSE = 1.0
LONGEST_REREAD_PAUSE = 60.0
"""Seconds between complete reads while the watcher's digest stays another, doubled each time."""
DOUBT_PATIENCE = 35.0
"""Seconds for which objects that may not be the watcher's word are not published although it speaks: it compares the
bus with what it left every 30."""


class Loop:
    """See the module. ``state`` changes in this loop alone."""

    def __init__(self, state: State, background: Background) -> None:
        self._state = state
        self._background = background
        self._publishing = Publishing(state, background)
        self._streams_needed = self._accepted_needed = True
        self._log_needed = True
        self._objects_needed = ""
        self._reports_needed = True
        self._behind_since = 0.0
        self._last_reread = 0.0
        self._reread_pause = REREAD_PAUSE
        self._waking: asyncio.TimerHandle | None = None
        self._overwritten = False
        self._doubted_since = 0.0
        self._refusals = Repeats()

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
                state.log.take_base(ref, sequence)
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
        touched = table_log.follow(entry)
        if touched is None:
            self._log_needed = True
        else:
            self._publishing.moved(touched)
            self._follow_others(now)

    def _follow_others(self, now: float) -> None:
        """Another compiler wrote the newest version."""
        self._state.leadership.read_foreign(now)
        if self._publishing.others_let_go():
            log(_log, logging.WARNING, "another compiler let the held removal pass; so does this one")
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
                    self._refusals.over()
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
                if text := self._refusals.due(str(error)):
                    log(_log, logging.WARNING, "the bus did not do what was asked; trying again", error=text)
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
        before = table_log.position
        self._publishing.moved(await table_log.catch_up())
        self._log_needed = False
        if not self._publishing.caught_up() and table_log.position > before > Position():
            self._follow_others(time.monotonic())
        head = table_log.head
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
        self._overwritten = False
        state.intake.begin_read()
        for number, stored in enumerate(messages, 1):
            admitted = state.admit(stored.subject, stored.data)
            if admitted is not None:
                held.add(admitted.envelope.key)
                state.intake.read(admitted, self._last_reread)
            else:
                self._overwritten = True
            if number % SLICE == 0:
                await asyncio.sleep(0)
        state.intake.finish_read(held, self._last_reread)
        self._behind_since = 0.0

    # --- publishing ---------------------------------------------------------------------------------------------

    async def _publish_what_differs(self) -> None:
        publishing, state = self._publishing, self._state
        if not publishing.compile() or self._log_needed or self._doubts_objects(time.monotonic()):
            return
        if state.log.must_publish:
            await publishing.start_over()
            return
        change, held_back = publishing.difference()
        if not change or self._waits():
            return
        if not state.leadership.active(time.monotonic()):
            await self._see_what_was_said()
            if self._needs_reading or not publishing.compile():
                self._state.inbox.put(Tick())
                return
            change, held_back = publishing.difference()
        if change:
            await publishing.publish(change, held_back)

    def _doubts_objects(self, now: float) -> bool:
        """Whether nothing is published yet because what the bus holds may not be the watcher's word: the log was rolled
        back, so objects may be older ones too; or somebody without the key wrote over an object. What edges serve
        is newer or more complete; a watcher that is there puts the bus right and says so in a beacon."""
        state = self._state
        rolled_back = state.log.lost and state.log.head is not None
        if state.intake.confirmed or not (rolled_back or self._overwritten):
            self._doubted_since = 0.0
            return False
        if not self._doubted_since:
            _log.warning(
                "objects on the bus may be old or forged: nothing is published before the watcher confirms them"
            )
        if not self._doubted_since or state.intake.beacon is None:
            self._doubted_since = now
        if now - self._doubted_since < DOUBT_PATIENCE:
            return True
        _log.warning("the watcher counts other objects than the bus holds; publishing what the bus holds")
        self._overwritten, self._doubted_since = False, 0.0
        return False

    def _waits(self) -> bool:
        """Whether somebody else is to write first; then the loop is woken when this one's patience is over."""
        seconds = self._state.leadership.wait(time.monotonic())
        if seconds <= 0:
            return False
        if self._waking is not None:
            self._waking.cancel()
        self._waking = asyncio.get_running_loop().call_later(seconds, self._state.inbox.put, Tick())
        return True

    async def _see_what_was_said(self) -> None:
        """Fold in all that the active compiler can have seen before it wrote its last version: an answer of the server
        comes after everything that it sent before. So a standby that was slow does not write what is old."""
        await self._state.bus.state(self._state.subjects.objects_stream)
        await asyncio.sleep(HANDED_OVER)
        for event in self._state.inbox.take_now():
            self._fold(event)

    @property
    def _needs_reading(self) -> bool:
        return bool(self._log_needed or self._accepted_needed or self._objects_needed or self._state.intake.feed.gap)
