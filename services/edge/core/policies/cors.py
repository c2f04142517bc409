"""Cross-origin requests: preflights answered, and what browsers are told with every response (contract section 1.7).

Pure. Who may ask is compared with the whole Origin, in any case of letters.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from proto.policies import CORS
from services.edge.core.asked import Asked
from services.edge.core.edits import ResponseEdit, line, response_edit
from services.edge.core.outcomes import Answer, Check, Dressing, Outcome

if TYPE_CHECKING:
    from services.edge.core.phases import Context

_ALLOWED = b"Access-Control-Allow-Origin"
_ONE_LABEL = r"[a-z0-9\-]+"


def preflight(context: Context) -> Check | None:
    """``OPTIONS`` of an origin that may ask: 204, whatever follows on the route."""
    policy = _policy(context)
    if policy is None:
        return None
    allows = _allows(policy.origins)
    answer = Answer(204, lines=b"Content-Type: text/plain charset=UTF-8\r\n", content=b"")

    def check(asked: Asked) -> Outcome:
        return answer if asked.method == b"OPTIONS" and allows(asked.header("origin") or b"") else None

    return check


def told(context: Context) -> Dressing | None:
    """What every response says, in place of what the Service says of it."""
    policy = _policy(context)
    if policy is None:
        return None
    put = {_ALLOWED: b"*"}
    if policy.credentials:
        put[b"Access-Control-Allow-Credentials"] = b"true"
    put[b"Access-Control-Allow-Methods"] = policy.methods.encode()
    put[b"Access-Control-Allow-Headers"] = policy.headers.encode()
    if policy.exposed:
        put[b"Access-Control-Expose-Headers"] = policy.exposed.encode()
    put[b"Access-Control-Max-Age"] = b"%d" % policy.max_age
    edit = response_edit(put)
    if policy.origins == ("*",):
        return lambda _asked: edit
    allows = _allows(policy.origins)
    del put[_ALLOWED]
    rest = response_edit(put).lines

    def dress(asked: Asked) -> ResponseEdit | None:
        origin = asked.header("origin") or b""
        return ResponseEdit(edit.removed, line(_ALLOWED, origin) + rest) if allows(origin) else None

    return dress


def _policy(context: Context) -> CORS | None:
    return next((policy for policy in context.route.policies if isinstance(policy, CORS)), None)


def _allows(origins: tuple[str, ...]) -> Callable[[bytes], object]:
    """Whether pages of an origin may ask; with ``*`` whoever asks may, with an Origin or without."""
    if origins == ("*",):
        return lambda _origin: True
    patterns = [re.escape(origin).replace(r"\*", _ONE_LABEL, 1) for origin in origins]
    return re.compile("|".join(patterns).encode() if patterns else b"(?!)", re.IGNORECASE).fullmatch
