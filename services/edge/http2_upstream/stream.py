"""One request on an endpoint's HTTP/2 connection, and the response to it.

Owns the credit that is kept from the endpoint while the client takes no more, and the head's way into the edge's own
form. To an exchange it is the connection of an endpoint, with a transport, that serves this request alone. Must not
know frames: the engine has those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from services.edge.core.http2.errors import CANCEL, REFUSED_STREAM
from services.edge.core.http2.events import DataReceived, ResponseReceived, StreamReset, TrailersReceived
from services.edge.core.response_head import BadResponseError
from services.edge.deadlines import NEVER

if TYPE_CHECKING:
    from services.edge.exchange import Exchange
    from services.edge.http2_upstream.session import Session

WAITING_MARK: Final = 64 * 1024
"""Bytes of a request's body that may wait for the endpoint's window before the client is stopped."""
INTERIMS_AT_MOST: Final = 32
"""Interim responses (1xx) before the final one."""


class EndpointStream:
    """See the module. ``exchange`` is None once nobody waits any more; ``deadline``: the session looks at it.

    ``_waiting``: bytes for which the endpoint has no window; ``_held``: credit kept back while ``_reading`` is False.
    """

    __slots__ = (
        "_held",
        "_id",
        "_interims",
        "_reading",
        "_stopped",
        "_waiting",
        "answered",
        "deadline",
        "exchange",
        "pool",
        "read_timeout",
        "requests",
        "session",
    )

    def __init__(self, session: Session) -> None:
        self.session = session
        self.pool = session.pool
        self.exchange: Exchange | None = None
        self.requests = 0
        self.read_timeout = 60.0
        self.deadline = NEVER
        self.answered = False
        self._id = 0
        self._interims = 0
        self._waiting = 0
        self._held = 0
        self._reading = True
        self._stopped = False

    @property
    def transport(self) -> EndpointStream:
        """Itself."""
        return self

    # --- from the exchange (as a connection) --------------------------------------------------------------------

    def drop(self) -> None:
        """Nothing more is wanted of the endpoint; whoever worked with it is not told."""
        self.exchange = None
        self.session.cancel(self._id, CANCEL)

    def untaken(self) -> int:
        """Bytes of the request that are not written yet; where its session is what is slow, those of all."""
        waiting = self.session.engine.send_data(self._id, b"")
        if waiting or self.exchange is None or self.exchange.request_sent:
            return waiting
        return self.session.untaken()

    # --- from the exchange (as a transport) ---------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """The head with what there is of the body, then more of the body; the exchange knows whether that was all."""
        exchange = self.exchange
        if exchange is None:
            return
        session = self.session
        if self._id:
            self._waiting = session.engine.send_data(self._id, data, exchange.request_sent)
        else:
            end = data.index(b"\r\n\r\n") + 4
            block = session.blocks.block(data[:end])
            self._id = session.open_stream(self, block, data[end:], exchange.request_sent, exchange.bodiless)
            if len(data) > end:
                self._waiting = session.engine.send_data(self._id, b"")
        session.flush_soon()
        if (self._waiting > WAITING_MARK or session.congested) and not self._stopped and not exchange.request_sent:
            self._stopped = True
            exchange.pause_client()

    def get_write_buffer_size(self) -> int:
        """Bytes that the endpoint has not taken yet."""
        return self._waiting + self.session.untaken()

    def pause_reading(self) -> None:
        """The client takes no more: no further credit for the endpoint."""
        self._reading = False

    def narrow(self) -> None:
        """Nothing: how much may come is the stream's window."""

    def resume_reading(self) -> None:
        """The client takes bytes again."""
        self._reading = True
        held, self._held = self._held, 0
        if held:
            self.session.engine.took(self._id, held)
            self.session.flush_soon()

    def is_closing(self) -> bool:
        """Whether the session that it belongs to has ended."""
        return self.session.closed

    # --- from the session ---------------------------------------------------------------------------------------

    def head(self, event: ResponseReceived, now: float) -> None:
        """The response's head."""
        exchange = self.exchange
        if exchange is None:
            return
        try:
            head = self.session.heads.read(event.head)
        except BadResponseError as error:
            self.fail(str(error), invalid=True)
            return
        self.answered = True
        if self.pool.noted:
            self.pool.answers()
        self.deadline = now + self.read_timeout if self._reading else NEVER
        if event.ended:
            self._over(exchange)
        exchange.answered(head, b"", event.ended, now)

    def interim(self) -> None:
        """1xx: for us alone."""
        self._interims += 1
        if self._interims > INTERIMS_AT_MOST:
            self.fail("interim responses without end", invalid=True)

    def data(self, event: DataReceived, now: float) -> None:
        """More of the response's body."""
        exchange = self.exchange
        if exchange is None:
            self.session.engine.took(self._id, event.length)
            return
        self.deadline = now + self.read_timeout if self._reading else NEVER
        if event.data:
            exchange.body(event.data)
        if self._reading:
            self.session.engine.took(self._id, event.length)
        else:
            self._held += event.length
            self.session.engine.set_aside(self._id, event.length)  # other streams go on
        if event.ended and self.exchange is exchange:
            self._over(exchange)
            exchange.ended(now)

    def trailers(self, event: TrailersReceived, now: float) -> None:
        """The response is complete, with fields behind its body."""
        exchange = self.exchange
        if exchange is not None:
            self._over(exchange)
            exchange.trailers(event.fields)
            exchange.ended(now)

    def reset(self, event: StreamReset) -> None:
        """The endpoint gave up, or was wrong."""
        unseen = event.remote and event.code == REFUSED_STREAM and not self.answered
        reason = "stream-reset" if event.remote else event.reason or "protocol"  # not "reset": the connection lives on
        self._break(reason, invalid=not event.remote, unseen=unseen)

    def opened(self) -> None:
        """All that waited for the endpoint's window is on its way."""
        self._waiting = 0
        if self._stopped and not self.session.congested:
            self._go_on()

    def congest(self) -> None:
        """The endpoint takes no bytes, of any stream."""
        exchange = self.exchange
        if exchange is not None and not exchange.request_sent and not self._stopped:
            self._stopped = True
            exchange.pause_client()

    def relieve(self) -> None:
        """It takes bytes again."""
        if self._stopped and not self._waiting:
            self._go_on()

    def is_still_taken(self, now: float) -> bool:
        """Whether the request is still being taken, if slowly, though its time is over."""
        return self.exchange is not None and self.exchange.is_still_taken(self, now)

    def expire(self) -> None:
        """Nothing came for too long."""
        self.session.cancel(self._id, CANCEL)
        self._break("timeout")

    def fail(self, reason: str, *, invalid: bool = False) -> None:
        """The response cannot be had."""
        self.session.cancel(self._id, CANCEL)
        self._break(reason, invalid=invalid)

    def lost(self) -> None:
        """The session is gone."""
        self._break("reset")

    def broken(self, reason: str) -> None:
        """The session broke the protocol."""
        self._break(reason, invalid=True)

    def _go_on(self) -> None:
        self._stopped = False
        if self.exchange is not None:
            self.exchange.resume_client()

    def _over(self, exchange: Exchange) -> None:
        """The response is complete. A request that is not is of no use to anybody."""
        self.exchange = None
        self.deadline = NEVER
        if not exchange.request_sent or self._waiting:
            self.session.cancel(self._id, CANCEL)
        else:
            self.session.done(self._id)

    def _break(self, reason: str, *, invalid: bool = False, unseen: bool = False) -> None:
        exchange, self.exchange = self.exchange, None
        self.deadline = NEVER
        if exchange is not None:
            exchange.broken(reason, answered=self.answered, invalid=invalid, unseen=unseen)
