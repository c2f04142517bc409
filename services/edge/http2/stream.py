"""One stream of a client's HTTP/2 connection: a request is read, decided on and passed to its exchange.

Owns the credit that is kept from the client while the endpoint takes no more of the request's body. Must not know
endpoints, nor frames: the engine has those.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from services.edge.buffering import Upload
from services.edge.core.http2 import encode_response
from services.edge.core.http2.events import DataReceived, RequestReceived
from services.edge.core.http2_request import check_target
from services.edge.core.outcomes import Answer
from services.edge.core.plan import NO_LABELS, Forward, Policed, Redirect, Respond, RouteLabels, plan
from services.edge.core.prepared import Prepared
from services.edge.core.request_head import RefusedError
from services.edge.deadlines import NEVER
from services.edge.exchange import Exchange
from services.edge.http2.responding import PROTOCOL, Responding
from services.edge.policing import Policing

if TYPE_CHECKING:
    from services.edge.http2.connection import Http2Connection

_CONTINUE: Final = encode_response(100, ())


class Stream(Responding):
    """See the module. It serves one request after the other: a connection keeps those that are done for the next.

    ``_held``: credit kept back while ``_flows`` is False; ``_early``: what came of the body while it was not decided
    yet what becomes of the request, bounded by the credit that the client has for it.
    """

    __slots__ = ("_early", "_flows", "_held", "_upload")

    def __init__(self, connection: Http2Connection) -> None:
        super().__init__(connection)
        self.exchange = Exchange(connection.serving, self)
        self.exchange.minor = PROTOCOL
        self.exchange.link = connection.link
        self._upload: Upload | None = None
        self._early: list[DataReceived] | None = None
        self._flows = True
        self._held = 0

    # --- heads --------------------------------------------------------------------------------------------------

    def begin(self, event: RequestReceived, now: float) -> None:
        """A request came."""
        head = event.head
        self._start(event.stream_id, not event.ended)
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
            check_target(method, target, generation.head_limits)
        except RefusedError as refused:
            self._refuse(refused)
            return
        headers = prepared.headers
        standing = prepared.standing
        exchange.block = headers.block
        exchange.received = len(method) + len(target) + len(headers.block)
        exchange.address = standing.address
        exchange.request_id = request_id = headers.request_id or serving.ids.take()
        decision = plan(standing.host, target, standing.question, headers.length)
        if not isinstance(decision, Forward):
            if isinstance(decision, Policed):
                self._police(decision, prepared)
            else:
                self._decide(decision)
            return
        id_and_end = b"\r\n\r\n" if headers.request_id else request_id + b"\r\n\r\n"
        line = b"".join((method, b" ", decision.target or target, prepared.middle, id_and_end))
        if event.ended:
            exchange.begin(decision, standing.generation, line, True)
        else:
            self._begin_upload(decision, prepared, line)

    def _decide(self, decision: Redirect | Respond) -> None:
        if isinstance(decision, Redirect):
            self._answer_alone(decision.status, decision.labels, decision.location)
        else:
            self._answer_alone(decision.status, decision.labels, page=decision.page)

    # --- policed requests (policing.Patient) --------------------------------------------------------------------

    def _police(self, policed: Policed, prepared: Prepared) -> None:
        """Let its phases look at the request; meanwhile what comes is kept."""
        connection = self._connection
        self._early = []
        policing = Policing(connection.serving, self.exchange, self, policed, prepared, connection.facts)
        self._policing = policing
        policing.begin()

    def proceed(self, forward: Forward, prepared: Prepared, head: bytes) -> None:
        """Forward a policed request."""
        early, self._early = self._early or (), None
        now = monotonic()
        if not self._unsent:
            self.exchange.begin(forward, prepared.standing.generation, head, True, now)
            return
        self._begin_upload(forward, prepared, head)
        for event in early:
            self.exchange.received -= event.length
            self.take(event, now)

    def instead(self, forward: Forward, head: bytes) -> None:
        """Send another request in place of a policed one."""
        self._leave_body()
        assert self._generation is not None
        self.exchange.begin(forward, self._generation, head, True, monotonic())

    def answer(self, answer: Answer) -> None:
        """Answer a policed request."""
        self._leave_body()
        self._answer(answer.status, answer.location, answer.page, answer.lines, answer.content)

    def _leave_body(self) -> None:
        """Nothing of the body is wanted any more."""
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.close()
        early, self._early = self._early or (), None
        for event in early:
            self._engine.took(self._id, event.length)
            self._unsent = self._unsent and not event.ended

    # --- requests that are not understood -----------------------------------------------------------------------

    def refuse_large(self, stream_id: int, ended: bool, now: float) -> None:
        """A request came whose head is too large."""
        self._start(stream_id, not ended)
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

    # --- bodies -------------------------------------------------------------------------------------------------

    def _begin_upload(self, decision: Forward, prepared: Prepared, line: bytes) -> None:
        headers = prepared.headers
        exchange = self.exchange
        now = exchange.started
        self._flows = True
        self._held = 0
        spools, generation = self._connection.serving.spools, prepared.standing.generation
        upload = self._upload = Upload(exchange, spools, decision, generation, line, headers.length, now)
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
        if self._early is not None:
            self._early.append(event)
            return
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

    def request_trailers(self, now: float) -> None:
        """The request is complete. Its trailers are dropped: they could pass for headers where they arrive."""
        if self._early is not None:
            self._early.append(DataReceived(self._id, b"", 0, True))
            return
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

    def _refuse_body(self, refused: RefusedError) -> None:
        self._connection.serving.traffic.counters[f"refused-{refused.reason}"] += 1
        self.exchange.abort()
        if self._responding:
            self.cut()
        else:
            labels: RouteLabels = NO_LABELS if self._upload is None else self._upload.forward.labels
            self._answer_alone(refused.status, labels)

    def request_may_flow(self, flows: bool) -> None:
        """Back-pressure of the endpoint on the request's body: no credit for what it has not taken."""
        self._flows = flows
        upload = self._upload
        if upload is None or not self._unsent or upload.collects:
            return
        if flows:
            held, self._held = self._held, 0
            if held:
                self._engine.took(self._id, held)
                self._connection.flush_soon()
        if not self._waiting:
            self._wait_until(self._due())

    def _due(self) -> float:
        upload = self._upload
        if upload is None or not self._unsent or not (self._flows or upload.collects):
            return NEVER
        return upload.due(monotonic())

    def _too_slow(self) -> None:
        self._refuse_body(RefusedError(408, "body-timeout"))

    def _let_go(self) -> None:
        self._early = None
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.close()
        policing, self._policing = self._policing, None
        if policing is not None:
            policing.close()
