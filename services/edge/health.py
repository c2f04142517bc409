"""Which endpoints are left out for a while, because they refused connections or let requests time out.

Owns when an endpoint goes and when it comes back; a ``Balancer`` arranges its turns by that. Must not know requests. It
is passive: nobody is asked until something failed. An endpoint that takes no connections comes back as soon as it takes
one, which is tried without a request, so that no client waits for it; one that took too long comes back by itself.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import TYPE_CHECKING, Final

from services.runtime.logs import log

if TYPE_CHECKING:
    from services.edge.pools import EndpointPool

_log = logging.getLogger(__name__)

FIRST_REST: Final = 1.0
"""Seconds that an endpoint which took no connection is left alone; twice as long each time it still takes none."""
LONGEST_REST: Final = 10.0
"""At most (nginx: fail_timeout), and how long one that lets requests time out is left out."""
TIMEOUTS: Final = 3
"""Requests that have to time out, with none answered between them, before an endpoint is left out for it."""
TIMEOUTS_WITHIN: Final = 30.0
"""Seconds after which such a request is forgotten."""
PROBE_TIME: Final = 5.0
"""Seconds that an endpoint has to take a connection before it is let in again."""

_OURS: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL))


def is_ours(error: BaseException) -> bool:
    """Whether a connection could not be opened for want of something on this side: no endpoint's fault."""
    return isinstance(error, OSError) and error.errno in _OURS


class Health:
    """See the module. One per worker."""

    __slots__ = ("_counters", "_loop", "_spawn")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        spawn: Callable[[Coroutine[None, None, None]], object],
        counters: Counter[str],
    ) -> None:
        self._loop = loop
        self._spawn = spawn
        self._counters = counters

    def took_no_connection(self, pool: EndpointPool, *, timed_out: bool) -> None:
        """A connection was refused, or not taken in time."""
        if not pool.resting:
            self._leave_out(pool, slow=timed_out)
            self._loop.call_later(FIRST_REST, self._probe, pool, FIRST_REST)

    def timed_out(self, pool: EndpointPool) -> None:
        """A request was not answered in time."""
        now = monotonic()
        if now - pool.timed_out_at > TIMEOUTS_WITHIN:
            pool.timeouts = 0
        pool.timed_out_at = now
        pool.timeouts += 1
        pool.noted = True
        if pool.timeouts >= TIMEOUTS and not pool.resting:
            self._leave_out(pool, slow=True)
            self._loop.call_later(LONGEST_REST, self._let_in, pool)

    def _leave_out(self, pool: EndpointPool, *, slow: bool) -> None:
        pool.resting = "slow" if slow else "refusing"
        pool.timeouts = 0
        self._counters["endpoint-left-out"] += 1
        log(_log, logging.WARNING, "endpoint is left out for a while", endpoint=pool.name, why=pool.resting)
        for balancer in pool.homes:
            balancer.arrange()

    def _let_in(self, pool: EndpointPool) -> None:
        pool.resting = ""
        if pool.retired:
            return
        log(_log, logging.INFO, "endpoint has its turns again", endpoint=pool.name)
        for balancer in pool.homes:
            balancer.arrange()

    def _probe(self, pool: EndpointPool, rested: float) -> None:
        if not pool.retired:
            self._spawn(self._try_to_connect(pool, rested))

    async def _try_to_connect(self, pool: EndpointPool, rested: float) -> None:
        """Let ``pool`` in if it takes a connection, else wait longer."""
        try:
            async with asyncio.timeout(PROBE_TIME):
                transport, _ = await self._loop.create_connection(asyncio.Protocol, pool.address, pool.port)
        except (OSError, UnicodeError):  # a timeout is one too, and manifests in files may name anything
            rest = min(rested * 2, LONGEST_REST)
            self._loop.call_later(rest, self._probe, pool, rest)
        else:
            transport.abort()
            self._let_in(pool)
