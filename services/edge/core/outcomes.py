"""What a phase may say of a request: answer it, let it pass with changes, or ask somebody first.

Owns these few values. Pure; must not know which phases there are (``services.edge.core.phases``), nor who answers what
is asked (``services.edge.questions``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from services.edge.core.edits import RequestEdit, ResponseEdit

if TYPE_CHECKING:
    from services.edge.core.asked import Asked
    from services.edge.core.plan import Forward
    from services.edge.core.tracing import Trace


class Answer(Struct, frozen=True, gc=False):
    """The edge answers itself: nginx's page for ``status``, or ``content`` where that is not None.

    ``location``: of a redirect; ``lines``: further header lines, each with its CRLF; ``page``: nginx's own number.
    """

    status: int
    location: bytes = b""
    lines: bytes = b""
    content: bytes | None = None
    page: int = 0


class Pass(Struct, frozen=True):
    """The request goes on, changed. ``target``: what the endpoint is asked for; ``request`` and ``response``: edits of
    both heads; ``forward``: where it goes instead; ``at_end``: called once when the request is over, however it ends.
    ``trace``: its span, from now on.
    """

    target: bytes = b""
    request: RequestEdit | None = None
    response: ResponseEdit | None = None
    forward: Forward | None = None
    at_end: Callable[[], None] | None = None
    trace: Trace | None = None


class Ask(Struct, frozen=True):
    """Somebody outside has to be asked: a counter, a cache, a thread, another server. ``question``: a frozen value
    whose type says who (``services.edge.questions``); ``after``: what follows from the answer."""

    question: Any
    after: Callable[[Any], Outcome]


Outcome = Answer | Pass | Ask | None
"""None: the request goes on as it is."""

Check = Callable[["Asked"], Outcome]
"""A phase, compiled for one route. Pure; it is called once per request that comes so far."""

Dressing = Callable[["Asked"], ResponseEdit | None]
"""Edits of a response's head, compiled for one route: they hold for whatever answers."""
