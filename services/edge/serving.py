"""What a worker serves with: the one reference to the generation in force, and what outlives swaps.

A swap is one assignment; a request pins the generation it began with. Owns pools, deadlines, counters and TLS contexts.
Must not know where generations come from.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Coroutine
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import Final

from proto.sealing import Sealer
from services.edge.authorities import Authorities
from services.edge.client_rates import ClientRates
from services.edge.contexts import Contexts
from services.edge.copies import Copies
from services.edge.core.asked import Machine
from services.edge.core.generation import Generation
from services.edge.deadlines import Deadlines
from services.edge.defects import Defects
from services.edge.digests import Digests
from services.edge.endpoint_contexts import EndpointContexts
from services.edge.health import Health
from services.edge.identifiers import NoRequestIds, RequestIds
from services.edge.limits import Limits
from services.edge.options import DEFAULT_LIMITS, DEFAULT_METRICS, LimitOptions, MetricsOptions
from services.edge.outflow import Outflow
from services.edge.overload import Overload
from services.edge.passwords import Passwords
from services.edge.pools import Pools
from services.edge.shared_rates import SharedClientRates
from services.edge.spool import Spools
from services.edge.streams.ledger import Ledger
from services.edge.tracing.tracing import Tracing
from services.edge.traffic import Traffic
from services.edge.verdicts import Verdicts
from services.runtime.version import software

SERIES_AT_MOST: Final = 20_000
"""Series of metrics beyond which those of hosts that are gone are dropped."""
COPIES_BUDGET: Final = 8 * 1024 * 1024
"""Bytes of bodies of copies that wait in memory: apart from those of the requests themselves."""


class Serving:
    """See the module. ``generation`` is what requests are answered by: None until the first swap, and while the worker
    is overloaded; they are answered 503 then. ``newest``: the one that was swapped in last.

    ``folder``: where bodies wait that are too large for memory. ``metrics``: how requests are counted.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sealer: Sealer,
        folder: Path,
        metrics: MetricsOptions = DEFAULT_METRICS,
        limits: LimitOptions = DEFAULT_LIMITS,
    ) -> None:
        self.loop = loop
        self.machine = Machine(socket.gethostname(), os.getpid(), software())
        self.generation: Generation | None = None
        self.newest: Generation | None = None
        self._refusing = False
        self.pools = Pools()
        self.deadlines = Deadlines(loop)
        self.traffic = Traffic(metrics)
        self.defects = Defects(self.traffic.counters)
        self.ids: RequestIds | NoRequestIds = RequestIds()
        self.spools = Spools(folder)
        self.authorities = Authorities(sealer)
        self.contexts = Contexts(sealer, self.authorities)
        self.endpoint_contexts = EndpointContexts(sealer)
        self.health = Health(loop, self.spawn, self.traffic.counters)
        self.limits = Limits(self.traffic.counters, limits)
        self.client_rates: ClientRates | SharedClientRates = ClientRates(loop.time)
        self.passwords: Passwords = Passwords(loop, sealer)
        self.digests: Digests = Digests(sealer)
        self.verdicts: Verdicts = Verdicts(loop)
        self.copies: Copies = Copies(loop, Spools(folder, COPIES_BUDGET), self.spawn, self.traffic.counters)
        self.tracing: Tracing = Tracing(loop, self.spawn)
        self.ledger: Ledger = Ledger(loop)
        self.outflow = Outflow(loop, self.traffic.counters, limits.waiting_bytes)
        self.overload = Overload(self)
        self.limits.clients = self.overload.clients
        self._tasks: set[asyncio.Task[None]] = set()
        self._date = b""
        self._date_at = 0

    def swap(self, generation: Generation) -> None:
        """Put ``generation`` in force. Requests under way go on with theirs; idle connections to endpoints that are
        gone are closed; certificates that changed are loaded anew when asked for."""
        self.newest = generation
        if not self._refusing:
            self.generation = generation
        self.limits.follow(generation.settings.max_worker_connections)
        if generation.settings.generate_request_id is isinstance(self.ids, NoRequestIds):
            self.ids = RequestIds() if generation.settings.generate_request_id else NoRequestIds()
        self.pools.settings = generation.settings
        self.pools.follow(generation.upstream)
        self.contexts.swap(generation)
        self.ledger.follow(generation.settings)
        self.tracing.follow(generation.settings)
        if self.traffic.series > SERIES_AT_MOST:
            self.traffic.forget(lambda labels: not labels.host or generation.has_host(labels.host))

    def refuse(self, refusing: bool) -> None:
        """Answer requests with 503 from now on, or no longer."""
        self._refusing = refusing
        self.generation = None if refusing else self.newest

    def resolved(self, name: str, addresses: tuple[str, ...]) -> None:
        """The name of an ExternalName Service has these addresses from now on."""
        self.pools.resolved(name, addresses)

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run ``work`` (opening a connection, asking somebody) beside the requests."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self.defects.done)
        return task

    def date(self) -> bytes:
        """The value of a Date header for now."""
        now = int(time())
        if now != self._date_at:
            self._date_at = now
            self._date = formatdate(now, usegmt=True).encode()
        return self._date
