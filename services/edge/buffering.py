"""The body of a request between its client and the endpoint: collected first, as nginx does it, or passed on.

Owns how large a body may be, how slowly it may come, and when the endpoint hears of the request: with
``proxy-request-buffering: on`` (the default) not before the whole body is here, so that a body that breaks off, is
malformed or takes for ever costs the endpoint nothing, and another one can be tried with all of it. The same for every
protocol of clients: whoever reads a body gives its bytes, without framing, to an Upload. Must not know how they came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.edge.core.chunked import LAST, frame
from services.edge.core.plan import Forward
from services.edge.core.request_body import due, with_length
from services.edge.core.request_head import RefusedError
from services.edge.spool import Collected

if TYPE_CHECKING:
    from services.edge.core.generation import Generation
    from services.edge.exchange import Exchange
    from services.edge.spool import Spools


class Upload:
    """The body of one request. First ``start``, then ``take`` until the end; ``close`` when the exchange is over.

    ``pause``: seconds that may pass between two reads; ``collects``: nothing goes on before the end, so the client
    never has to be stopped for the endpoint's sake. ``labels`` of a refusal are those of ``forward``.
    """

    __slots__ = (
        "_chunked",
        "_collected",
        "_exchange",
        "_generation",
        "_head",
        "_limit",
        "_spools",
        "_started",
        "collects",
        "forward",
        "pause",
        "size",
    )

    def __init__(
        self,
        exchange: Exchange,
        spools: Spools,
        forward: Forward,
        generation: Generation,
        head: bytes,
        length: int,
        now: float,
    ) -> None:
        """``head``: for the endpoint; ``length``: that it names, negative for chunks."""
        self._exchange = exchange
        self._spools = spools
        self.forward = forward
        self._generation = generation
        self._head = head
        http2 = forward.proxying.transport.http2  # which frames by itself, and where both sides may talk at once
        self._chunked = length < 0 and not http2
        self._started = now
        self._limit = forward.proxying.body_limit
        self._collected: Collected | None = None
        self.collects = forward.proxying.request_buffering and not http2
        self.pause = generation.settings.client_body_timeout
        self.size = 0

    def start(self, payload: bytes, last: bool, now: float) -> None:
        """Begin with what came along with the head. Raises RefusedError as ``take`` does."""
        exchange = self._exchange
        if self.collects:
            exchange.forget()
            exchange.labels = self.forward.labels
            exchange.sent = exchange.head_sent = 0
            self.take(payload, last, now)
        else:
            self._measure(payload, last)
            exchange.begin(self.forward, self._generation, self._head + self._framed(payload, last), last)

    def take(self, payload: bytes, last: bool, now: float) -> None:
        """More of the body; ``last``: that was all. Raises RefusedError if the request is to be refused for it, 413 or
        500: then ``close`` is all that is left to do."""
        self._measure(payload, last)
        if not self.collects:
            framed = self._framed(payload, last)
            if framed or last:
                self._exchange.send_body(framed, last)
        elif last and self._collected is None:
            self._deliver(payload, now)
        else:
            self._collect(payload)
            if last:
                self._deliver(b"", now)

    def due(self, now: float) -> float:
        """When more has to have come."""
        return due(self._started, now, self.size, self.pause) if self.collects else now + self.pause

    def close(self) -> None:
        """Let go of what was collected; nobody will be offered it again."""
        collected, self._collected = self._collected, None
        if collected is not None:
            self._exchange.stored = None
            collected.close()

    def _measure(self, payload: bytes, last: bool) -> None:
        self.size += len(payload)
        if self.size > self._limit:
            raise RefusedError(413, "body-too-large")
        copy = self._exchange.copy
        if copy is not None:
            copy.put(payload)
            if last:
                copy.complete()

    def _framed(self, payload: bytes, last: bool) -> bytes:
        if not self._chunked:
            return payload
        framed = frame(payload) if payload else b""
        return framed + LAST if last else framed

    def _collect(self, payload: bytes) -> None:
        if not payload:
            return
        collected = self._collected
        if collected is None:
            collected = self._collected = Collected(self._spools, self.forward.proxying.body_memory)
        try:
            collected.put(payload)
        except OSError as error:
            self._spools.complain(error)
            raise RefusedError(500, "body-not-kept") from error

    def _deliver(self, payload: bytes, now: float) -> None:
        """The body is whole: begin. ``payload``: all of it, where nothing was collected."""
        head = with_length(self._head, self.size) if self._chunked else self._head
        exchange = self._exchange
        collected = self._collected
        if collected is not None and collected.on_disk:
            exchange.stored = collected
            exchange.begin(self.forward, self._generation, head, False, now)
        else:
            data = payload if collected is None else collected.give()
            exchange.begin(self.forward, self._generation, head + data, True, now)
