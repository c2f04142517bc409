"""A policed request at work: drives it through its phases, then stands between the exchange and its client.

Owns the waiting for what phases ask, the edits of the response's head, and the replacing of answers (custom errors);
all of it ends with the request. The same for every protocol of clients. Must not know any single phase.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from inspect import isawaitable
from typing import TYPE_CHECKING, Final, Protocol

from services.edge.choosing import ended
from services.edge.clients import Client
from services.edge.core.asked import Asked
from services.edge.core.choices import ByLatency
from services.edge.core.course import Course, Onward
from services.edge.core.edited_heads import edited_request, edited_response
from services.edge.core.edits import ResponseEdit, edit_request
from services.edge.core.fallback import for_error
from services.edge.core.http2.events import Fields
from services.edge.core.outcomes import Answer, Ask
from services.edge.core.plan import Forward, Policed, Respond
from services.edge.core.policies.compression import Packer
from services.edge.core.policies.mirrors import Mirroring
from services.edge.core.prepared import Prepared
from services.edge.core.response_head import ResponseHead
from services.edge.pace import Pace
from services.edge.questions import ANSWERERS

if TYPE_CHECKING:
    from services.edge.core.forwarded import ClientFacts
    from services.edge.exchange import Exchange
    from services.edge.serving import Serving

_NONE: Final[frozenset[int]] = frozenset()
_NO_NAMES: Final[frozenset[bytes]] = frozenset()
_challenges = re.compile(rb"^www-authenticate:[^\n]*+\n", re.IGNORECASE | re.MULTILINE).findall


class Patient(Client, Protocol):
    """A client that can wait until its request is decided on. Exactly one of these follows ``Policing.begin``, unless
    the client leaves before."""

    def proceed(self, forward: Forward, prepared: Prepared, head: bytes) -> None:
        """Forward the request with its body; ``head``: as it goes to the endpoint."""

    def instead(self, forward: Forward, head: bytes) -> None:
        """Send ``head``, a request without a body, in place of the client's, whose body is not wanted any more."""

    def answer(self, answer: Answer) -> None:
        """Answer without asking an endpoint."""


class Policing:
    """See the module. ``course`` knows what the phases said. One per request; ``close`` when that is over."""

    __slots__ = (
        "_challenges",
        "_client",
        "_closed",
        "_exchange",
        "_out",
        "_packer",
        "_replaced",
        "_serving",
        "_task",
        "_timed",
        "course",
        "prepared",
    )

    def __init__(
        self,
        serving: Serving,
        exchange: Exchange,
        client: Patient,
        policed: Policed,
        prepared: Prepared,
        facts: ClientFacts,
    ) -> None:
        """``exchange`` knows the request's line and its id already."""
        self._serving = serving
        self._exchange = exchange
        self._client = client
        self._out: Client | Pace = client
        self.prepared = prepared
        self._closed = False
        self._replaced = False
        self._challenges = b""
        self._packer: Packer | None = None
        self._timed: ByLatency | None = None
        self._task: asyncio.Task[None] | None = None
        asked = Asked(
            exchange.method,
            exchange.target,
            prepared,
            policed.labels,
            facts,
            exchange.link,
            serving.machine,
            minor=exchange.minor,
            request_id=exchange.request_id,
            started=exchange.started,
        )
        self.course = Course(policed, asked)
        exchange.forget()
        exchange.labels = policed.labels

    # --- deciding -----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Decide, at once or later."""
        self._exchange.police(self, None if self.course.policed.errors is None else self)
        try:
            said = self._settled(self.course.run())
        except Exception as error:
            said = self._broken(error)
        trace = self.course.asked.trace
        if trace is not None:
            self._exchange.block += trace.mark
        self._act(said)

    def close(self) -> None:
        """The request is over, however it ended."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
        self._exchange.police(self._client, None)
        if self._exchange.copy is not None:
            self._exchange.copy.close()
            self._exchange.copy = None
        if self._exchange.pace is not None:
            self._exchange.pace.close()
            self._exchange.pace = None
        if self._timed is not None:
            exchange = self._exchange
            tunnel = exchange.upstream_status == 101  # how long one stands says nothing
            ended(self._timed, "" if tunnel else exchange.endpoint, exchange.connected_at)
        asked = self.course.asked
        if asked.trace is not None and asked.trace.sampled:
            self._serving.tracing.ended(asked.trace, asked, self._exchange.status)
        for callback in self.course.at_end:
            callback()

    def _settled(self, said: Answer | Ask | Onward) -> Answer | Onward | None:
        """What follows once all questions are answered; None: one has to be waited for."""
        while isinstance(said, Ask):
            answer = ANSWERERS[type(said.question)](self._serving, said.question)
            if isawaitable(answer):
                self._task = self._serving.spawn(self._wait(said, answer))
                return None
            said = self.course.told(said, answer)
        return said

    async def _wait(self, ask: Ask, answer: Awaitable[object]) -> None:
        try:
            told = await answer
            self._task = None  # what follows may be another question that is waited for
            said = self._settled(self.course.told(ask, told))
        except Exception as error:
            self._task = None
            said = self._broken(error)
        if not self._closed:
            try:
                self._act(said)
            except Exception as error:
                self._exchange.defect(error)

    def _broken(self, error: Exception) -> Answer:
        """What cannot be decided is not let pass."""
        error.add_note(f"in phase {self.course.phase}")
        self._serving.defects.note(error)
        return Answer(500)

    def _act(self, said: Answer | Onward | None) -> None:
        if isinstance(said, Answer):
            if not self._replaces(said.status, said.lines):
                self._client.answer(said)
        elif said is not None:
            choice = said.forward.choice
            self._timed = choice if isinstance(choice, ByLatency) else None
            head = self._head(said)
            if self.course.policed.mirroring is not None:
                self._mirror(self.course.policed.mirroring, head)
            self._client.proceed(said.forward, self.prepared, head)

    def _mirror(self, mirroring: Mirroring, head: bytes) -> None:
        """Have a copy sent elsewhere; its body is taken as it comes."""
        copied = mirroring(self.course.asked, head)
        if copied is not None:
            self._exchange.copy = self._serving.copies.begin(copied)

    def _head(self, onward: Onward) -> bytes:
        """The head for the endpoint."""
        asked = self.course.asked
        known = b"" if asked.headers.request_id else asked.request_id
        target = onward.forward.target or asked.target
        if onward.edits and asked.trace is None:
            return edited_request(asked.method, target, self.prepared.middle, known, tuple(onward.edits))
        head = b"".join((asked.method, b" ", target, self.prepared.middle, known, b"\r\n\r\n"))
        return edit_request(head, onward.edits) if onward.edits else head  # a span's edits come only once

    # --- replacing ----------------------------------------------------------------------------------------------

    @property
    def intercepted(self) -> frozenset[int]:
        """The statuses whose responses are replaced; no more than one response is."""
        errors = self.course.policed.errors
        return _NONE if errors is None or self._replaced or not errors.endpoints else errors.statuses

    def intercept(self, head: ResponseHead) -> None:
        """An endpoint answered with a status that is to be replaced; its response is thrown away."""
        self._replaces(head.status, head.passed)

    def _replaces(self, status: int, lines: bytes = b"") -> bool:
        """Whether another answer comes instead. ``lines``: headers of the one that is thrown away; how a client is to
        log in is said all the same (nginx: ``error_page`` keeps that of a 401)."""
        errors = self.course.policed.errors
        if errors is None or self._replaced or status not in errors.statuses:
            return False
        self._replaced = True
        self._challenges = b"".join(_challenges(lines)) if status == 401 else b""
        asked = self.course.asked
        if isinstance(errors.backend, Respond) or not asked.generation.has_endpoints(errors.backend.upstream):
            self._client.answer(Answer(404, lines=self._challenges))  # nginx's own default backend
            return True
        head = self._head(Onward(errors.backend, () if asked.trace is None else (asked.trace.edit,)))
        head = for_error(head, status, asked.target, asked.labels, asked.authority)
        self._client.instead(errors.backend, head)
        return True

    # --- from the exchange (clients.Client) ---------------------------------------------------------------------

    def respond(self, head: ResponseHead, body: bytes, complete: bool) -> int:
        """The response's head, dressed."""
        head = self._dressed(head)
        compression, rate = self.course.policed.compression, self.course.policed.rate
        if rate is not None:
            self._out = self._exchange.pace = Pace(self._serving, self._exchange, self._client, rate)
        if compression is None:
            return self._out.respond(head, body, complete)
        packer = self._packer = Packer(compression, self.course.asked, head, self._exchange.bodiless)
        return self._out.respond(packer.head, packer.end(body) if complete else packer.pack(body), complete)

    def _dressed(self, head: ResponseHead) -> ResponseHead:
        if self._challenges and not _challenges(head.passed):
            head = edited_response(head, (ResponseEdit(_NO_NAMES, self._challenges),))
        return edited_response(head, self.course.of_endpoint()) if self.course.dresses else head

    def body(self, data: bytes) -> int:
        """More of the body."""
        return self._out.body(data if self._packer is None else self._packer.pack(data))

    def trailers(self, fields: Fields) -> None:
        """Fields behind the body."""
        self._pack_end()
        self._out.trailers(fields)

    def finish(self, now: float) -> None:
        """The body is complete."""
        self._pack_end()
        self._out.finish(now)

    def _pack_end(self) -> None:
        packer = self._packer
        if packer is not None and (data := packer.end()):
            self._exchange.sent += self._out.body(data)

    def fail(self, status: int) -> None:
        """No endpoint answered."""
        if not self._replaces(status):
            self._client.fail(status)

    def cut(self) -> None:
        """The response broke off."""
        self._client.cut()

    def tunnel(self, head: ResponseHead, rest: bytes) -> int:
        """101."""
        return self._client.tunnel(self._dressed(head), rest)

    def request_may_flow(self, flows: bool) -> None:
        """Back-pressure of the endpoint."""
        self._client.request_may_flow(flows)
