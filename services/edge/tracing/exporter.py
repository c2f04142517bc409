"""Finished spans on their way to a collector: a queue that is bounded, batches, further tries.

Owns the queue and when it is sent. No request ever waits for it: what does not fit is dropped and counted, and messages
are made a few spans at a time, so that nothing else waits long.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from services.edge.tracing.collector import Address, CallError, Collector
from services.edge.tracing.finished import Finished
from services.runtime.logs import log

if TYPE_CHECKING:
    from services.edge.tracing.messages import Batch

_log = logging.getLogger(__name__)

CALL_TIME: Final = 10.0
"""Seconds for a call (OTLP's default)."""
TRIES: Final = 5
FIRST_PAUSE: Final = 1.0
"""Seconds before the second try of a batch; before each further one it is twice as long."""
_AT_ONCE: Final = 32
"""Spans that are written before others get their turn."""

Spawn = Callable[[Coroutine[None, None, None]], asyncio.Task[None]]


class ExportOptions(Struct, frozen=True):
    """Where spans go, and when. ``kept``: how many may wait; ``every``: seconds after which what waits is sent;
    ``at_once``: how many go out together, and are sent before that."""

    address: Address
    service: str
    kept: int
    every: float
    at_once: int


class Exporter:
    """See the module. ``counters``: spans by what became of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, spawn: Spawn, counters: Counter[str]) -> None:
        self._loop = loop
        self._spawn = spawn
        self.counters = counters
        self._queue: deque[Finished] = deque()
        self._options: ExportOptions | None = None
        self._collector: Collector | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    def follow(self, options: ExportOptions | None) -> None:
        """Send as ``options`` say from the next batch on; None: nowhere."""
        self._options = options
        if options is None:
            self.counters["dropped"] += len(self._queue)
            self._queue.clear()
        if self._collector is not None and (options is None or options.address != self._collector.address):
            self._collector.close()
            self._collector = None

    def add(self, span: Finished) -> None:
        """Have ``span`` sent, if there is room for it."""
        options = self._options
        if options is None:
            self.counters["unsent"] += 1
            return
        if len(self._queue) >= options.kept:
            self.counters["dropped"] += 1
            return
        self._queue.append(span)
        if len(self._queue) >= options.at_once:
            self._begin()
        elif self._timer is None:
            self._timer = self._loop.call_later(options.every, self._begin)

    async def close(self, within: float) -> None:
        """Send what waits; what that takes longer for is lost."""
        try:
            async with asyncio.timeout(within):
                while self._queue or self._task is not None:
                    self._begin()
                    if self._task is not None:
                        await asyncio.wait([self._task])
        except TimeoutError:
            pass
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        if self._collector is not None:
            self._collector.close()
        self.counters["failed"] += len(self._queue)
        self._queue.clear()

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None and self._queue:
            self._task = self._spawn(self._send())

    async def _send(self) -> None:
        """Send until less than a batch is left, which has time."""
        try:
            await self._send_one()
            while (options := self._options) is not None and len(self._queue) >= options.at_once:
                await self._send_one()
        finally:
            self._task = None
            if self._queue and self._timer is None and self._options is not None:
                self._timer = self._loop.call_later(self._options.every, self._begin)

    async def _send_one(self) -> None:
        options = self._options
        if options is None:
            return
        made: Callable[[str], Batch] = await self._loop.run_in_executor(None, _load)
        batch = made(options.service)
        count = 0
        while self._queue and count < options.at_once:
            batch.add(self._queue.popleft())
            count += 1
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)  # what waits may be dropped meanwhile
        if count:
            await self._deliver(batch.encode(), count)

    async def _deliver(self, message: bytes, count: int) -> None:
        pause = FIRST_PAUSE
        for left in range(TRIES - 1, -1, -1):
            try:
                rejected = min(count, await self._call(message))
            except CallError as error:
                self._complain(error)
                if not error.again or not left or self._options is None:
                    self.counters["failed"] += count
                    return
                self.counters["retries"] += 1
                await asyncio.sleep(pause)
                pause *= 2
            else:
                self._failing = False
                self.counters["rejected"] += rejected
                self.counters["sent"] += count - rejected
                return

    async def _call(self, message: bytes) -> int:
        """How many of the spans the collector did not take. Raises CallError."""
        from services.edge.tracing.messages import rejected_in

        options = self._options
        if options is None:
            raise CallError("spans go nowhere any more", again=False)
        if self._collector is None:
            self._collector = Collector(self._loop, options.address)
        answer = await self._collector.call(message, CALL_TIME)
        try:
            return rejected_in(answer)
        except ValueError as error:
            raise CallError(str(error), again=False) from None

    def _complain(self, error: CallError) -> None:
        """Say it once, until it works again."""
        if not self._failing and self._options is not None:
            collector = self._options.address.authority.decode()
            log(_log, logging.WARNING, f"spans cannot be sent: {error}", collector=collector)
        self._failing = True


def _load() -> Callable[[str], Batch]:
    """What makes messages; loading it takes long enough to be done in a thread."""
    from services.edge.tracing.messages import Batch

    return Batch
