"""Everything that the loop owns, put together once, and how it looks from outside (status, metrics).

Owns no decision: each piece decides its own, the loop says when.
"""

from __future__ import annotations

import logging
import time

from proto.events import EdgeLeft
from proto.objects import ObjectKey
from proto.reports import HeldRemoval, RoleStatus, SourceStatus
from proto.signing import ObjectAuthenticator, Signer, Verifier
from proto.subjects import Subjects
from services.compiler import metrics
from services.compiler.accepted import Accepted
from services.compiler.admission import Admitted, Doorkeeper
from services.compiler.announce import Announcer
from services.compiler.core.compiler import Compiler
from services.compiler.edges import Edges, ReportError, read_report
from services.compiler.findings import FindingsBook
from services.compiler.inbox import Inbox, ReportSeen
from services.compiler.intake import Intake
from services.compiler.leadership import Leadership
from services.compiler.log import Log
from services.compiler.options import CompilerOptions
from services.compiler.signed import RefusedError
from services.runtime.bus import Bus
from services.runtime.logs import log
from services.runtime.metrics import render
from services.runtime.seldom import Seldom
from services.runtime.version import software

_log = logging.getLogger(__name__)

MAX_SHOWN_DIAGNOSTICS = 1000
SAY_EVERY = 1.0
"""Seconds between two lines about refusals for one reason: a flood of forgeries must not become one of lines."""


class Keys:
    """What authenticates: deltas written here, deltas read, objects."""

    def __init__(self, signer: Signer, verifier: Verifier, objects: ObjectAuthenticator) -> None:
        self.signer = signer
        self.verifier = verifier
        self.objects = objects


class State:
    """See the module."""

    def __init__(self, bus: Bus, options: CompilerOptions, keys: Keys, announcer: Announcer) -> None:
        self.bus = bus
        self.options = options
        self.subjects = Subjects(options.instance)
        self.inbox = Inbox()
        self.announcer = announcer
        self.doorkeeper = Doorkeeper(self.subjects, keys.objects)
        self.compiler = Compiler(options.compile)
        self.intake = Intake(self.compiler)
        self.log = Log(bus, self.subjects, keys.signer, keys.verifier, self.refuse)
        self.accepted = Accepted(bus, self.subjects, self.doorkeeper, self.refuse)
        self.findings = FindingsBook(self.compiler, self._version_of)
        self.edges = Edges()
        self.leadership = Leadership()
        self.verifier = keys.verifier
        self.started_at = time.time()
        self.beacon_at = 0.0
        self._refusals = Seldom(SAY_EVERY)
        self.in_step = False
        self.last_error = ""

    # --- messages -----------------------------------------------------------------------------------------------

    def refuse(self, error: RefusedError) -> None:
        """Count a message that is not genuine, and say so."""
        metrics.REJECTED.labels(error.reason).inc()
        unsaid = self._refusals.more(error.reason)
        if unsaid is not None:
            log(_log, logging.WARNING, "message refused", reason=error.reason, what=str(error), more_unsaid=unsaid)

    def admit(self, subject: str, data: bytes) -> Admitted | None:
        """The object message in ``data``, or None for one that is refused."""
        try:
            admitted = self.doorkeeper.object(subject, data)
        except RefusedError as error:
            self.refuse(error)
            return None
        if admitted.unreadable:
            self.refuse(RefusedError("unreadable", admitted.unreadable))
        return admitted

    def report(self, subject: str, data: bytes) -> ReportSeen | None:
        """The edge's report in ``data``, or None for one that cannot be read."""
        try:
            return ReportSeen(subject, read_report(subject, data))
        except ReportError as error:
            self.refuse(RefusedError("report", str(error)))
            return None

    def _version_of(self, key: ObjectKey) -> str:
        return self.intake.versions.get(key, "")

    # --- outside ------------------------------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether this compiler is the one that writes and speaks."""
        return self.leadership.active(time.monotonic())

    @property
    def ready(self) -> bool:
        """Whether the log has held what was compiled here at least once."""
        return self.in_step

    @property
    def held(self) -> HeldRemoval | None:
        """The mass removal that waits, if there is one."""
        return self.intake.hold.status or self.intake.start_hold.status

    def lose_silent_edges(self, now: float) -> None:
        """Say good-bye to workers whose reports ran out. ``now``: monotonic seconds."""
        for report in self.edges.silent(now):
            log(_log, logging.WARNING, "an edge fell silent", edge=report.edge, worker=report.worker)
            if self.active:
                self.announcer.say((EdgeLeft(edge=report.edge, worker=report.worker, reason="lost"),))

    def counts(self) -> dict[str, int]:
        """What there is, for events and status."""
        kinds = self.intake.feed.counts
        return {
            "objects": len(self.intake.feed),
            "ingresses": kinds["ingress"],
            "services": kinds["service"],
            "endpointslices": kinds["endpointslice"],
            "secrets": kinds["secret"],
            "resources": len(self.log.table),
            "routes": self.compiler.route_count(),
        }

    def live(self) -> int:
        """How many workers of edges serve the newest version."""
        head = self.log.head
        return self.edges.live(head.delta.epoch, head.delta.version, head.delta.digest) if head else 0

    def status(self) -> RoleStatus:
        """This process, for ``/status`` and status requests."""
        position, head = self.log.position, self.log.head
        counts = {
            **self.counts(),
            "ingresses_served": len(self.compiler.served),
            "edge_workers": len(self.edges),
            "live": self.live(),
        }
        return RoleStatus(
            role="compiler",
            name=self.options.name,
            software=software(),
            started_at=self.started_at,
            ready=self.ready,
            active=self.active,
            epoch=position.epoch,
            version=position.version,
            digest=head.delta.digest.hex() if head else "",
            age=max(time.time() - head.delta.published_at, 0.0) if head else 0.0,
            counts=counts,
            last_error=self.last_error,
            connected=self.bus.connected,
            sources=self._sources(),
            diagnostics=tuple(self.findings.diagnostics(MAX_SHOWN_DIAGNOSTICS)),
            held=self.held,
            edges=self.edges.reports(),
        )

    def _sources(self) -> tuple[SourceStatus, ...]:
        counts = self.intake.feed.counts
        age = time.monotonic() - self.beacon_at if self.beacon_at else 0.0
        return tuple(
            SourceStatus(
                kind=f"{source.name}/{state.kind}",
                synced=state.synced,
                objects=counts[state.kind],
                age=age,
                error=state.error,
            )
            for source in self.intake.sources.values()
            for state in source.kinds
        )

    def metrics(self) -> bytes:
        """This process' metrics, gauges as of now."""
        position = self.log.position
        metrics.EPOCH.set(position.epoch)
        metrics.VERSION.set(position.version)
        metrics.ACTIVE.set(self.active)
        metrics.HELD.set(len(self.intake.hold))
        metrics.OBJECTS.set(len(self.intake.feed))
        metrics.ROUTES.set(self.compiler.route_count())
        metrics.EDGES.set(len(self.edges))
        metrics.EDGES_LIVE.set(self.live())
        metrics.EDGES_REFUSING.set(self.edges.refusing())
        return render()
