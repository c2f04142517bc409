"""A client's connection that is not yet, or never will be, one that serves requests: it is watched while it waits.

Owns that it stands among its like, has a deadline, and leaves both when it goes. Must not know what is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableSet
from typing import TYPE_CHECKING, Any, cast

from services.edge.deadlines import Timed

if TYPE_CHECKING:
    from services.edge.listener import Listener


class Waiting(asyncio.Protocol):
    """See the module. ``among``: those who wait for the same; ``deadline``: as ``time.monotonic``."""

    __slots__ = ("_among", "_listener", "_transport", "_watched", "deadline")

    def __init__(self, listener: Listener, among: MutableSet[Any], deadline: float) -> None:
        self._listener = listener
        self._among = among
        self.deadline = deadline
        self._transport = cast(asyncio.Transport, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self._transport = cast(asyncio.Transport, transport)
        self._watched: set[Timed] = self._listener.serving.deadlines.watch(self)
        self._among.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """It is gone."""
        self._unwatch()

    def expire(self, _now: float) -> None:
        """It had its time."""
        self.abort()

    def abort(self) -> None:
        """Close at once."""
        self._unwatch()
        self._transport.abort()

    def _unwatch(self) -> None:
        self._watched.discard(self)
        self._among.discard(self)
