"""A watcher of a cluster: waits for the Lease, works while it holds it, hands over when it stops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from proto.objects import ObjectKey
from proto.subjects import Subjects
from services.runtime.bus import Bus, Message
from services.runtime.settings import SettingsError, namespaced_name
from services.watcher.identity import Identity, Place
from services.watcher.lease import Lease
from services.watcher.observed import Change
from services.watcher.options import WatcherOptions
from services.watcher.sources.kubernetes.client import Client, ConfigError
from services.watcher.sources.kubernetes.source import KubernetesSource
from services.watcher.status.events import EventWriter
from services.watcher.status.ingresses import StatusWriter
from services.watcher.status.writeback import WriteBack
from services.watcher.work import Keys, Work


class Cluster:
    """Follows one cluster. ``changed`` is called with the parts at work, and with None in standby."""

    def __init__(self, options: WatcherOptions, keys: Keys, bus: Bus, changed: Callable[[Work | None], None]) -> None:
        self._options = options
        self._keys = keys
        self._bus = bus
        self._changed = changed
        self._client = Client(options.kubeconfig, options.context)
        self._place = Place.find()
        self._identity = Identity(self._place, options.state)
        self.lease = Lease(
            self._client,
            options.election_namespace or self._place.namespace,
            options.election_id,
            self._identity.name,
            options.election_ttl,
        )
        self._writeback: WriteBack | None = None

    async def connected(self) -> None:
        """The connection to the bus is new."""
        if self._writeback is not None:
            self._writeback.ask()

    async def run(self, stopping: asyncio.Event) -> None:
        """Take part until ``stopping``, then hand over. Raises SettingsError without a usable configuration."""
        try:
            await self._client.connect()
        except ConfigError as error:
            raise SettingsError(f"--kube: {error}") from None
        await self._bus.subscribe(Subjects(self._options.instance).findings, self._heard)
        try:
            while not stopping.is_set():
                self._changed(None)
                if await _first(self.lease.acquire(), stopping):
                    await self._be_active(stopping)
        finally:
            self._changed(None)
            await self.lease.release()
            await self._client.close()
            self._identity.close()

    async def _be_active(self, stopping: asyncio.Event) -> None:
        work = Work(
            self._options,
            self._keys,
            self._bus,
            "kubernetes",
            lambda sink: KubernetesSource(self._client, self._options, sink),
            watched=self._watched,
            permitted=lambda: self.lease.held,
        )
        self._writeback = self._make_writeback(work) if self._options.update_status else None
        self._changed(work)

        async def everything() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(work.run())
                if self._writeback is not None:
                    group.create_task(self._writeback.run())

        working = asyncio.create_task(everything())
        keeping = asyncio.create_task(self.lease.keep())
        told = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait((working, keeping, told), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            self._writeback = None
            for task in (working, keeping, told):
                task.cancel()
            await asyncio.gather(working, keeping, told, return_exceptions=True)

    def _make_writeback(self, work: Work) -> WriteBack:
        options = self._options
        service = (
            ObjectKey("service", *namespaced_name("--publish-service", options.publish_service))
            if options.publish_service
            else None
        )
        return WriteBack(
            self._bus,
            Subjects(options.instance),
            StatusWriter(self._client, publish_service=service, addresses=options.publish_status_address),
            EventWriter(self._client, self._place.pod or socket.gethostname()),
            work.hub.diagnostics,
            lambda: work.hub.listed_all,
        )

    def _watched(self, change: Change) -> None:
        if self._writeback is not None:
            self._writeback.watched(change)

    async def _heard(self, message: Message) -> None:
        if self._writeback is not None:
            await self._writeback.following.take(message)


async def _first(wanted: object, stopping: asyncio.Event) -> bool:
    """Whether ``wanted`` (a coroutine) ended before ``stopping`` was set; it is cancelled otherwise."""
    doing = asyncio.ensure_future(wanted)  # type: ignore[call-overload]
    told = asyncio.create_task(stopping.wait())
    await asyncio.wait((doing, told), return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if doing.done():
        doing.result()
        return True
    doing.cancel()
    await asyncio.gather(doing, return_exceptions=True)
    return False
