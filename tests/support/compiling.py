"""Compilers in tests: a watcher that publishes what the test says, a compiler in this process, an edge that follows.

The watcher's outbox, the compiler and the edge's follower are the real ones, over a real bus.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from proto.objects import (
    OBJECT_KINDS,
    EndpointPort,
    EndpointSlice,
    Ingress,
    IngressBackend,
    IngressClass,
    IngressPath,
    IngressRule,
    KindState,
    Object,
    ObjectKey,
    Service,
    ServicePort,
    SliceEndpoint,
    Source,
    key_of,
)
from proto.signing import ObjectAuthenticator
from proto.subjects import Subjects
from services.compiler.main import CompilerService, read_keys
from services.compiler.options import CompilerOptions
from services.compiler.state import State
from services.edge.follow.follower import Follower
from services.edge.follow.generations import Generations
from services.edge.follow.report import Reporter
from services.runtime.announce import EventPublisher
from services.runtime.bus import Bus, BusOptions, StreamSpec
from services.runtime.keys import make_keys
from services.runtime.settings import read_object_authenticator, read_verifier
from services.watcher.outbox import Held, Outbox

INSTANCE = "limen"
SUBJECTS = Subjects(INSTANCE)
CLASS = IngressClass(name="nginx", controller="k8s.io/ingress-nginx")


def ingress(name: str, *, path: str = "/", host: str = "", service: str = "web", path_type: str = "Prefix") -> Ingress:
    """An Ingress with one path on one host (``<name>.example.com`` unless said otherwise)."""
    backend = IngressBackend(service=service, port_number=80)
    paths = (IngressPath(path=path, path_type=path_type, backend=backend),)
    rule = IngressRule(host=host or f"{name}.example.com", paths=paths, has_http=True)
    return Ingress(namespace="default", name=name, class_name="nginx", rules=(rule,))


def service(name: str = "web") -> Service:
    """A Service with port 80."""
    return Service(namespace="default", name=name, cluster_ip="10.0.0.1", ports=(ServicePort(port=80),))


def endpoints(*addresses: str, service: str = "web") -> EndpointSlice:
    """The slice ``<service>-1`` with these addresses, port 8080."""
    return EndpointSlice(
        namespace="default",
        name=f"{service}-1",
        service=service,
        ports=(EndpointPort(port=8080),),
        endpoints=tuple(SliceEndpoint(addresses=(address,), ready=True) for address in addresses),
    )


def source(*, synced: bool = True) -> Source:
    """The watcher's word that every kind was listed."""
    return Source(name="folder", kinds=tuple(KindState(kind=kind, synced=synced) for kind in OBJECT_KINDS))


def world(ingresses: int = 1) -> list[Object]:
    """A class, a Service with an endpoint, ``ingresses`` Ingresses ``app-<n>``, and the word that this is all."""
    apps = (ingress(f"app-{number}") for number in range(ingresses))
    return [CLASS, service(), endpoints("10.1.0.1"), *apps, source()]


class Publisher:
    """A watcher without sources: what the test wants on the bus gets there as the real one would put it there."""

    def __init__(self, bus: Bus, authenticator: ObjectAuthenticator, session: str = "") -> None:
        self.bus = bus
        self.outbox = Outbox(INSTANCE, authenticator, session)
        self.lists = 1

    async def ensure_stream(self) -> None:
        await self.bus.ensure_stream(
            StreamSpec(name=SUBJECTS.objects_stream, subjects=(SUBJECTS.objects,), max_per_subject=1)
        )

    async def put(self, *objects: Object, beacon: bool = True) -> None:
        """Publish ``objects``, then a beacon."""
        now = time.time()
        for value in objects:
            self.outbox.want(key_of(value), value, now, resource_version=f"{now}")
        await self.flush(beacon=beacon)

    async def remove(self, *keys: ObjectKey, relisted: bool = False, beacon: bool = True) -> None:
        """Publish that objects are gone. ``relisted``: a list lacked them, which is counted once they are told."""
        for key in keys:
            self.outbox.want(key, None, time.time(), relisted=relisted)
        await self.flush(beacon=beacon)
        if relisted and beacon:
            await self.list_again()

    async def flush(self, *, beacon: bool = True) -> None:
        """Send what is wanted and not sent."""
        while batch := self.outbox.take(10_000, time.monotonic()):
            sequences = await self.bus.append_many([(SUBJECTS.object(one.key), one.data) for one in batch])
            for one, sequence in zip(batch, sequences, strict=True):
                self.outbox.stored(one, sequence)
        if beacon:
            await self.beacon()

    async def beacon(self) -> None:
        await self.bus.publish(SUBJECTS.beacon, self.outbox.beacon(lambda kind: self.lists))

    async def list_again(self) -> None:
        """Say that every kind was listed once more, with nothing new."""
        self.lists += 1
        await self.beacon()

    async def refill(self) -> None:
        """What the watcher does when the stream is not as it left it: make it so again."""
        await self.ensure_stream()
        state = await self.bus.state(SUBJECTS.objects_stream)
        held = await self.bus.last_of_each(SUBJECTS.objects_stream, SUBJECTS.objects)
        last = state.last if state else 0
        self.outbox.adopt([Held(one.sequence, one.data) for one in held], last, time.monotonic())
        await self.flush()


class RunningCompiler:
    """A compiler in this process. ``state`` is the one that its loop owns: for looking at."""

    def __init__(self, options: CompilerOptions) -> None:
        self.service = CompilerService(options, read_keys(options))
        self.stopping = asyncio.Event()
        self._task = asyncio.create_task(self.service.run(self.stopping))

    @property
    def state(self) -> State:
        return self.service.state

    @property
    def position(self) -> tuple[int, int]:
        position = self.state.log.position
        return position.epoch, position.version

    async def stop(self) -> None:
        """End it as SIGTERM does."""
        self.stopping.set()
        await self._task

    async def kill(self) -> None:
        """End it wherever it is."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


class FollowingEdge:
    """The part of an edge that follows the log, reporting as an edge does. ``positions``: every swap."""

    def __init__(self, bus: Bus, keys: Path, name: str = "edge-1") -> None:
        self.bus = bus
        self.generations = Generations(lambda generation: self.positions.append((generation.epoch, generation.version)))
        self.follower = Follower(bus, SUBJECTS, read_verifier(keys / "verify.key", INSTANCE), self.generations)
        events = EventPublisher(bus, SUBJECTS, f"/{INSTANCE}/edge/{name}")
        self.reporter = Reporter(bus, SUBJECTS, events, self.generations, self.follower, edge=name, worker=0)
        self.positions: list[tuple[int, int]] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self.follower.listen()
        await self.bus.start()
        self._tasks = [asyncio.create_task(self.follower.run()), asyncio.create_task(self.reporter.run())]

    @property
    def hosts(self) -> set[str]:
        """The hosts it serves."""
        return {record.name for record in self.generations.table.records() if record.kind == "virtualhost"}

    def holds(self, compiler: RunningCompiler) -> bool:
        """Whether it serves exactly what ``compiler`` compiled."""
        return self.positions != [] and self.generations.table.digest == compiler.state.compiler.digest

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Plant:
    """What a test of the compiler works with: keys, a bus, and everything that it starts, ended at the end."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.keys = folder / "keys"
        make_keys(self.keys)
        self.bus = Bus(BusOptions(servers=(url,), name="test"))
        self._ends: list[Callable[[], Awaitable[None]]] = []

    def publisher(self, session: str = "") -> Publisher:
        return Publisher(self.bus, read_object_authenticator(self.keys / "objects.key"), session)

    def options(self, name: str = "compiler-1", **changes: Any) -> CompilerOptions:
        options = CompilerOptions(
            bus=BusOptions(servers=(self.url,), name=name),
            instance=INSTANCE,
            name=name,
            state=self.folder / name,
            signing_key=self.keys / "signing.key",
            objects_key=self.keys / "objects.key",
        )
        return msgspec.structs.replace(options, **changes)

    def compiler(self, name: str = "compiler-1", **changes: Any) -> RunningCompiler:
        compiler = RunningCompiler(self.options(name, **changes))
        self._ends.append(compiler.kill)
        return compiler

    async def edge(self, name: str = "edge-1") -> FollowingEdge:
        bus = Bus(BusOptions(servers=(self.url,), name=name))
        edge = FollowingEdge(bus, self.keys, name)
        await edge.start()
        self._ends += [bus.close, edge.close]
        return edge

    async def close(self) -> None:
        for end in reversed(self._ends):
            await end()
        await self.bus.close()


@contextlib.asynccontextmanager
async def plant(url: str, folder: Path) -> AsyncIterator[Plant]:
    """A plant on the bus at ``url``, connected, with the objects' stream in place."""
    made = Plant(url, folder)
    await made.bus.start()
    try:
        await made.bus.wait_connected()
        await made.publisher().ensure_stream()
        yield made
    finally:
        await made.close()
