"""A response that may not go as fast as its client would take it (``limit-rate``): it goes piece by piece.

Owns what was handed on and may not go yet: hardly more than one read brought, for whoever sends it is told to wait. It
stands between what makes the response and its client, of whatever protocol. Exists only where there is a limit.
"""

from __future__ import annotations

from asyncio import TimerHandle
from time import monotonic
from typing import TYPE_CHECKING, Final

from services.edge.clients import Client
from services.edge.core.http2.events import Fields
from services.edge.core.policies.rates import Rate
from services.edge.core.response_head import ResponseHead

if TYPE_CHECKING:
    from services.edge.exchange import Exchange
    from services.edge.serving import Serving

PIECE: Final = 0.25
"""Seconds' worth of bytes that go at once: less would wake us more often than anybody could tell."""


class Pace:
    """See the module. ``congested``: the client takes nothing for now. ``close`` when the request is over."""

    __slots__ = (
        "_client",
        "_ended",
        "_exchange",
        "_piece",
        "_rate",
        "_sent",
        "_serving",
        "_timer",
        "_trailers",
        "_waiting",
        "congested",
    )

    def __init__(self, serving: Serving, exchange: Exchange, client: Client, rate: Rate) -> None:
        self._serving = serving
        self._exchange = exchange
        self._client = client
        self._rate = rate
        self._piece = max(int(rate.per_second * PIECE), 1)
        self._waiting = bytearray()
        self._timer: TimerHandle | None = None
        self._trailers: Fields | None = None
        self._sent = 0
        self._ended = False
        self.congested = False

    def respond(self, head: ResponseHead, body: bytes, complete: bool) -> int:
        """The head, with as much of the body as may go."""
        if complete and len(body) <= self._allowed():
            return self._client.respond(head, body, True)
        sent = self._client.respond(head, b"", False)
        self._sent += sent
        return sent + self.body(body) if body else sent

    def body(self, data: bytes) -> int:
        """More of the body."""
        self._waiting += data
        return self._pass_on()

    def trailers(self, fields: Fields) -> None:
        """Fields behind the body."""
        if self._waiting:
            self._trailers = fields
        else:
            self._client.trailers(fields)

    def finish(self, now: float) -> None:
        """The body is complete."""
        if self._waiting:
            self._ended = True
        else:
            self._client.finish(now)

    def go_on(self) -> None:
        """The client takes bytes again."""
        self.congested = False
        self._due()

    def close(self) -> None:
        """Nothing more goes to the client."""
        self._waiting.clear()
        self._ended = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _allowed(self) -> int:
        return self._rate.allowed(monotonic() - self._exchange.started, self._sent)

    def _pass_on(self) -> int:
        """Send what may go, and see to it that the rest does when it may; returns the bytes that were written."""
        if self.congested or self._timer is not None:
            self._exchange.hold_upstream()
            return 0
        if not self._waiting:
            return 0
        size = min(self._allowed(), len(self._waiting))
        written = 0
        if size > 0:
            data = bytes(self._waiting[:size])
            del self._waiting[:size]
            self._sent += size
            written = self._client.body(data)
        if self._waiting:
            elapsed = monotonic() - self._exchange.started
            wanted = min(self._piece, len(self._waiting))
            self._timer = self._serving.loop.call_later(self._rate.wait(elapsed, self._sent, wanted), self._due)
            self._exchange.hold_upstream()
        return written

    def _due(self) -> None:
        """More may go, perhaps."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            self._go_on_with_it()
        except Exception as error:  # nobody else would hear of it when the loop called
            self._exchange.defect(error)

    def _go_on_with_it(self) -> None:
        self._exchange.sent += self._pass_on()
        if self._waiting:
            return
        if self._trailers is not None:
            fields, self._trailers = self._trailers, None
            self._client.trailers(fields)
        if self._ended:
            self._ended = False
            self._client.finish(monotonic())
        elif not self.congested:
            self._exchange.release_upstream()
