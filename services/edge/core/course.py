"""A policed request on its way through the phases of its route: what each said so far, and what is said in the end.

Owns what phases have changed of one request. Pure: whoever drives it answers its questions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from services.contract.regex import RegexTimeoutError
from services.edge.core.asked import Asked
from services.edge.core.edits import RequestEdit, ResponseEdit, edit_response
from services.edge.core.outcomes import Answer, Ask, Dressing, Outcome, Pass
from services.edge.core.phases import answer_of
from services.edge.core.plan import Forward, Policed


class Onward(Struct, frozen=True):
    """All phases let the request pass: it is forwarded, with ``edits`` of its head in their order."""

    forward: Forward
    edits: Sequence[RequestEdit] = ()


class Course:
    """See the module. First ``run``; while that gives an Ask, ``told`` with the answer to its question. ``at_end``: to
    be called when the request is over."""

    __slots__ = ("_at", "_edits", "_forward", "_response", "_target", "asked", "at_end", "policed")

    def __init__(self, policed: Policed, asked: Asked) -> None:
        self.policed = policed
        self.asked = asked
        self.at_end: list[Callable[[], None]] = []
        self._at = 0
        self._target = b""
        self._forward: Forward | None = None
        self._edits: list[RequestEdit] = []
        self._response: list[ResponseEdit] = []

    def run(self) -> Answer | Ask | Onward:
        """Ask phase after phase, until one answers, has a question, or none is left."""
        checks, asked = self.policed.checks, self.asked
        try:
            while self._at < len(checks):
                check = checks[self._at]
                self._at += 1
                outcome = check(asked)
                if outcome is not None and (said := self._noted(outcome)) is not None:
                    return said
        except RegexTimeoutError:
            return Answer(500)
        return self._onward()

    def told(self, ask: Ask, answer: object) -> Answer | Ask | Onward:
        """Go on with the answer to what ``run`` or ``told`` asked."""
        try:
            outcome = self._noted(ask.after(answer))
        except RegexTimeoutError:
            return Answer(500)
        return self.run() if outcome is None else outcome

    @property
    def phase(self) -> str:
        """The name of the phase that spoke last."""
        return self.policed.names[self._at - 1] if self._at else ""

    def dressed(self, status: int, lines: bytes) -> bytes:
        """Lines of a response's head as they go to the client, whoever answers."""
        return edit_response(status, lines, self._edits_by(self.policed.dressings))

    def of_endpoint(self) -> tuple[ResponseEdit, ...]:
        """The edits of the head of an endpoint's response, in their order."""
        return self._edits_by((*self.policed.of_endpoints, *self.policed.dressings))

    def _edits_by(self, dressings: Iterable[Dressing]) -> tuple[ResponseEdit, ...]:
        asked = self.asked
        return (*[edit for dressing in dressings if (edit := dressing(asked)) is not None], *self._response)

    @property
    def dresses(self) -> bool:
        """Whether heads of responses are edited at all."""
        return bool(self.policed.dressings or self.policed.of_endpoints or self._response)

    def _noted(self, outcome: Outcome) -> Answer | Ask | None:
        if not isinstance(outcome, Pass):
            return outcome
        self._target = outcome.target or self._target
        self._forward = outcome.forward or self._forward
        if outcome.request is not None:
            self._edits.append(outcome.request)
        if outcome.response is not None:
            self._response.append(outcome.response)
        if outcome.at_end is not None:
            self.at_end.append(outcome.at_end)
        if outcome.trace is not None:
            self.asked.trace = outcome.trace
        return None

    def _onward(self) -> Answer | Onward:
        policed = self.policed
        action = policed.over_tls if policed.over_tls is not None and self.asked.tls else policed.action
        action = self._forward or action
        if not isinstance(action, Forward):
            return answer_of(action)
        return Onward(replace(action, target=self._target) if self._target else action, self._edits)
