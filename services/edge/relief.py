"""Responses that clients take slower than endpoints send them: what waits, so that the endpoint is done early.

Owns the order of bytes between the two when ``proxy-buffering`` is on; nothing of it exists before a client is slow.
Must not know how either side speaks. Bytes wait in memory or in a file (``services.edge.spool``); once there are as
many as the route allows, the endpoint waits after all.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from services.edge.spool import Backlog

if TYPE_CHECKING:
    from services.edge.exchange import Exchange
    from services.edge.serving import Serving

PIECES_AT_ONCE: Final = 8
"""Pieces that a client gets before others have their turn."""


class Relief:
    """What one exchange's client has yet to get. ``stopped``: it takes nothing for now."""

    __slots__ = ("_backlog", "_ended", "_exchange", "_serving", "stopped")

    def __init__(self, exchange: Exchange, serving: Serving, memory: int, file: int) -> None:
        """``memory``, ``file``: how many bytes may wait in each."""
        self._exchange = exchange
        self._serving = serving
        self._backlog = Backlog(serving.spools, memory, file)
        self._ended = False
        self.stopped = True

    def put(self, data: bytes) -> None:
        """The endpoint sent ``data``."""
        try:
            self._backlog.put(data)
        except OSError as error:
            self._fail(error)
            return
        if self._backlog.full:
            self._exchange.stop_endpoint()

    def end(self, now: float) -> None:
        """The endpoint is done; so is the exchange when the client has everything."""
        if self._backlog.size:
            self._ended = True
        else:
            self._over(now)

    def go_on(self) -> None:
        """The client takes bytes again."""
        self.stopped = False
        self._pass_on()

    def _pass_on(self) -> None:
        try:
            self._pass_pieces()
        except Exception as error:  # nobody else would hear of it when the loop called
            self._exchange.defect(error)

    def _pass_pieces(self) -> None:
        exchange = self._exchange
        backlog = self._backlog
        for _ in range(PIECES_AT_ONCE):
            if self.stopped or exchange.relief is not self:
                return
            if not backlog.size:
                self._emptied()
                return
            try:
                data = backlog.take()
            except OSError as error:
                self._fail(error)
                return
            exchange.pass_on(data)
        self._serving.loop.call_soon(self._pass_on)

    def _emptied(self) -> None:
        if self._ended:
            self._over(monotonic())
        else:
            self.close()
            self._exchange.go_on_with_endpoint()

    def _over(self, now: float) -> None:
        self.close()
        self._exchange.conclude(now)

    def _fail(self, error: OSError) -> None:
        """Bytes are lost: the client must not take the response for complete."""
        self._serving.spools.complain(error)
        self._exchange.break_off()

    def close(self) -> None:
        """Let go of what waits."""
        self._exchange.relief = None
        self._backlog.close()
