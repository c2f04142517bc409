"""The publisher: sends what the outbox holds, and keeps the stream as the outbox believes it to be.

Owns the stream of objects, the order of sending, retries, the refill of an emptied or rolled-back stream, the beacon
and the clean-up of tombstones. Must not know what objects mean.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Final

from proto.subjects import Subjects
from services.runtime.bus import Bus, BusError, StreamSpec, TooLarge
from services.runtime.repeats import Repeats
from services.watcher.outbox import Held, Outbox, Outgoing

_log = logging.getLogger(__name__)

CHECK_INTERVAL: Final = 30.0
BEACON_INTERVAL: Final = 5.0
MAX_IN_FLIGHT: Final = 2048
SINGLY: Final = 16
"""Up to so many messages are sent each by itself, without waiting for one another: a change alone goes at once."""

CLEAN_PER_ROUND: Final = 500
PERMISSION_POLL: Final = 0.25


class Publisher:
    """``complete``: whether the source has said everything; no beacon is sent before that is on the bus, for a beacon
    vouches that what the stream does not hold is gone. ``beacon`` makes one.

    ``permitted``: whether this process may write at this moment (it holds the Lease).

    ``adopted`` is called when the stream has been read and before anything is sent; ``refused`` for each object that
    the server does not take.
    """

    def __init__(
        self,
        bus: Bus,
        subjects: Subjects,
        outbox: Outbox,
        *,
        replicas: int,
        permitted: Callable[[], bool],
        complete: Callable[[], bool],
        beacon: Callable[[], bytes],
        adopted: Callable[[], None],
        refused: Callable[[Outgoing], None],
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._outbox = outbox
        self._permitted = permitted
        self._complete = complete
        self._beacon = beacon
        self._adopted = adopted
        self._refused = refused
        self._spec = StreamSpec(
            name=subjects.objects_stream, subjects=(subjects.objects,), max_per_subject=1, replicas=replicas
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._doubt = asyncio.Event()
        self._doubt.set()
        self._settled = False
        self._beacon_due = asyncio.Event()
        self.published = 0
        self.failures = 0
        self.refills = 0
        self.last_error = ""
        self._repeats = Repeats()

    @property
    def settled(self) -> bool:
        """Whether, since the stream was read last, it has come to hold everything that the source has."""
        return self._settled

    def kick(self) -> None:
        """The outbox may hold something new: send it now."""
        if not self._doubt.is_set():
            if not self._permitted():
                # Somebody else may be writing: look before the next message, once it is our turn again.
                self.doubt()
                return
            self._send()

    def doubt(self) -> None:
        """The stream may not be what it was (reconnected, an append failed): look before sending more."""
        self._doubt.set()

    def announce(self) -> None:
        """Send a beacon soon."""
        self._beacon_due.set()

    async def run(self) -> None:
        """Publish for ever. When cancelled, messages on their way are abandoned."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_right())
                group.create_task(self._keep_checking())
                group.create_task(self._keep_announcing())
        finally:
            for task in self._tasks:
                task.cancel()

    def _send(self) -> None:
        while (room := MAX_IN_FLIGHT - self._outbox.in_flight) > 0:
            batch = self._outbox.take(room, time.monotonic())
            if not batch:
                break
            if len(batch) <= SINGLY:
                for outgoing in batch:
                    self._spawn([outgoing])
            else:
                self._spawn(batch)
        if not self._settled and self._outbox.idle and self._complete():
            self._settled = True
            self.announce()

    def _spawn(self, batch: list[Outgoing]) -> None:
        task = asyncio.get_running_loop().create_task(self._store(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _store(self, batch: list[Outgoing]) -> None:
        try:
            if len(batch) == 1:
                sequences = [await self._bus.append(self._subjects.object(batch[0].key), batch[0].data)]
            else:
                items = [(self._subjects.object(outgoing.key), outgoing.data) for outgoing in batch]
                sequences = await self._bus.append_many(items)
        except TooLarge as error:
            self._too_large(batch, error)
            return
        except BusError as error:
            self.failures += len(batch)
            self.last_error = str(error)
            for outgoing in batch:
                self._outbox.failed(outgoing)
            self.doubt()
            return
        for outgoing, sequence in zip(batch, sequences, strict=True):
            self._outbox.stored(outgoing, sequence)
        self.published += len(batch)
        self.kick()

    def _too_large(self, batch: list[Outgoing], error: TooLarge) -> None:
        if len(batch) > 1:
            # The server's limit is lower than usual: find out which one it is by sending each alone.
            for outgoing in batch:
                self._spawn([outgoing])
            return
        self.last_error = str(error)
        self._outbox.refused(batch[0])
        self._refused(batch[0])
        self.kick()

    async def _keep_right(self) -> None:
        delay = 0.1
        while True:
            await self._doubt.wait()
            while self._tasks:
                await asyncio.wait(self._tasks)
            await self._bus.wait_connected()
            if not self._permitted():
                await asyncio.sleep(PERMISSION_POLL)
                continue
            try:
                await self._look()
            except BusError as error:
                self.last_error = str(error)
                if text := self._repeats.due(str(error)):
                    _log.warning("cannot read the stream of objects, trying again: %s", text)
                await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - jitter
                delay = min(delay * 2, 5.0)
                continue
            delay = 0.1
            self._repeats.over()
            self.last_error = ""
            self._doubt.clear()
            self._send()

    async def _look(self) -> None:
        """Compare the stream with what this session left there, and read it if it differs."""
        await self._bus.ensure_stream(self._spec)
        state = await self._bus.state(self._spec.name)
        if state is None or (self._settled and self._outbox.agrees(state.last, state.messages)):
            return
        held = [
            Held(stored.sequence, stored.data)
            for stored in await self._bus.last_of_each(self._spec.name, self._subjects.objects)
        ]
        if self._settled:
            self.refills += 1
            _log.warning(
                "the stream of objects is not as this watcher left it (%d messages, last %d): putting it right",
                state.messages,
                state.last,
            )
        self._settled = False
        last = max([state.last, *(message.sequence for message in held)])
        foreign = self._outbox.adopt(held, last, time.monotonic())
        for sequence in foreign:
            _log.warning("message %d of the stream of objects was written by no watcher: deleted", sequence)
            await self._bus.delete(self._spec.name, sequence)
        self._adopted()

    async def _keep_checking(self) -> None:
        while True:
            await asyncio.sleep(CHECK_INTERVAL * random.uniform(0.8, 1))  # noqa: S311 - jitter
            if self._doubt.is_set() or not self._bus.connected or not self._permitted():
                continue
            try:
                await self._clean()
                state = await self._bus.state(self._spec.name)
            except BusError as error:
                self.last_error = str(error)
                continue
            if not self._outbox.idle:
                continue
            if state is None or not self._outbox.agrees(state.last, state.messages):
                self.doubt()

    async def _clean(self) -> None:
        for key, sequence in self._outbox.overdue(time.monotonic())[:CLEAN_PER_ROUND]:
            await self._bus.delete(self._spec.name, sequence)
            self._outbox.cleaned(key, sequence)

    async def _keep_announcing(self) -> None:
        while True:
            self._beacon_due.clear()
            if self._settled and not self._doubt.is_set() and self._permitted():
                try:
                    await self._bus.publish(self._subjects.beacon, self._beacon())
                except BusError as error:
                    self.last_error = str(error)
            try:
                async with asyncio.timeout(BEACON_INTERVAL):
                    await self._beacon_due.wait()
            except TimeoutError:
                pass
