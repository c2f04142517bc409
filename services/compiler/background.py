"""What happens beside the loop, so that it never delays a version: bases, findings, accepted versions, pruning.

Owns these tasks. They read the loop's state only at their start and report back through the inbox; every failure of
the bus is logged and made good by the next round.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, ParamSpec

from proto.reports import to_json
from proto.snapshots import BaseRef
from services.compiler import metrics, streams
from services.compiler.certificates import DAY, expiring
from services.compiler.history import History
from services.compiler.inbox import BaseWritten, CheckDue, Tick
from services.compiler.log import Log
from services.compiler.state import State
from services.compiler.statefile import StateFile
from services.runtime.bus import BusError, NotConnected, StreamMissing
from services.runtime.logs import log
from services.runtime.repeats import Repeats

_log = logging.getLogger(__name__)

CHECK_EVERY: Final = 30.0
"""Seconds between comparisons of the bus with what should be there, with jitter."""
PRUNE_EVERY: Final = 60.0
LEAST_BASE_BYTES: Final = 256 * 1024
"""Deltas of fewer bytes than this since the last base are no reason for a new one."""

P = ParamSpec("P")


class Background:
    """See the module."""

    def __init__(self, state: State, file: StateFile) -> None:
        self._state = state
        self._file = file
        self._tasks: set[asyncio.Task[None]] = set()
        self._repeats: dict[str, Repeats] = {}
        self._writing_base = False
        self._was_active = True
        self._writing_accepted = False
        self._history = History(state.bus, state.subjects, state.verifier, state.options.history)
        self._bases_seen: tuple[str, int, int, int] | None = None

    def _spawn(self, name: str, work: Callable[P, Awaitable[None]], *args: P.args, **kwargs: P.kwargs) -> None:
        task = asyncio.get_running_loop().create_task(self._guard(name, work, *args, **kwargs), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guard(self, name: str, work: Callable[P, Awaitable[None]], *args: P.args, **kwargs: P.kwargs) -> None:
        repeats = self._repeats.setdefault(name, Repeats())
        try:
            await work(*args, **kwargs)  # called here: a task that is ended before it began leaves nothing unawaited
        except NotConnected:
            return
        except BusError as error:
            if text := repeats.due(str(error)):
                log(_log, logging.WARNING, "not done, will be tried again", what=name, error=text)
        except Exception as error:
            if text := repeats.due(f"{type(error).__name__}: {error}"):
                _log.exception("%s failed: %s", name, text)
        else:
            repeats.over()

    async def close(self) -> None:
        """End what runs."""
        for task in (tasks := list(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- timers -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Tick every second; check, prune and look at certificates now and then."""
        next_check = time.monotonic() + CHECK_EVERY * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load
        next_prune = time.monotonic() + PRUNE_EVERY
        next_certificates = 0.0
        while True:
            await asyncio.sleep(1.0)
            now = time.monotonic()
            self._state.inbox.put(Tick())
            self._take_over()
            self._file.write(self._state.log.highest)
            if now >= next_check:
                next_check = now + CHECK_EVERY * random.uniform(0.8, 1.2)  # noqa: S311
                self._spawn("checking the bus", self._check)
            if now >= next_prune and self._state.active:
                next_prune = now + PRUNE_EVERY
                self.prune()
            if self._state.ready and now >= next_certificates:
                next_certificates = now + DAY
                self.look_at_certificates()

    def _take_over(self) -> None:
        """When this compiler has become the active one, it says everything again: the one before may not have come to
        it."""
        active = self._state.active and self._state.ready
        if active and not self._was_active:
            self.send(self._state.subjects.findings, *map(to_json, self._state.findings.complete()))
        self._was_active = active
        self.write_accepted()

    async def _check(self) -> None:
        """Compare the bus with what should be there, beside the loop; the loop looks closer only if something is off
        (or if it was busy meanwhile: looking closer harms nothing)."""
        try:
            sound = await self._is_sound()
        except StreamMissing:
            sound = False
        if not sound:
            self._state.inbox.put(CheckDue())

    async def _is_sound(self) -> bool:
        state = self._state
        head = state.log.head
        stored = await state.bus.last(state.subjects.deltas_stream, state.subjects.delta)
        for spec in streams.specs(state.subjects, state.options.replicas):
            if await state.bus.state(spec.name) is None:
                return False
        if head is None or stored is None or stored.sequence != head.sequence or await state.log.has_new_holes():
            return False
        return await self.base_is_whole(head.delta.base) and await state.accepted.agrees()

    def look_at_certificates(self) -> None:
        """Say which certificates end soon."""
        ending = expiring(self._state.compiler.table, time.time())
        metrics.CERTIFICATES_EXPIRING.set(len(ending))
        if self._state.active:
            self._state.announcer.say(tuple(ending))

    def prune(self) -> None:
        """Drop what is too old of the log and the bases."""
        head = self._state.log.head
        if head is not None and not self._state.log.must_publish:
            self._spawn("pruning", self._history.prune, head, time.time())

    # --- bases --------------------------------------------------------------------------------------------------

    def write_base_if_due(self) -> None:
        """Begin to write a base of the newest version when edges that start would read too many deltas."""
        table_log = self._state.log
        base, head = table_log.base, table_log.head
        if self._writing_base or base is None or head is None:
            return
        few = table_log.since_base < self._state.options.history.base_every
        if few and table_log.bytes_since_base <= max(base.size, LEAST_BASE_BYTES):
            return
        self._writing_base = True
        self._spawn("writing a base", self._write_base, table_log)

    async def _write_base(self, table_log: Log) -> None:
        head = table_log.head
        assert head is not None, "only a log with a head gets a base"
        try:
            ref = await table_log.bases.write(table_log.table.all_records(), head.position, head.delta.digest)
        finally:
            self._writing_base = False
        self._state.inbox.put(BaseWritten(ref, head.sequence))

    async def base_is_whole(self, ref: BaseRef) -> bool:
        """Whether the base can still be read; looks at its bytes only if the stream is not as it was seen last."""
        state = await self._state.bus.state(self._state.subjects.bases_stream)
        seen = (state.created, state.messages, ref.epoch, ref.version) if state else None
        if seen is not None and seen == self._bases_seen:
            return True
        if state is None or not await self._state.log.bases.is_whole(ref):
            return False
        self._bases_seen = seen
        return True

    # --- telling ------------------------------------------------------------------------------------------------

    def tell(self) -> None:
        """The log holds what was compiled: tell the watcher and the observers, keep what was accepted."""
        state = self._state
        news = state.findings.take(state.accepted.holds)
        if news is None:
            return
        state.accepted.want(news.accepted, news.forgotten)
        if not state.active:
            return
        state.announcer.say(news.events, state.log.head.delta.cause.trace if state.log.head else "")
        for findings in news.findings:
            self.send(state.subjects.findings, to_json(findings))
        self.write_accepted()

    def write_accepted(self) -> None:
        """Begin to write what was accepted and is not stored yet."""
        if self._state.accepted.pending and not self._writing_accepted and self._state.active:
            self._writing_accepted = True
            self._spawn("storing accepted Ingresses", self._write_accepted)

    async def _write_accepted(self) -> None:
        try:
            await self._state.accepted.write()
        finally:
            self._writing_accepted = False

    def send(self, subject: str, *messages: bytes) -> None:
        """Send core messages."""
        self._spawn(f"sending on {subject}", self._send, subject, messages)

    async def _send(self, subject: str, messages: tuple[bytes, ...]) -> None:
        for message in messages:
            await self._state.bus.publish(subject, message)
