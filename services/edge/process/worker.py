"""A worker: one process that follows the bus and serves traffic.

Owns the wiring and the order of a worker's life: last good generation, then bus, then (once there is a generation) the
traffic ports, then the drain. What each part does is said in its own module.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

from proto.sealing import Sealer
from proto.signing import Verifier
from proto.subjects import Subjects
from services.edge.core.generation import Generation
from services.edge.follow import keeper
from services.edge.follow.follower import Follower
from services.edge.follow.generations import Applied, Generations
from services.edge.follow.keeper import Keeper
from services.edge.follow.lastgood import LastGoodFile
from services.edge.follow.report import Reporter
from services.edge.follow.table import Change
from services.edge.limits import take_all_descriptors
from services.edge.options import EdgeOptions
from services.edge.process.channel import Channel, Parcel, Question, WorkerCounters, WorkerState
from services.edge.process.counting import Counting
from services.edge.process.front import Front
from services.edge.process.sockets import WorkerSockets
from services.edge.resolve import ExternalNames, Resolver
from services.edge.shared_rates import SharedCounts
from services.runtime import lifecycle, logs
from services.runtime.announce import EventPublisher
from services.runtime.bus import Bus

_log = logging.getLogger(__name__)

RUN_AGAIN_AFTER = 1.0
TELL_EVERY = 1.0
NO_SNAPSHOT_FITS = (
    "no snapshot on the bus is signed as --verify-key says: is it the one made with the compiler's signing.key?"
)
TELL_AT_MOST_EVERY = 0.1
ORPHAN_DRAIN = 3.0
"""Seconds to finish requests when the supervisor died: whatever started it is about to start another."""


class Worker:
    """See the module. ``index``: the worker's place; ``end``: its end of the channel to the admin process; ``counts``:
    what it counts together with the others, if there are any."""

    def __init__(
        self,
        options: EdgeOptions,
        index: int,
        sockets: WorkerSockets,
        end: socket.socket,
        sealer: Sealer,
        verifier: Verifier,
        counts: SharedCounts | None,
    ) -> None:
        self._options = options
        self._index = index
        self._sockets = sockets
        self._end = end
        self._sealer = sealer
        self._verifier = verifier
        self._counts = counts
        self._first = asyncio.Event()
        self._tell = asyncio.Event()
        self._names = ExternalNames()
        self._supervisor = os.getpid()  # made there, run in a child

    def run(self) -> int:
        """Run until told to stop, then drain; the exit code."""
        logs.setup(f"edge {self._options.name} worker {self._index}", self._options.log_json)
        return lifecycle.run(self._main)

    async def _main(self, life: lifecycle.Lifecycle) -> None:
        take_all_descriptors()
        self._assemble()
        await self._bus.start()
        await self._follower.listen()
        life.spawn("follow", _for_ever(self._follower.run))
        life.spawn("report", _for_ever(self._reporter.run))
        life.spawn("resolve", _for_ever(self._resolver.run))
        life.spawn("tell", _for_ever(self._tell_admin))
        keeping = life.spawn("keep", _for_ever(self._keeper.run)) if self._index == 0 else None

        if await _either(self._first, life.stopping):
            await self._serve()
            await life.stopping.wait()
            await self._drain()
        await self._front.last_words()
        if keeping is not None:
            keeping.cancel()
            await self._keeper.flush()
        await self._reporter.left("drained")
        self._say_state()
        await self._events.close()
        await self._bus.close()

    def _assemble(self) -> None:
        """What the worker is made of: made in the child, for most of it belongs to its event loop."""
        options, subjects = self._options, Subjects(self._options.instance)
        self._bus = bus = Bus(options.bus)
        self._front = Front(self._sealer, options.state, options.metrics, options.limits, options.zone)
        if self._counts is not None:
            self._front.share(self._counts, self._index)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._front.reopen)
        self._resolver = Resolver(self._front.resolved, allow_local=options.allow_loopback_upstreams)
        self._generations = Generations(self._swap)
        self._generations.on_applied(self._applied)
        file = LastGoodFile(options.state, options.name, self._verifier)
        keeper.restore(file, self._generations)
        self._follower = Follower(bus, subjects, self._verifier, self._generations)
        self._follower.on_error_changed(self._tell.set)
        self._events = EventPublisher(bus, subjects, f"/{options.instance}/edge/{options.name}")
        self._reporter = Reporter(
            bus, subjects, self._events, self._generations, self._follower, edge=options.name, worker=self._index
        )
        self._keeper = Keeper(file, self._generations)
        self._counting = Counting(self._generations, self._follower, self._keeper, self._front, self._resolver)
        self._channel = Channel(self._end, self._asked)

    # --- serving ----------------------------------------------------------------------------------------------

    def _swap(self, generation: Generation) -> None:
        self._front.swap(generation)
        self._resolver.only_ipv4 = generation.settings.disable_ipv6_dns

    def _applied(self, _applied: Applied, change: Change) -> None:
        if self._names.take(change.upserts, change.removals):
            self._resolver.follow(self._names.names())
        self._first.set()
        self._tell.set()

    async def _serve(self) -> None:
        await self._front.listen(self._sockets, self._options.h2c, self._options.admin, self._ports_changed)
        # what is there now stays for good: the collector need not look at it ever again
        gc.collect()
        gc.freeze()
        self._reporter.joined()
        self._say_state()

    def _ports_changed(self) -> None:
        self._tell.set()
        self._reporter.trouble(next(iter(self._front.closed_ports.values()), ""))

    async def _drain(self) -> None:
        orphan = os.getppid() != self._supervisor
        grace = 0.0 if orphan else self._options.shutdown_grace_period
        bound = ORPHAN_DRAIN if orphan else self._front.shutdown_timeout(self._options.worker_shutdown_timeout)
        self._reporter.drain()
        self._front.draining = True
        self._say_state()
        await asyncio.sleep(grace)
        await self._front.drain(bound)

    # --- the admin process ------------------------------------------------------------------------------------

    async def _tell_admin(self) -> None:
        while True:
            self._tell.clear()
            self._say_state()
            await asyncio.sleep(TELL_AT_MOST_EVERY)
            with suppress(TimeoutError):
                async with asyncio.timeout(TELL_EVERY):
                    await self._tell.wait()

    def _say_state(self) -> None:
        front = self._front
        state = WorkerState(
            process=os.getpid(),
            report=self._reporter.report(),
            ready=front.listening and not front.draining,
            connected=self._bus.connected,
            counts=self._counting.counts(),
            last_error=self._last_error(),
        )
        self._channel.send(state)

    def _last_error(self) -> str:
        certificates = (f"certificate {name}: {reason}" for name, reason in self._front.failures.items())
        ports = (f"{name}: {reason}" for name, reason in self._front.closed_ports.items())
        error = self._follower.error or self._keeper.error or next(ports, "") or next(certificates, "")
        if not error and not self._front.listening and self._follower.rejected["signature"]:
            return NO_SNAPSHOT_FITS
        return error

    def _asked(self, message: Parcel) -> None:
        if isinstance(message, Question):
            self._channel.send(WorkerCounters(os.getpid(), self._counting.counters(), message.number))


async def _for_ever(run: Callable[[], Awaitable[None]]) -> None:
    """Run ``run`` again whenever it fails: nothing that only accompanies traffic may end the process that serves it."""
    while True:
        try:
            await run()
        except Exception:
            _log.exception("%s failed; it is started again", getattr(run, "__qualname__", run))
        await asyncio.sleep(RUN_AGAIN_AFTER)


async def _either(first: asyncio.Event, second: asyncio.Event) -> bool:
    """Wait for one of two events; whether the first is set."""
    tasks = [asyncio.ensure_future(event.wait()) for event in (first, second)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    return first.is_set() and not second.is_set()
