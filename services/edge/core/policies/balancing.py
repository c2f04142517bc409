"""Where a request goes: to the canary or not.

Pure: chance is asked for (``Draw``). Source: contract section 1.10.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from proto import policies
from services.contract import regex
from services.edge.core.asked import Asked
from services.edge.core.outcomes import Ask, Check, Outcome, Pass
from services.edge.core.plan import Forward, name_in_lines
from services.edge.core.transport import lane_of

if TYPE_CHECKING:
    from services.edge.core.phases import Context


class Draw(Struct, frozen=True, gc=False):
    """A question: any number below ``total``."""

    total: int


def canary(context: Context) -> Check | None:
    """``canary-*``: some requests go to another Upstream, as long as that has endpoints."""
    policy = next((policy for policy in context.route.policies if isinstance(policy, policies.Canary)), None)
    plan = context.plan
    if policy is None or not isinstance(plan.action, Forward):
        return None
    usual = Pass(forward=_to_canary(plan.action, policy.upstream))
    over_tls = usual
    if isinstance(plan.over_tls, Forward):
        over_tls = Pass(forward=_to_canary(plan.over_tls, policy.upstream))
    says = said_by(policy)
    upstream, weight, draw = policy.upstream, policy.weight, Draw(policy.total)

    def check(asked: Asked) -> Outcome:
        said = says(asked)
        if said is False or (said is None and weight <= 0) or not asked.generation.has_endpoints(upstream):
            return None
        passed = over_tls if asked.tls else usual
        return passed if said else Ask(draw, lambda drawn: passed if drawn < weight else None)

    return check


def _to_canary(forward: Forward, upstream: str) -> Forward:
    """``forward`` to the canary's Upstream: all else, and whose request it is, stays the route's."""
    labels = replace(forward.labels, alternative=name_in_lines(upstream))
    lane = lane_of(upstream, forward.proxying.transport)
    return replace(forward, labels=labels, upstream=upstream, lane=lane, fallback="")


def said_by(policy: policies.Canary) -> Callable[[Asked], bool | None]:
    """Whether a request goes to the canary, by header and cookie; None: they leave it to chance. The pattern may raise
    RegexError here, and RegexTimeoutError later."""
    header, cookie = policy.header, policy.cookie
    by_value = _by_value(policy)

    def says(asked: Asked) -> bool | None:
        value = asked.header(header) if header else None
        said = None if value is None else by_value(value)
        if said is None and cookie:
            word = asked.cookie(cookie)
            said = None if word is None else _WORDS.get(word)
        return said

    return says


_WORDS: Final = {b"always": True, b"never": False}


def _by_value(policy: policies.Canary) -> Callable[[bytes], bool | None]:
    """What the header's value says; None: nothing."""
    if policy.value:
        wanted = policy.value.encode()
        return lambda value: True if value == wanted else None
    if policy.broken:
        return lambda _value: False
    if policy.pattern:
        pattern = regex.compile(policy.pattern, ignore_case=False)
        return lambda value: True if pattern.matches(value) else None
    return _WORDS.get
