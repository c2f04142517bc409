"""What phases say, in words: answers, changes of a request, and what would be asked outside. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from services.edge.core import grammar
from services.edge.core.course import Onward
from services.edge.core.edits import RequestEdit, ResponseEdit
from services.edge.core.outcomes import Answer, Outcome, Pass
from services.edge.core.plan import CustomErrors, Respond
from services.edge.core.policies.balancing import Draw
from services.edge.core.policies.digests import Challenged
from services.edge.core.policies.external import Inquiry
from services.edge.core.policies.limits import MayAsk, MayEnter
from services.edge.core.policies.mirrors import Copied
from services.edge.core.policies.passwords import Login


def said(outcome: Outcome | Onward) -> str:
    """A phase's word, or the last one."""
    match outcome:
        case None:
            return "passes"
        case Answer():
            where = f" to {outcome.location.decode('latin-1')}" if outcome.location else ""
            return f"answers {outcome.status}{where}"
        case Pass():
            return ", ".join(("passes", *_changes(outcome)))
        case Onward():
            return f"forward to {outcome.forward.upstream}"
        case _:
            return "asks outside"


def inquired(question: object) -> str:
    """What somebody outside would be asked, and that nobody was."""
    words = _QUESTIONS.get(type(question))
    what = type(question).__name__ if words is None else words(question)
    return f"asks outside: {what}; taken for an answer that lets it pass"


def instead(errors: CustomErrors, served: Callable[[str], bool]) -> str:
    """What comes in the place of an answer that ``custom-http-errors`` replaces. ``served``: whether an Upstream has
    endpoints."""
    if isinstance(errors.backend, Respond):
        return "404, for there is no default backend (custom-http-errors)"
    name = errors.backend.upstream.removesuffix(":")
    if not served(errors.backend.upstream):
        return f"404, for the default backend {name} has no endpoints (custom-http-errors)"
    return f"what the default backend {name} says of it (custom-http-errors)"


def copied(copy: Copied | None) -> str:
    """What becomes of the copy of a request (``mirror-target``)."""
    if copy is None:
        return "no copy goes anywhere: the target comes to no address"
    place = copy.place
    target = copy.head.split(b" ", 2)[1].decode("latin-1")
    what = "with its body" if copy.body else "without a body"
    return f"a copy {what} goes to {'https' if place.tls else 'http'}://{place.host.decode()}:{place.port}{target}"


def _inquiry(question: Inquiry) -> str:
    line = question.head.split(b"\r\n", 1)[0].split(b" ")
    host = f"[{question.host}]" if ":" in question.host else question.host
    scheme = "https" if question.tls else "http"
    method, target = line[0].decode("latin-1"), line[1].decode("latin-1")
    return f"may it pass? {method} {scheme}://{host}:{question.port}{target}"


_QUESTIONS: Final[dict[type, Callable[[Any], str]]] = {
    Challenged: lambda question: f"is this proof of a password right, by Secret {question.name}?",
    Draw: lambda question: f"chance, a number below {question.total}",
    Inquiry: _inquiry,
    Login: lambda question: f"is this password right, by Secret {question.name}?",
    MayAsk: lambda question: f"has {question.address} asked too often?",
    MayEnter: lambda question: f"has {question.address} {question.at_most} requests under way?",
}


def _changes(passed: Pass) -> Iterable[str]:
    if passed.trace is not None:
        yield "begins a span" if passed.trace.sampled else "begins a span that is not kept"
    if passed.target:
        yield f"asks the endpoint for {passed.target.decode('latin-1')}"
    if passed.forward is not None:
        yield f"to {passed.forward.upstream}"
    if passed.request is not None:
        yield from _told(passed.request)
    if passed.response is not None:
        yield from _answered(passed.response)


def _told(edit: RequestEdit) -> Iterable[str]:
    """What becomes of the request's head."""
    if edit.host:
        yield f"Host: {edit.host.decode('latin-1')}"
    names = _names(edit.lines)
    if names:
        yield f"sets {', '.join(names)}"
    gone = sorted(edit.removed - {name.lower().encode() for name in names})
    if gone:
        yield f"takes out {b', '.join(gone).decode('latin-1')}"
    if edit.old:
        yield "in HTTP/1.0"


def _answered(edit: ResponseEdit) -> Iterable[str]:
    """What becomes of the response's head."""
    names = _names(edit.lines)
    yield f"the response gets {', '.join(names)}" if names else "edits the response's head"


def _names(lines: bytes) -> list[str]:
    return list(dict.fromkeys(match[1].decode("latin-1") for match in grammar.field.finditer(lines)))
