"""The serving side as a worker drives it: generations in, connections accepted, and left without cutting anybody off.

Owns the traffic ports' life in this process. Must not know the bus; what a request becomes is not decided here.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from proto.sealing import Sealer
from services.edge.access.log import AccessLog
from services.edge.core.generation import Generation
from services.edge.listener import Listeners, listen
from services.edge.options import LimitOptions, MetricsOptions
from services.edge.process.exposing import PREFIX, Exposing
from services.edge.process.families import OWN
from services.edge.process.metrics import Series
from services.edge.process.sockets import WorkerSockets, take_all, turn_away
from services.edge.process.streams import drained, ports_beside, stream_families
from services.edge.serving import Serving
from services.edge.shared_rates import SharedClientRates, SharedCounts
from services.edge.streams.ports import Ports
from services.edge.tracing.tracing import OUTCOMES
from services.runtime.logs import log
from services.runtime.settings import HostPort

_log = logging.getLogger(__name__)

LAST_ARRIVALS: Final = 0.1
"""Seconds in which connections that were on their way when newcomers were turned away reach the queue."""
LAST_SPANS: Final = 2.0
"""Seconds in which a worker that ends may send the spans that wait."""
IDLE_GRACE: Final = 2.0
"""Seconds in which an idle connection may bring one more request, which is then told that it was the last."""


class Front:
    """See the module. ``draining``: set once the worker is about to leave; ``log``: of the requests served."""

    def __init__(
        self, sealer: Sealer, folder: Path, metrics: MetricsOptions, limits: LimitOptions, zone: str = ""
    ) -> None:
        loop = asyncio.get_running_loop()
        self._serving = Serving(loop, sealer, folder, metrics, limits)
        self._serving.pools.zone = zone
        loop.set_exception_handler(self._unexpected)
        self._ports: Ports | None = None
        self.log = AccessLog(loop, self._serving.traffic)
        self._exposing = Exposing(metrics)
        self._listeners: list[Listeners] = []
        self._sockets: list[socket.socket] = []
        self.draining = False

    def _unexpected(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback of the loop failed, or what a connection does with its bytes: whoever sends them again and again
        must not fill the log."""
        error = context.get("exception")
        if error is None or isinstance(error, OSError):
            loop.default_exception_handler(context)
        else:
            self._serving.defects.note(error)

    def share(self, counts: SharedCounts, worker: int) -> None:
        """Count what clients ask together with the other workers."""
        self._serving.client_rates = SharedClientRates(self._serving.loop.time, counts, worker)

    @property
    def listening(self) -> bool:
        """Whether clients are accepted."""
        return bool(self._listeners)

    @property
    def failures(self) -> dict[str, str]:
        """Certificates that cannot be loaded, with the reason; the fallback is served in their place."""
        return self._serving.contexts.failures

    @property
    def closed_ports(self) -> dict[str, str]:
        """Streams whose ports cannot be opened, with the reason."""
        return {} if self._ports is None else self._ports.failures

    def swap(self, generation: Generation) -> None:
        """Serve ``generation`` from the next request on."""
        self._serving.swap(generation)
        self.log.follow(generation.settings)
        if self._ports is not None:
            self._ports.follow(generation.streams)

    def reopen(self) -> None:
        """Open log files anew: they were moved away."""
        self.log.reopen()
        self._serving.ledger.reopen()

    def shutdown_timeout(self, flag: float) -> float:
        """Seconds to finish requests in: what the ConfigMap says, else the ``flag``."""
        newest = self._serving.newest
        said = None if newest is None else newest.settings.worker_shutdown_timeout
        return flag if said is None else said

    def resolved(self, name: str, addresses: tuple[str, ...]) -> None:
        """An external name has these addresses."""
        self._serving.resolved(name, addresses)

    async def listen(
        self, sockets: WorkerSockets, h2c: bool, admin: HostPort | None, port_changed: Callable[[], None]
    ) -> None:
        """Accept clients. The sockets may have been listening before, for a worker that died.

        ``h2c``: HTTP/2 is spoken on the http ports too. ``admin``: where the edge tells of itself; ``port_changed`` is
        called when ports of streams are closed that should not be, or no longer.
        """
        # of our own, for the listeners close theirs before the last word is said to the kernel
        self._sockets = [bound.dup() for bound in (*sockets.http, *sockets.https)]
        take_all(self._sockets)
        for bound, tls in ((sockets.http, False), (sockets.https, True)):
            self._listeners.append(await listen(self._serving, bound, tls, h2c))
        self._ports = ports_beside(self._serving, sockets, admin, port_changed)
        if self._serving.newest is not None:
            self._ports.follow(self._serving.newest.streams)

    async def last_words(self) -> None:
        """Hand over what is to be told of requests that are over."""
        await asyncio.gather(self.log.close(), self._serving.ledger.close(), self._serving.tracing.close(LAST_SPANS))

    async def drain(self, bound: float) -> None:
        """Take no new connections, let the others finish within ``bound`` seconds, then end them."""
        ports = self._ports
        turn_away([*self._sockets, *(ports.sockets() if ports is not None else ())])
        await asyncio.sleep(LAST_ARRIVALS)
        for listeners in self._listeners:
            listeners.last_responses()
        if ports is not None:
            ports.close()
        for listening in self._sockets:
            listening.shutdown(socket.SHUT_RDWR)  # the supervisor's descriptors would keep it listening
            listening.close()
        bound -= await self._wait_for_idle(min(IDLE_GRACE, bound))
        ending = [listeners.drain(bound) for listeners in self._listeners]
        whole = await asyncio.gather(*ending, *([] if ports is None else [drained(ports, bound)]))
        if not all(whole):
            log(_log, logging.WARNING, "connections were cut: they took longer than allowed", seconds=bound)

    async def _wait_for_idle(self, bound: float) -> float:
        """Leave idle connections a moment: to a client that is just sending a request, a close is a failure, while a
        response that says so is none. Returns the seconds that it took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        # asked again and again: connections end by the thousand, an event for each would cost more
        while loop.time() - began < bound and self._connections_left():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return loop.time() - began

    def _connections_left(self) -> int:
        return sum(listeners.connections for listeners in self._listeners)

    def counts(self) -> dict[str, int]:
        """Connections as they stand."""
        upstream = self._serving.pools.counts()
        return {
            "connections": self._connections_left(),
            "upstream_connections_idle": upstream["idle"],
            "upstream_connections_active": upstream["active"],
        }

    def families(self, has_host: Callable[[str], bool]) -> dict[str, list[Series]]:
        """What the traffic counted, by family.

        Series of hosts that are gone (``has_host`` tells) are shown this once and then forgotten, so that a cluster's
        comings and goings do not fill memory.
        """
        traffic = self._serving.traffic
        families = self._exposing.families(traffic.snapshot())
        traffic.forget(lambda route: not route.host or has_host(route.host))
        families[PREFIX + "nginx_process_requests_total"] = [Series((), [float(traffic.requests)])]
        families[OWN + "traffic_events_total"] = [
            Series((event,), [float(count)]) for event, count in traffic.counters.items()
        ]
        families[OWN + "access_log_lines_total"] = [
            Series(("written",), [float(self.log.written)]),
            Series(("lost",), [float(self.log.lost)]),
        ]
        spans = self._serving.tracing.counters
        families[OWN + "spans_total"] = [Series((outcome,), [float(spans[outcome])]) for outcome in OUTCOMES]
        families |= stream_families(self._serving, self._ports)
        families |= self._connections()
        return families

    def _connections(self) -> dict[str, list[Series]]:
        counts = self.counts()
        listeners = [listener for group in self._listeners for listener in group.each]
        doing = Counter(connection.doing for listener in listeners for connection in listener.connections)
        doing["reading"] += sum(len(listener.handshakes) for listener in listeners)
        accepted = float(sum(listener.accepted for listener in listeners))
        active = Series(("active",), [float(counts["connections"])])
        outflow = self._serving.outflow
        return {
            OWN + "connections": [active],
            OWN + "waiting_bytes": [Series((), [float(outflow.held)])],
            OWN + "waiting_clients": [Series((), [float(outflow.clients)])],
            PREFIX + "nginx_process_connections": [
                active,
                *(Series((state,), [float(doing[state])]) for state in ("reading", "writing", "waiting")),
            ],
            PREFIX + "nginx_process_connections_total": [
                Series((state,), [accepted]) for state in ("accepted", "handled")
            ],
            OWN + "upstream_connections": [
                Series((state,), [float(counts[f"upstream_connections_{state}"])]) for state in ("idle", "active")
            ],
        }
