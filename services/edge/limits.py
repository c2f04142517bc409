"""How much of everything a worker takes on at once: connections in all and by source, connections being opened.

Owns the counts. What is done about too many is for who asks, and for ``services.edge.overload``.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import Callable
from typing import Final

from services.edge.options import DEFAULT_LIMITS, LimitOptions

RESERVED: Final = 1 / 8
"""Share of the descriptors (of the first 8192) for everything that is no connection: bus, log, files of bodies."""

SESSIONS: Final = 1 / 4
"""Share of the connections that sessions of datagrams may take up: whoever sends datagrams can make up where they come
from, as often as he likes, and must not keep everybody else out by it."""


class Limits:
    """See the module. One per worker. ``connections_at_most``: with clients and endpoints together (nginx:
    worker_connections), never more than there are descriptors; ``clients`` counts those to clients, ``endpoints`` are
    those to endpoints at the last look; ``sessions``: those of them that are for datagrams; ``exhausted_times``: how
    often something was used up."""

    __slots__ = (
        "_connecting",
        "_counters",
        "_options",
        "_sources",
        "clients",
        "connections_at_most",
        "descriptors",
        "endpoints",
        "exhausted_times",
        "sessions",
    )

    def __init__(self, counters: Counter[str], options: LimitOptions = DEFAULT_LIMITS) -> None:
        self._counters = counters
        self._options = options
        self._connecting = 0
        self._sources: dict[str, set[asyncio.BaseTransport]] = {}
        self.clients: Callable[[], int] = _none
        self.endpoints = self.sessions = 0
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.descriptors = files - int(min(files, 8192) * RESERVED)
        self.connections_at_most = self.descriptors
        self.exhausted_times = 0

    @property
    def per_source(self) -> bool:
        """Whether connections of one address are counted."""
        return self._options.per_source > 0

    @property
    def used(self) -> int:
        """Connections that there are."""
        return self.clients() + self.endpoints + self._connecting

    def follow(self, worker_connections: int) -> None:
        """Go by ``max-worker-connections``; 0: as many as there are descriptors for."""
        self.connections_at_most = min(worker_connections or self.descriptors, self.descriptors)

    def full(self) -> bool:
        """Whether no further client can be taken on."""
        if self.clients() + self.endpoints < self.connections_at_most:
            return False
        self._counters["overload-connections"] += 1
        return True

    def full_of_sessions(self) -> bool:
        """Whether no further session of datagrams can be begun."""
        return self.sessions >= self.connections_at_most * SESSIONS or self.full()

    def admit(self, address: str, transport: asyncio.BaseTransport) -> bool:
        """Whether one more connection from ``address`` is taken on; it counts until it closes."""
        limit = self._options.per_source
        if not limit:
            return True
        known = self._sources.setdefault(address, set())
        if len(known) >= limit:
            known.difference_update([one for one in known if one.is_closing()])
            if len(known) >= limit:
                self._counters["overload-source"] += 1
                return False
        known.add(transport)
        return True

    def forget_closed(self) -> None:
        """Let go of what is known of sources whose connections have ended."""
        for address, known in list(self._sources.items()):
            known.difference_update([one for one in known if one.is_closing()])
            if not known:
                del self._sources[address]

    def connect(self) -> bool:
        """Whether one more connection to an endpoint may be opened; ``connected`` is then called when that is over."""
        limit = self._options.pending_connects
        if limit and self._connecting >= limit:
            self._counters["overload-pending-connects"] += 1
            return False
        self._connecting += 1
        return True

    def connected(self) -> None:
        """A connection was opened, or could not be."""
        self._connecting -= 1

    def exhausted(self) -> None:
        """The process, or the machine, has no more of something that a connection needs."""
        self._counters["overload-resources"] += 1
        self.exhausted_times += 1


def _none() -> int:
    return 0


def take_all_descriptors() -> None:
    """Raise this process' limit of open files as far as it may be (nginx: worker_rlimit_nofile)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
