"""A watcher inside the test's own process, and the bus as the compiler sees it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from proto.codec import decode
from proto.objects import Object, ObjectEnvelope, ObjectKey, WatcherBeacon
from proto.subjects import Subjects
from services.runtime.bus import Bus, BusOptions, Message, StreamMissing
from services.runtime.keys import make_keys
from services.runtime.lifecycle import Lifecycle
from services.runtime.settings import read_object_authenticator, read_sealer
from services.watcher.main import Watcher
from services.watcher.options import WatcherOptions
from tests.support.waiting import eventually

SUBJECTS = Subjects("limen")


def watcher_options(folder: Path, url: str, **values: Any) -> WatcherOptions:
    """Options with keys in ``folder``."""
    make_keys(folder / "keys")
    return WatcherOptions(
        bus=BusOptions(servers=(url,), name="watcher"),
        instance="limen",
        name=values.pop("name", "w"),
        state=folder,
        sealing_key=folder / "keys" / "sealing.key",
        objects_key=folder / "keys" / "objects.key",
        **values,
    )


@contextlib.asynccontextmanager
async def watching(options: WatcherOptions, *, ready: bool = True) -> AsyncIterator[Watcher]:
    """A running watcher, stopped gracefully at the end of the block."""
    watcher, life = Watcher(options), Lifecycle()
    task = asyncio.create_task(watcher.main(life))
    try:
        if ready:
            await eventually(lambda: task.done() or (watcher.work is not None and watcher.ready), 20, "watcher ready")
            if task.done():
                task.result()
        yield watcher
    finally:
        life.stop()
        await asyncio.wait((task,), timeout=10)
        assert task.done(), "the watcher did not stop"
        task.result()


class BusView:
    """What the stream of objects holds, and every message that went by."""

    def __init__(self, bus: Bus, folder: Path) -> None:
        self.bus = bus
        self.heard: list[ObjectEnvelope] = []
        self.beacons: list[WatcherBeacon] = []
        self._authenticator = read_object_authenticator(folder / "keys" / "objects.key")
        self.sealer = read_sealer(folder / "keys" / "sealing.key", "limen")

    def open(self, data: bytes) -> ObjectEnvelope:
        """An object message; fails unless it is authentic."""
        _, body, mac = decode(data, tuple[int, bytes, bytes])
        self._authenticator.check("object", body, mac)
        return decode(body, ObjectEnvelope)

    async def on_object(self, message: Message) -> None:
        with contextlib.suppress(ValueError):
            self.heard.append(self.open(message.data))

    async def on_beacon(self, message: Message) -> None:
        _, body, mac = decode(message.data, tuple[int, bytes, bytes])
        self._authenticator.check("beacon", body, mac)
        self.beacons.append(decode(body, WatcherBeacon))

    async def objects(self) -> dict[ObjectKey, Object]:
        """The live objects of the stream."""
        found: dict[ObjectKey, Object] = {}
        try:
            held = await self.bus.last_of_each(SUBJECTS.objects_stream, SUBJECTS.objects)
        except StreamMissing:
            return found
        for stored in held:
            envelope = self.open(stored.data)
            if envelope.object:
                found[envelope.key] = decode(envelope.object, Object)  # type: ignore[arg-type]
        return found

    async def get(self, kind: str, name: str) -> Any:
        """An object by ``namespace/name`` (or name), or None."""
        namespace, _, name = name.rpartition("/")
        return (await self.objects()).get(ObjectKey(kind, namespace, name))  # type: ignore[arg-type]

    async def has(self, kind: str, name: str, timeout: float = 10.0) -> Any:
        """The object, as soon as it is there."""
        return await eventually(lambda: self.get(kind, name), timeout, f"{kind} {name} on the bus")

    async def lacks(self, kind: str, name: str, timeout: float = 10.0) -> None:
        """Return when the object is gone."""

        async def gone() -> bool:
            return await self.get(kind, name) is None

        await eventually(gone, timeout, f"{kind} {name} gone from the bus")

    async def last(self) -> int:
        """The last sequence of the stream."""
        state = await self.bus.state(SUBJECTS.objects_stream)
        return state.last if state else 0


@contextlib.asynccontextmanager
async def bus_view(url: str, folder: Path) -> AsyncIterator[BusView]:
    """A connected view; the keys of ``folder`` must be there."""
    make_keys(folder / "keys")
    bus = Bus(BusOptions(servers=(url,), name="view"))
    view = BusView(bus, folder)
    await bus.subscribe(SUBJECTS.objects, view.on_object)
    await bus.subscribe(SUBJECTS.beacon, view.on_beacon)
    await bus.start()
    try:
        await bus.wait_connected()
        yield view
    finally:
        await bus.close()
