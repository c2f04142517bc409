"""Who answers the questions of phases: state that outlives requests and generations, threads, other servers.

Owns the one table of them, by the type of the question. Must not know phases: a question says all that is needed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import randrange
from typing import TYPE_CHECKING, Any, Final

from services.edge.core.policies.balancing import Draw
from services.edge.core.policies.digests import Challenged
from services.edge.core.policies.external import Inquiry
from services.edge.core.policies.limits import MayAsk, MayEnter
from services.edge.core.policies.passwords import Login
from services.edge.core.policies.tracing import Identifiers

if TYPE_CHECKING:
    from services.edge.serving import Serving

Answerer = Callable[["Serving", Any], Any | Awaitable[Any]]
"""(serving, question) -> the answer, at once or to be awaited. What is awaited sets its own time limit."""


def _draw(_serving: Serving, draw: Draw) -> int:
    return randrange(draw.total)  # noqa: S311 - nobody gains by guessing it


ANSWERERS: Final[dict[type, Answerer]] = {
    Challenged: lambda serving, question: serving.digests.judge(question),
    Draw: _draw,
    MayAsk: lambda serving, question: serving.client_rates.may_ask(question),
    MayEnter: lambda serving, question: serving.client_rates.may_enter(question),
    Identifiers: lambda serving, _question: serving.tracing.identifiers(),
    Inquiry: lambda serving, question: serving.verdicts.ask(question),
    Login: lambda serving, question: serving.passwords.check(question),
}
"""By the type of the question."""
