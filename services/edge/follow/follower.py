"""Following the log: live deltas at once, and reading up whenever something may have been missed.

Four things happen here, all in one loop: a live delta that leads on is put in force on the spot; one that does not
wakes the catch-up; a new connection, a loss and the passing of time wake it too; and a catch-up compares the bus'
head with what is served and reads what is missing, as deltas if it can, else as a base. Nothing goes back: only a
greater (epoch, version) is ever taken. Owns that decision; must not know files, sockets, or how a generation is
built.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from proto.codec import DecodeError, inflate_base
from proto.signing import Verifier
from proto.snapshots import Position
from proto.subjects import Subjects
from services.edge.follow.fetch import MAX_RUN, Fetcher, Head, UnavailableError
from services.edge.follow.generations import Generations
from services.edge.follow.incoming import NOWHERE, Opened, Reason, RejectedError, open_delta
from services.edge.follow.unpack import slices
from services.runtime.bus import Bus, BusError, Message, StreamMissing
from services.runtime.logs import log
from services.runtime.seldom import Seldom

_log = logging.getLogger(__name__)

CHECK_EVERY: Final = (20.0, 40.0)
"""Seconds between two looks at the head, at random."""
CHECK_EVERY_WHILE_EMPTY: Final = (0.5, 1.0)
RETRY_PAUSE: Final = 0.02
RETRY_FROM: Final = 0.1
RETRY_TO: Final = 5.0
"""After a catch-up that failed: a short pause, then full jitter below a bound that doubles from the one to the other,
cut short by any sign that it may now succeed."""
SPREAD: Final = 0.2
SPREAD_WHILE_SERVING: Final = 1.0
"""Seconds over which edges that start, or reconnect, together spread the reading of a base."""
SPREAD_FROM_SIZE: Final = 64 * 1024
STALE_AFTER: Final = 60.0
"""Seconds without a word from the bus after which what is served is called stale."""
REFUSED_PAUSE: Final = 0.5
"""Seconds after a refused version in which newer ones only pile up: each may be as bad, and reading costs time."""
SAY_EVERY: Final = 1.0
"""Seconds between two lines about rejections for one reason: a flood of forgeries must not become one of lines."""
MAX_WAITING: Final = 256
"""Live deltas that wait for a catch-up; when there are more, only the catch-up's end counts and it runs again."""


class Follower:
    """See the module."""

    def __init__(self, bus: Bus, subjects: Subjects, verifier: Verifier, generations: Generations) -> None:
        self._bus = bus
        self._subjects = subjects
        self._verifier = verifier
        self._fetcher = Fetcher(bus, subjects, verifier, lambda error: self._reject(error, "entry of the log"))
        self._generations = generations
        self._wake = asyncio.Event()
        self._waiting: dict[Position, tuple[Opened, float]] = {}
        self._refused: Position = NOWHERE
        self._said_older: Position = NOWHERE
        self._rejections = Seldom(SAY_EVERY)
        self._confirmed_at = float("-inf")
        self.rejected: Counter[Reason] = Counter()
        self.catch_ups = 0
        self.error = ""
        """Why a version that the compiler did sign was refused; empty while everything signed is in force."""
        self._error_listeners: list[Callable[[], None]] = []
        self._older_listeners: list[Callable[[], None]] = []

    def on_older(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever the bus shows a version older than what is served: whoever writes may not know of
        it. It must not block."""
        self._older_listeners.append(listener)

    def on_error_changed(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever ``error`` changes; it must not block."""
        self._error_listeners.append(listener)

    @property
    def stale(self) -> bool:
        """Whether newer versions may exist that this edge has not heard of."""
        return time.monotonic() - self._confirmed_at > STALE_AFTER

    async def listen(self) -> None:
        """Subscribe to live deltas, and be told of whatever may have made one go missing."""
        self._bus.on_connected(self._look)
        self._bus.on_loss(self._look)
        await self._bus.subscribe(self._subjects.live_delta, self._on_live)

    async def run(self) -> None:
        """Follow for ever. ``listen`` comes first."""
        bound = RETRY_FROM
        while True:
            if await self._catch_up_or_say_why():
                bound = RETRY_FROM
                await self._sleep(random.uniform(*self._pause()))  # noqa: S311 - spreads load, guards nothing
            else:
                await asyncio.sleep(RETRY_PAUSE)
                await self._sleep(random.uniform(0, bound))  # noqa: S311
                bound = min(bound * 2, RETRY_TO)

    def _pause(self) -> tuple[float, float]:
        return CHECK_EVERY if self._generations.generation is not None else CHECK_EVERY_WHILE_EMPTY

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _look(self) -> None:
        self._wake.set()

    # --- live -------------------------------------------------------------------------------------------------

    async def _on_live(self, message: Message) -> None:
        received = time.perf_counter()
        try:
            self._take(open_delta(message.data, self._verifier), received)
        except RejectedError as error:
            self._reject(error, "live message")

    def _take(self, opened: Opened, received: float) -> None:
        """Put ``opened`` in force if it leads on from what is served, else see to it that it is caught up with.

        Raises RejectedError.
        """
        generations = self._generations
        if not generations.accepts(opened.position):
            self._refuse_old(opened)
        leads_on = opened.position == generations.next_position and not opened.delta.rebased
        if not leads_on:
            self._wait(opened, received)
            self._wake.set()
            return
        try:
            generations.advance([opened], received)
        except RejectedError as error:
            if error.reason == "digest":  # this table or that delta is wrong: a base tells
                self._wake.set()
            else:
                self._refused = opened.position
            raise
        self._accepted(opened.position)

    def _refuse_old(self, opened: Opened) -> None:
        if opened.position == self._generations.position:
            self._check_same(opened)
        else:
            self._tell_older()
        raise RejectedError("old", f"version {opened.position} is not newer than {self._generations.position}")

    def _check_same(self, opened: Opened) -> None:
        """After a log was rolled back, a compiler may reach a version a second time before it learns of the first."""
        proof = self._generations.proof
        if proof is not None and proof.digest != opened.proof.digest:
            message = f"a second version {opened.position} with other content was signed; a new epoch resolves it"
            raise RejectedError("conflict", message, trusted=True)

    def _wait(self, opened: Opened, received: float) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.clear()
        self._waiting[opened.position] = (opened, received)

    def _take_waiting(self) -> None:
        """Put in force what arrived during a catch-up and leads on from where it ended."""
        waiting, self._waiting = self._waiting, {}
        for position in sorted(waiting):
            opened, received = waiting[position]
            if position == self._generations.next_position and not opened.delta.rebased:
                self._generations.advance([opened], received)
                self._accepted(position)
            elif self._generations.accepts(position):
                self._waiting[position] = (opened, received)
                self._wake.set()

    # --- catching up ------------------------------------------------------------------------------------------

    async def _catch_up_or_say_why(self) -> bool:
        """Whether there is nothing more to catch up with at present."""
        self._wake.clear()
        if not self._bus.connected:
            return True  # the next connection wakes it
        try:
            await self._catch_up()
            self._take_waiting()
        except StreamMissing:
            return True  # no compiler has been here yet
        except RejectedError as error:
            self._reject(error, "catch-up")
            if error.trusted:  # it will not change by being read again; what follows it may be better, but not at once
                await asyncio.sleep(REFUSED_PAUSE)
            return error.trusted
        except (DecodeError, UnavailableError, BusError) as error:
            log(_log, logging.WARNING, "cannot catch up", reason=str(error), version=str(self._generations.position))
            return False
        except Exception:
            # a fault in here must not end the process that serves traffic
            _log.exception("cannot catch up from version %s", self._generations.position)
            return False
        return True

    async def _catch_up(self) -> None:
        received = time.perf_counter()
        head = await self._fetcher.head()
        if head is None:
            return
        position = head.opened.position
        if position == self._generations.position:
            self._check_same(head.opened)
            self._confirmed_at = time.monotonic()
            return
        if position == self._refused:
            return
        if not self._generations.accepts(position):
            self._say_older(position)
            return
        self.catch_ups += 1
        try:
            await self._read_up(head, received)
        except RejectedError as error:
            if error.trusted:
                self._refused = position
            raise
        if self._generations.position >= position:
            self._accepted(self._generations.position)
        else:
            self._wake.set()  # a live delta came between; the next look finds the new distance

    async def _read_up(self, head: Head, received: float) -> None:
        generations, delta = self._generations, head.opened.delta
        if generations.generation is not None and delta.digest == generations.table.digest:
            generations.relabel(head.opened, received)
            return
        if self._deltas_lead_there(head):
            try:
                chain = await self._fetcher.run(generations.position.version, head)
            except UnavailableError:
                await self._read_base(head, received)
                return
            still_new = [opened for opened in chain if opened.position > generations.position]
            try:
                if still_new:
                    generations.advance(still_new, received)
                return
            except RejectedError as error:
                if error.reason != "digest":
                    raise
                self._reject(error, "catch-up")
        await self._read_base(head, received)

    def _deltas_lead_there(self, head: Head) -> bool:
        present, delta = self._generations.position, head.opened.delta
        if self._generations.generation is None or delta.epoch != present.epoch or delta.rebased:
            return False
        behind = delta.version - present.version
        return behind <= MAX_RUN or delta.base.version <= present.version

    async def _read_base(self, head: Head, received: float) -> None:
        ref = head.opened.delta.base
        if ref.size > SPREAD_FROM_SIZE:
            spread = SPREAD if self._generations.generation is None else SPREAD_WHILE_SERVING
            await asyncio.sleep(random.uniform(0, spread))  # noqa: S311
        packed = await self._fetcher.base(ref)
        chain = await self._fetcher.run(ref.version, head)
        data = await asyncio.to_thread(inflate_base, packed)
        await self._generations.rebase(slices(data), chain, head.opened, received)

    def _say_older(self, position: Position) -> None:
        """Once for each version: a log that was rolled back stays so until a compiler begins a new epoch."""
        if position != self._said_older:
            self._said_older = position
            self._tell_older()
            fields = {"bus": str(position), "served": str(self._generations.position)}
            log(_log, logging.WARNING, "the bus holds an older version; serving on", **fields)

    def _tell_older(self) -> None:
        for listener in self._older_listeners:
            listener()

    # --- what became of it ------------------------------------------------------------------------------------

    def _accepted(self, position: Position) -> None:
        self._confirmed_at = time.monotonic()
        if self.error and position >= self._refused:
            self._set_error("")

    def _reject(self, error: RejectedError, where: str) -> None:
        self.rejected[error.reason] += 1
        unsaid = self._rejections.more(error.reason)
        if unsaid is not None:
            level = logging.DEBUG if error.reason == "old" else logging.WARNING
            log(_log, level, f"{where} refused", reason=error.reason, what=str(error), more_unsaid=unsaid)
        if error.trusted:
            self._set_error(str(error))

    def _set_error(self, error: str) -> None:
        if error != self.error:
            self.error = error
            for listener in self._error_listeners:
                listener()
