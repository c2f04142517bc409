"""The sessions with one endpoint: one as a rule, more when it lets us have no more requests under way on one.

Owns which session a request goes to, and that requests which come while one is being opened wait for it together. Must
not know requests.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from services.edge.connecting import connect
from services.edge.http2_upstream.session import Session
from services.edge.http2_upstream.stream import EndpointStream

if TYPE_CHECKING:
    from services.edge.pools import EndpointPool
    from services.edge.serving import Serving

TRUSTED_CAPACITY: Final = 100
"""Requests that wait for one session that is being opened; those beyond open another."""


class TooManyConnectsError(Exception):
    """As many connections to endpoints are being opened as may be at a time."""


class _Opening:
    """A session on its way. ``waiting``: how many want it."""

    __slots__ = ("task", "waiting")

    def __init__(self, task: asyncio.Task[Session]) -> None:
        self.task = task
        self.waiting = 0


class Sessions:
    """See the module; belongs to an EndpointPool."""

    __slots__ = ("_opening", "_pool", "_serving", "_sessions")

    def __init__(self, pool: EndpointPool, serving: Serving) -> None:
        self._pool = pool
        self._serving = serving
        self._sessions: list[Session] = []
        self._opening: _Opening | None = None

    @property
    def pool(self) -> EndpointPool:
        """Whose sessions they are."""
        return self._pool

    def stream(self) -> EndpointStream | None:
        """A stream of a session that takes one more request; None: there is no such session."""
        for session in self._sessions:
            if session.takes_requests:
                return session.stream()
        return None

    async def ready(self, timeout: float) -> None:
        """Wait until a session may take one more request: one that is on its way already, or another, opened within
        ``timeout`` seconds. Raises ConnectTimeoutError, OSError, TooManyConnectsError."""
        opening = self._opening
        if opening is None or opening.task.done() or opening.waiting >= TRUSTED_CAPACITY:
            if not self._serving.limits.connect():
                raise TooManyConnectsError
            opening = self._opening = _Opening(self._serving.loop.create_task(self._open(timeout)))
        opening.waiting += 1
        session = await asyncio.shield(opening.task)
        if session.closed:
            raise ConnectionResetError("the endpoint ended the connection at once")
        if not session.takes_requests and not session.engine.open_streams:
            raise ConnectionRefusedError("the endpoint takes connections and no requests")

    async def _open(self, timeout: float) -> Session:
        try:
            session = Session(self, self._pool, self._serving)
            await connect(self._serving, session, self._pool, timeout)
        finally:
            self._serving.limits.connected()
        return session

    def retire(self) -> None:
        """No balancer names the endpoint any more."""
        for session in list(self._sessions):
            session.end_if_idle()

    # --- from sessions ------------------------------------------------------------------------------------------

    def opened(self, session: Session) -> None:
        """A session is there."""
        self._pool.open += 1
        self._sessions.append(session)

    def leaves(self, session: Session) -> None:
        """A session takes no more requests."""
        if session in self._sessions:
            self._sessions.remove(session)

    def closed(self, session: Session) -> None:
        """A session is gone."""
        self._pool.open -= 1
        self.leaves(session)
