"""Answers that the edge makes itself over HTTP/1.1: redirects, pages, and the refusal of what was not understood.

Owns what becomes of the connection after each of them. Must not know how requests are read: ``services.edge.client``
adds that.
"""

from __future__ import annotations

from abc import abstractmethod
from time import monotonic

from services.edge.connection import BODY, HEAD, WAIT, Connection
from services.edge.core import pages
from services.edge.core.outcomes import Answer
from services.edge.core.own_lines import own_lines
from services.edge.core.plan import NO_LABELS, Redirect, Respond, RouteLabels
from services.edge.core.request_head import CHUNKED, RefusedError, RequestHeaders
from services.edge.policing import Policing


class Answering(Connection):
    """See the module. ``_policing``: of the request at hand, if it is a policed one."""

    __slots__ = ("_policing",)

    _policing: Policing | None

    @abstractmethod
    def finish(self, now: float) -> None:
        """The response is complete."""

    @abstractmethod
    def _refuse_body(self, refused: RefusedError) -> None:
        """Answer a request whose body is not taken, and end the connection."""

    def _too_slow(self) -> None:
        if self._state == HEAD:
            self._refuse(RefusedError(408, "head-timeout"))
        else:
            self._refuse_body(RefusedError(408, "body-timeout"))

    def _decide(self, decision: Redirect | Respond, headers: RequestHeaders, rest: bytes) -> None:
        """A redirect or a page. A body that has not come whole is not waited for: the connection ends."""
        self._skip_body(headers, rest, decision.status)
        if isinstance(decision, Redirect):
            self._answer_alone(decision.status, decision.labels, decision.location)
        else:
            self._answer_alone(decision.status, decision.labels, page=decision.page)

    def _skip_body(self, headers: RequestHeaders, rest: bytes, status: int) -> None:
        """The body is not wanted. ``rest``: what came behind the head."""
        if headers.length > len(rest) or headers.length == CHUNKED or status in (400, 413):
            self._persistent = False
            self._lingers = True
        else:
            self._pending = rest[headers.length :]

    def _answer_alone(self, status: int, labels: RouteLabels, location: bytes = b"", page: int = 0) -> None:
        """Answer without having asked anybody."""
        exchange = self._exchange
        exchange.forget()
        exchange.labels = labels
        self._state = WAIT
        self._answer(status, location, page)

    def _answer(
        self, status: int, location: bytes = b"", page: int = 0, lines: bytes = b"", content: bytes | None = None
    ) -> None:
        exchange = self._exchange
        policing = self._policing
        answer = pages.page(
            status,
            page=page,
            location=location,
            lines=own_lines(self._generation, self._facts.tls) + lines,
            content=content,
            dress=None if policing is None else policing.course.dressed,
            date=self._serving.date(),
            persistent=self._persistent,
            bare=exchange.bodiless,
        )
        exchange.status = status
        exchange.sent = len(answer)
        exchange.head_sent = answer.index(b"\r\n\r\n") + 4
        if self._serving.traffic.wants_answers:
            exchange.answer = answer[: exchange.head_sent]
        self.transport.write(answer)
        self.finish(monotonic())

    def _refuse(self, refused: RefusedError, labels: RouteLabels = NO_LABELS) -> None:
        """Answer what was not understood, or came too slowly, and end the connection."""
        self._serving.traffic.counters[f"refused-{refused.reason}"] += 1
        exchange = self._exchange
        if self._state < BODY:
            exchange.started = monotonic()
            exchange.method = exchange.target = exchange.block = b""
            exchange.request_id = self._serving.ids.take()
            exchange.received = 0
            exchange.bodiless = False
        self._persistent = False
        self._lingers = True
        self._answer_alone(refused.status, labels)

    def answer(self, answer: Answer) -> None:
        """Answer a policed request (policing.Patient)."""
        self._leave_body(answer.status)
        self._answer(answer.status, answer.location, answer.page, answer.lines, answer.content)

    @abstractmethod
    def _leave_body(self, status: int) -> None:
        """What has not been read of a policed request's body is not wanted any more."""

    def fail(self, status: int) -> None:
        """No endpoint answered."""
        if self._state == BODY:
            self._persistent = False
            self._lingers = True
            self._state = WAIT
        if self._exchange.endpoint:
            self._exchange.upstream_status = status
        self._answer(status)
