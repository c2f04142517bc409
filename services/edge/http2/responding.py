"""The response's half of a stream: heads and bodies to the client as its window allows, and the end of the stream.

Owns how much waits for the client's window, and for how long it may. Must not know how requests are read:
``services.edge.http2.stream`` adds that.
"""

from __future__ import annotations

from abc import abstractmethod
from time import monotonic
from typing import TYPE_CHECKING, Final

from services.edge.core import pages
from services.edge.core.generation import Generation
from services.edge.core.http2 import encode_fields
from services.edge.core.http2.errors import CANCEL, INTERNAL_ERROR, NO_ERROR
from services.edge.core.http2.events import Fields
from services.edge.core.http2_response import block_of
from services.edge.core.own_lines import own_lines
from services.edge.core.plan import RouteLabels
from services.edge.core.response_head import ResponseHead
from services.edge.deadlines import NEVER, Timed
from services.edge.exchange import Exchange
from services.edge.policing import Policing

if TYPE_CHECKING:
    from services.edge.http2.connection import Http2Connection

SEND_TIME: Final = 60.0
"""Seconds that a client may open none of its window while bytes wait for it (nginx: send_timeout)."""
WAITING_MARK: Final = 64 * 1024
"""Bytes of a response that may wait for the client's window before the endpoint is read no further."""
PROTOCOL: Final = 2
"""``minor`` of requests that came over HTTP/2, for records."""

LARGE: Final = 32 * 1024
"""Bytes that are written at once: what the client does not take of them is known before more is read."""

_FRAME: Final = 9


class Responding:
    """See the module. ``_unsent``: the request is not complete; ``_waiting``: bytes of the response for which the
    client has no window; ``_responding``: some of it was sent; ``_over``: nothing more comes from the endpoint."""

    __slots__ = (
        "_connection",
        "_engine",
        "_generation",
        "_id",
        "_over",
        "_policing",
        "_responding",
        "_unsent",
        "_waiting",
        "_watched",
        "deadline",
        "exchange",
    )

    def __init__(self, connection: Http2Connection) -> None:
        self._connection = connection
        self._engine = connection.engine
        self.exchange: Exchange
        self._generation: Generation | None = None
        self._watched: set[Timed] | None = None
        self.deadline = NEVER
        self._id = 0
        self._policing: Policing | None = None

    def _start(self, stream_id: int, unsent: bool) -> None:
        """Be the stream of that id."""
        self._id = stream_id
        self._unsent = unsent
        self._waiting = 0
        self._responding = self._over = False

    @abstractmethod
    def _due(self) -> float:
        """When more of the request has to have come, NEVER if nothing is waited for."""

    @abstractmethod
    def _too_slow(self) -> None:
        """It has not."""

    @abstractmethod
    def _let_go(self) -> None:
        """The stream is over: nothing of the request is needed any more."""

    # --- answers of the edge itself -----------------------------------------------------------------------------

    def _answer_alone(self, status: int, labels: RouteLabels, location: bytes = b"", page: int = 0) -> None:
        """Answer without having asked anybody."""
        exchange = self.exchange
        exchange.forget()
        exchange.labels = labels
        self._answer(status, location, page)

    def _answer(
        self, status: int, location: bytes = b"", page: int = 0, more: bytes = b"", shown: bytes | None = None
    ) -> None:
        connection = self._connection
        exchange = self.exchange
        policing = self._policing
        lines, content = pages.answer(
            status,
            page=page,
            location=location,
            lines=own_lines(self._generation, connection.facts.tls) + more,
            date=connection.serving.date(),
            content=shown,
            dress=None if policing is None else policing.course.dressed,
        )
        body = b"" if exchange.bodiless else content
        exchange.status = status
        if connection.serving.traffic.wants_answers:
            exchange.answer = b"%b%b\r\n" % (pages.status_line(status), lines)
        exchange.sent = self._send_head(block_of(status, lines), body, True)
        self.finish(monotonic())

    # --- from the exchange (clients.Client) ---------------------------------------------------------------------

    def respond(self, head: ResponseHead, body: bytes, complete: bool) -> int:
        """Send the head, changed as far as it must be, and what there is of the body."""
        connection = self._connection
        assert self._generation is not None
        block = connection.common.blocks(self._generation).block(head, connection.serving.date())
        return self._send_head(block, body, complete)

    def _send_head(self, block: bytes, body: bytes, complete: bool) -> int:
        connection = self._connection
        self._responding = True
        self._over = complete
        self._waiting = self._engine.send_head(self._id, block, body, complete)
        connection.flush_soon()
        if self._waiting or connection.congested:
            self._slow_down()
        self.exchange.head_sent = head_sent = _FRAME + len(block)
        return head_sent + _FRAME + len(body) if body else head_sent

    def body(self, data: bytes) -> int:
        """More of the body."""
        connection = self._connection
        self._waiting = self._engine.send_data(self._id, data)
        if len(data) > LARGE:
            connection.flush_now()
        else:
            connection.flush_soon()
        if self._waiting or connection.congested:
            self._slow_down()
        return _FRAME + len(data)

    def trailers(self, fields: Fields) -> None:
        """What comes behind the body: gRPC says there how a call went."""
        if not self._over:
            self._over = True
            self._waiting = self._engine.send_trailers(self._id, encode_fields(fields))
            self._connection.flush_soon()

    def finish(self, now: float) -> None:
        """The response is complete; the stream is over once the client has window for the rest of it."""
        if not self._over:
            self._over = True
            self._waiting = self._engine.send_data(self._id, b"", True)
            self._connection.flush_soon()
        if self._waiting:
            self._wait_until(now + SEND_TIME)
        else:
            self._conclude(now)

    def fail(self, status: int) -> None:
        """No endpoint answered."""
        exchange = self.exchange
        if exchange.endpoint:
            exchange.upstream_status = status
        self._answer(status)

    def cut(self) -> None:
        """The response broke off."""
        self._engine.reset(self._id, INTERNAL_ERROR)
        self._connection.flush_soon()
        self._unsent = False
        self._conclude(monotonic())

    def tunnel(self, head: ResponseHead, rest: bytes) -> int:
        """Never: nobody asks an endpoint to change protocols on behalf of HTTP/2."""
        raise AssertionError

    # --- the client's window ------------------------------------------------------------------------------------

    def _slow_down(self) -> None:
        connection = self._connection
        if self._waiting:
            self._wait_until(monotonic() + SEND_TIME)
            connection.weigh()
        if not self._over and (
            self._waiting > WAITING_MARK or connection.congested or (connection.full and self._waiting)
        ):
            self.exchange.pause_upstream()

    def opened(self, now: float) -> None:
        """All that waited for the client's window is on its way."""
        self._waiting = 0
        connection = self._connection
        connection.weigh()
        if self._over:
            self._conclude(now)
            return
        self.deadline = self._due()
        if not connection.congested:
            self.exchange.resume_upstream()

    def hold(self) -> None:
        """The connection has enough that waits: nothing is to come that would wait too."""
        if self._waiting or self._engine.exhausted:
            self.congest()

    def congest(self) -> None:
        """The client takes no bytes, of any stream."""
        if self._over:
            return
        if self._responding:
            self.exchange.pause_upstream()
        elif self.exchange.request_sent:
            self.exchange.stop_endpoint()

    @property
    def waits(self) -> bool:
        """Whether some of the response waits for the client's window."""
        return self._waiting > 0

    def relieve(self) -> None:
        """It takes bytes again."""
        if self._waiting <= WAITING_MARK:
            self.exchange.resume_upstream()

    # --- time, and the end --------------------------------------------------------------------------------------

    def _wait_until(self, deadline: float) -> None:
        self.deadline = deadline
        if self._watched is None:
            self._watched = self._connection.serving.deadlines.watch(self)

    def expire(self, now: float) -> None:
        """The client opened none of its window, or sent nothing of a body, for too long."""
        if not self._waiting:
            self._too_slow()
            return
        left = self._engine.send_data(self._id, b"")
        if left < self._waiting:
            self._waiting = left
            self.deadline = now + SEND_TIME
        else:
            self._engine.reset(self._id, CANCEL)
            self._connection.flush_soon()
            self.abandon(now)

    def abandon(self, now: float) -> None:
        """The client has left, or the stream was reset."""
        exchange = self.exchange
        exchange.abort()
        self._connection.serving.traffic.counters["client-aborted"] += 1
        if not self._responding:
            exchange.status = 499
            exchange.sent = 0
        self._unsent = False
        self._conclude(now)

    def _conclude(self, now: float) -> None:
        """Put down what happened and be free for another request. A client that still sends is told to stop, as nginx
        tells it: in a record of its own behind the response (curl 7 takes a stream whose end it reads together with the
        response for broken while it is sending)."""
        self.exchange.record(now)
        if self._watched is not None:
            self._watched.discard(self)
            self._watched = None
        self._let_go()
        connection = self._connection
        if self._unsent:
            connection.flush_now()
            self._engine.reset(self._id, NO_ERROR)
            connection.flush_soon()
        connection.release(self._id, now)
        if self._waiting:
            self._waiting = 0
            connection.weigh()
