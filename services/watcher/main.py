"""``limen watcher``: reads its keys, connects, waits for its turn, works, and tells how it does. Wiring only."""

from __future__ import annotations

import time

from proto.reports import RoleStatus
from proto.subjects import Subjects
from services.runtime import admin, lifecycle, logs
from services.runtime.bus import Bus
from services.runtime.metrics import registry
from services.runtime.settings import SettingsError, read_object_authenticator, read_sealer
from services.runtime.status import answer_status
from services.runtime.version import software
from services.watcher.cluster import Cluster
from services.watcher.metrics import WatcherCollector
from services.watcher.options import WatcherOptions
from services.watcher.sources.folder.source import FolderSource
from services.watcher.work import Keys, Work, controller_map, pinned


def run(options: WatcherOptions) -> int:
    """Run a watcher until it is told to stop; its exit code. Raises SettingsError for options that cannot be used."""
    logs.setup(f"watcher {options.name}", options.log_json)
    watcher = Watcher(options)
    election = options.election_id if options.kube else ""
    registry.register(WatcherCollector(lambda: watcher.work, election, options.name))
    code = lifecycle.run(watcher.main)
    if watcher.refused is not None:
        raise watcher.refused
    return code


class Watcher:
    """One process. ``work`` is there while it is the active watcher, ``standby`` while another one is.

    ``refused``: why it could not begin, if that is the settings' fault.
    """

    def __init__(self, options: WatcherOptions) -> None:
        if options.kube == bool(options.manifests):
            raise SettingsError("a watcher has one source: give either --kube or --manifests")
        pinned(options)
        controller_map(options)
        self._options = options
        self._subjects = Subjects(options.instance)
        self._keys = Keys(
            read_sealer(options.sealing_key, options.instance), read_object_authenticator(options.objects_key)
        )
        self._bus = Bus(options.bus)
        self._started_at = time.time()
        self._software = software()
        self.work: Work | None = None
        self.standby = False
        self.refused: SettingsError | None = None
        self._cluster = Cluster(options, self._keys, self._bus, self._turn) if options.kube else None

    async def main(self, life: lifecycle.Lifecycle) -> None:
        """Live until ``life`` ends."""
        self._bus.on_connected(self._connected)
        await self._bus.start()
        await answer_status(self._bus, self._subjects, self.status)
        server = None
        if self._options.admin is not None:
            server = await admin.serve(self._options.admin, ready=lambda: self.ready, status=self.status)
        try:
            if self._cluster is not None:
                try:
                    await self._cluster.run(life.stopping)
                except SettingsError as error:
                    self.refused = error
            else:
                life.spawn("watcher", self._follow_folders())
                await life.stopping.wait()
        finally:
            if server is not None:
                await server.close()
            await self._bus.close()

    async def _follow_folders(self) -> None:
        folders = self._options.manifests
        self.work = Work(self._options, self._keys, self._bus, "folder", lambda sink: FolderSource(folders, sink))
        await self.work.run()

    async def _connected(self) -> None:
        if self.work is not None:
            self.work.publisher.doubt()
        if self._cluster is not None:
            await self._cluster.connected()

    def _turn(self, work: Work | None) -> None:
        self.work, self.standby = work, work is None

    @property
    def ready(self) -> bool:
        """A watcher in standby is ready; an active one when all that its source holds is on the bus."""
        if self.work is None:
            return self.standby
        return self.work.hub.listed_all and self.work.publisher.settled

    def status(self) -> RoleStatus:
        """How this process does."""
        common = {
            "role": "watcher",
            "name": self._options.name,
            "software": self._software,
            "started_at": self._started_at,
            "ready": self.ready,
            "connected": self._bus.connected,
        }
        work = self.work
        if work is None:
            error = self._cluster.lease.error if self._cluster is not None else ""
            return RoleStatus(**common, active=False, last_error=error)  # type: ignore[arg-type]
        sources = work.hub.sources()
        errors = [work.publisher.last_error, *(f"{state.kind}: {state.error}" for state in sources if state.error)]
        return RoleStatus(
            **common,  # type: ignore[arg-type]
            digest=work.outbox.digest.hex(),
            counts={
                "objects": sum(work.outbox.counts().values()),
                "pending": work.outbox.pending,
                "sequence": work.outbox.sequence,
                "published": work.publisher.published,
                "refills": work.publisher.refills,
            },
            last_error="; ".join(error for error in errors if error),
            sources=sources,
            diagnostics=work.hub.diagnostics(),
        )
