"""Who answers the questions of phases: state that outlives requests and generations, threads, other servers.

Owns the one table of them, by the type of the question. Must not know phases: a question says all that is needed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from services.edge.serving import Serving

Answerer = Callable[["Serving", Any], Any | Awaitable[Any]]
"""(serving, question) -> the answer, at once or to be awaited. What is awaited sets its own time limit."""

ANSWERERS: Final[dict[type, Answerer]] = {}
"""By the type of the question."""
