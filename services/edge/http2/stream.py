"""One stream of a client's HTTP/2 connection: a request, and the response to it.

Owns the credit that is kept from the client while the endpoint takes no more of the request's body, and how much of the
response waits for the client's window. Must not know endpoints, nor frames: the engine has those.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from services.edge.buffering import Upload
from services.edge.core import pages
from services.edge.core.generation import Generation, own_lines
from services.edge.core.http2.errors import CANCEL, INTERNAL_ERROR, NO_ERROR
from services.edge.core.http2.events import DataReceived, RequestReceived
from services.edge.core.http2.hpack_encoder import encode_response
from services.edge.core.http2_request import check_target
from services.edge.core.http2_response import block_of
from services.edge.core.plan import NO_LABELS, Forward, Redirect, RouteLabels, plan
from services.edge.core.prepared import Prepared
from services.edge.core.request_head import RefusedError
from services.edge.core.response_head import ResponseHead
from services.edge.deadlines import NEVER, Timed
from services.edge.exchange import Exchange

if TYPE_CHECKING:
    from services.edge.http2.connection import Http2Connection

SEND_TIME: Final = 60.0
"""Seconds that a client may open none of its window while bytes wait for it (nginx: send_timeout)."""
WAITING_MARK: Final = 64 * 1024
"""Bytes of a response that may wait for the client's window before the endpoint is read no further."""
PROTOCOL: Final = 2
"""``minor`` of requests that came over HTTP/2, for records."""

_FRAME: Final = 9
_CONTINUE: Final = encode_response(100, ())


class Stream:
    """See the module. It serves one request after the other: a connection keeps those that are done for the next.

    ``_unsent``: the request is not complete; ``_held``: credit kept back while ``_flows`` is False; ``_waiting``: bytes
    of the response for which the client has no window; ``_over``: nothing more comes from the endpoint.
    """

    __slots__ = (
        "_connection",
        "_engine",
        "_flows",
        "_generation",
        "_held",
        "_id",
        "_over",
        "_responding",
        "_unsent",
        "_upload",
        "_waiting",
        "_watched",
        "deadline",
        "exchange",
    )

    def __init__(self, connection: Http2Connection) -> None:
        self._connection = connection
        self._engine = connection.engine
        self.exchange = Exchange(connection.serving, self)
        self.exchange.minor = PROTOCOL
        self.exchange.link = connection.link
        self._upload: Upload | None = None
        self._generation: Generation | None = None
        self._watched: set[Timed] | None = None
        self.deadline = NEVER
        self._id = 0

    # --- the request --------------------------------------------------------------------------------------------

    def begin(self, event: RequestReceived, now: float) -> None:
        """A request came."""
        head = event.head
        self._reset(event.stream_id, not event.ended)
        connection = self._connection
        serving = connection.serving
        exchange = self.exchange
        exchange.started = now
        exchange.method = method = head.method
        exchange.target = target = event.path
        exchange.bodiless = method == b"HEAD"
        generation = self._generation = serving.generation
        try:
            if generation is None:
                raise RefusedError(503, "no-generation")
            prepared = connection.requests.prepare(head, event.ended, generation)
            check_target(method, target)
        except RefusedError as refused:
            self._refuse(refused)
            return
        headers = prepared.headers
        standing = prepared.standing
        exchange.block = headers.block
        exchange.received = len(method) + len(target) + len(headers.block)
        exchange.address = standing.address
        exchange.request_id = request_id = headers.request_id or serving.ids.take()
        decision = plan(standing.host, target, standing.question)
        if not isinstance(decision, Forward):
            location = decision.location if isinstance(decision, Redirect) else b""
            self._answer_alone(decision.status, decision.labels, location)
            return
        id_and_end = b"\r\n\r\n" if headers.request_id else request_id + b"\r\n\r\n"
        line = b"".join((method, b" ", decision.target or target, prepared.middle, id_and_end))
        if event.ended:
            exchange.begin(decision, standing.generation, line, True)
        else:
            self._expect_body(decision, prepared, line)

    def _reset(self, stream_id: int, unsent: bool) -> None:
        self._id = stream_id
        self._unsent = unsent
        self._flows = True
        self._held = self._waiting = 0
        self._responding = self._over = False

    def _expect_body(self, decision: Forward, prepared: Prepared, line: bytes) -> None:
        headers = prepared.headers
        exchange = self.exchange
        serving = self._connection.serving
        generation = prepared.standing.generation
        now = exchange.started
        upload = Upload(exchange, serving.spools, decision, generation, line, headers.length, now)
        self._upload = upload
        self._wait_until(upload.due(now))
        if headers.body_expected:
            self._engine.send_head(self._id, _CONTINUE)
            self._connection.flush_soon()
        try:
            upload.start(b"", False, now)
        except RefusedError as refused:
            self._refuse_body(refused)

    def take(self, event: DataReceived, now: float) -> None:
        """More of the request's body. The client may send as much again once the endpoint takes it."""
        self.exchange.received += event.length
        upload = self._upload
        if self._over or upload is None:
            self._engine.took(self._id, event.length)
            self._unsent = self._unsent and not event.ended
            return
        self._give(upload, event.data, event.ended, now)
        if self._upload is not upload:
            return
        if self._flows or upload.collects:
            self._engine.took(self._id, event.length)
        else:
            self._held += event.length

    def trailers(self, now: float) -> None:
        """The request is complete. Its trailers are dropped: they could pass for headers where they arrive."""
        if self._upload is not None and not self._over:
            self._give(self._upload, b"", True, now)
        self._unsent = False

    def _give(self, upload: Upload, data: bytes, ended: bool, now: float) -> None:
        if ended:
            self._unsent = False
            self.deadline = NEVER
        elif self._flows or upload.collects:
            self._wait_until(upload.due(now))
        try:
            upload.take(data, ended, now)
        except RefusedError as refused:
            self._refuse_body(refused)

    # --- answers of the edge itself -----------------------------------------------------------------------------

    def refuse_large(self, stream_id: int, ended: bool, now: float) -> None:
        """A request came whose head is too large."""
        self._reset(stream_id, not ended)
        self._generation = self._connection.serving.generation
        exchange = self.exchange
        exchange.started = now
        exchange.method = exchange.target = b""
        exchange.bodiless = False
        self._refuse(RefusedError(431, "headers-too-large"))

    def _refuse(self, refused: RefusedError) -> None:
        """Answer what is not understood."""
        connection = self._connection
        connection.serving.traffic.counters[f"refused-{refused.reason}"] += 1
        exchange = self.exchange
        exchange.block = b""
        exchange.address = connection.facts.address
        exchange.request_id = connection.serving.ids.take()
        exchange.received = len(exchange.method) + len(exchange.target)
        self._answer_alone(refused.status, NO_LABELS)

    def _refuse_body(self, refused: RefusedError) -> None:
        self._connection.serving.traffic.counters[f"refused-{refused.reason}"] += 1
        self.exchange.abort()
        if self._responding:
            self.cut()
        else:
            self._answer_alone(refused.status, NO_LABELS)

    def _answer_alone(self, status: int, labels: RouteLabels, location: bytes = b"") -> None:
        """Answer without having asked anybody."""
        exchange = self.exchange
        exchange.forget()
        exchange.labels = labels
        self._answer(status, location)

    def _answer(self, status: int, location: bytes = b"") -> None:
        connection = self._connection
        exchange = self.exchange
        lines, content = pages.answer(
            status,
            location=location,
            lines=own_lines(self._generation, connection.facts.tls),
            date=connection.serving.date(),
        )
        body = b"" if exchange.bodiless else content
        exchange.status = status
        if connection.serving.traffic.wants_answers:
            exchange.answer = b"%b%b\r\n" % (pages.status_line(status), lines)
        exchange.sent = self._send_head(block_of(status, lines), body, True)
        self.finish(monotonic())

    # --- the response (exchange.Client) -------------------------------------------------------------------------

    def respond(self, head: ResponseHead, body: bytes, complete: bool) -> int:
        """Send the head, changed as far as it must be, and what there is of the body."""
        connection = self._connection
        assert self._generation is not None
        block = connection.common.blocks(self._generation).block(head, connection.serving.date())
        return self._send_head(block, body, complete)

    def _send_head(self, block: bytes, body: bytes, complete: bool) -> int:
        self._responding = True
        self._over = complete
        self._waiting = self._engine.send_head(self._id, block, body, complete)
        self._connection.flush_soon()
        if self._waiting or self._connection.congested:
            self._slow_down()
        self.exchange.head_sent = head_sent = _FRAME + len(block)
        return head_sent + _FRAME + len(body) if body else head_sent

    def body(self, data: bytes) -> int:
        """More of the body."""
        self._waiting = self._engine.send_data(self._id, data)
        self._connection.flush_soon()
        if self._waiting or self._connection.congested:
            self._slow_down()
        return _FRAME + len(data)

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
        self._unsent = False
        self._conclude(monotonic())

    def tunnel(self, head: ResponseHead, rest: bytes) -> int:
        """Never: nobody asks an endpoint to change protocols on behalf of HTTP/2."""
        raise AssertionError

    def request_may_flow(self, flows: bool) -> None:
        """Back-pressure of the endpoint on the request's body: no credit for what it has not taken."""
        self._flows = flows
        upload = self._upload
        if not self._unsent or upload is None or upload.collects:
            return
        if flows:
            held, self._held = self._held, 0
            if held:
                self._engine.took(self._id, held)
                self._connection.flush_soon()
            self._wait_until(upload.due(monotonic()))
        elif not self._waiting:
            self.deadline = NEVER

    # --- the client's window ------------------------------------------------------------------------------------

    def _slow_down(self) -> None:
        if self._waiting:
            self._wait_until(monotonic() + SEND_TIME)
        if not self._over and (self._waiting > WAITING_MARK or self._connection.congested):
            self.exchange.pause_upstream()

    def opened(self) -> None:
        """All that waited for the client's window is on its way."""
        self._waiting = 0
        if self._over:
            self._conclude(monotonic())
            return
        now = monotonic()
        upload = self._upload
        self.deadline = upload.due(now) if upload is not None and self._unsent and self._flows else NEVER
        if not self._connection.congested:
            self.exchange.resume_upstream()

    def congest(self) -> None:
        """The client takes no bytes, of any stream."""
        if self._responding and not self._over:
            self.exchange.pause_upstream()

    def relieve(self) -> None:
        """It takes bytes again."""
        if not self._waiting:
            self.exchange.resume_upstream()

    # --- time, and the end --------------------------------------------------------------------------------------

    def _wait_until(self, deadline: float) -> None:
        self.deadline = deadline
        if self._watched is None:
            self._watched = self._connection.serving.deadlines.watch(self)

    def expire(self, now: float) -> None:
        """The client opened none of its window, or sent nothing of a body, for too long."""
        if self._waiting:
            left = self._engine.send_data(self._id, b"")
            if left < self._waiting:
                self._waiting = left
                self.deadline = now + SEND_TIME
            else:
                self._engine.reset(self._id, CANCEL)
                self._connection.flush_soon()
                self.abandon()
        else:
            self._refuse_body(RefusedError(408, "body-timeout"))

    def abandon(self) -> None:
        """The client has left, or reset the stream."""
        exchange = self.exchange
        exchange.abort()
        self._connection.serving.traffic.counters["client-aborted"] += 1
        if not self._responding:
            exchange.status = 499
            exchange.sent = 0
        self._unsent = False
        self._conclude(monotonic())

    def _conclude(self, now: float) -> None:
        """Put down what happened and be free for another request. A client that still sends is told to stop."""
        self.exchange.record(now)
        if self._upload is not None:
            self._upload.close()
            self._upload = None
        if self._watched is not None:
            self._watched.discard(self)
            self._watched = None
        if self._unsent:
            self._engine.reset(self._id, NO_ERROR)
        self._connection.release(self._id, self, now)
