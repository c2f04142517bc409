"""Where a request goes: to the canary or not, and to which endpoint there.

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
from services.edge.core.asked_values import filled
from services.edge.core.choices import ByHash, ByLatency, Choice, CookieForm, Sticky, upstream_id
from services.edge.core.edits import ResponseEdit, clean
from services.edge.core.outcomes import Ask, Check, Outcome, Pass
from services.edge.core.plan import Forward, name_in_lines
from services.edge.core.transport import lane_of

if TYPE_CHECKING:
    from services.edge.core.phases import Context


class Draw(Struct, frozen=True, gc=False):
    """A question: any number below ``total``."""

    total: int


Choose = Callable[[Asked], tuple[Choice, ResponseEdit | None]]
"""How a request chooses, and what that changes of the response."""


class _Way(Struct, frozen=True):
    """One of the Upstreams that a request may go to. ``choose``: how it chooses an endpoint there; None: by turns."""

    usual: Forward
    over_tls: Forward
    cookie_id: bytes
    choose: Choose | None

    def passed(self, asked: Asked) -> Pass:
        """The request goes this way."""
        forward = self.over_tls if asked.tls else self.usual
        if self.choose is None:
            return Pass(forward=forward)
        choice, edit = self.choose(asked)
        return Pass(forward=_with(forward, choice), response=edit)


def destination(context: Context) -> Check | None:
    """``canary-*``: some requests go to another Upstream, as long as that has endpoints; ``affinity``,
    ``upstream-hash-by``, ``load-balance``: to which endpoint there."""
    plan, route = context.plan, context.route
    if not isinstance(plan.action, Forward):
        return None
    policy = next((policy for policy in route.policies if isinstance(policy, policies.Canary)), None)
    affinity = next((policy for policy in route.policies if isinstance(policy, policies.Affinity)), None)
    if route.synthetic:
        affinity = None
    main = _way(context, plan.action, plan.over_tls, affinity)
    if policy is None:
        return None if main.choose is None else main.passed
    usual = _to_canary(plan.action, policy.upstream)
    over_tls = _to_canary(plan.over_tls, policy.upstream) if isinstance(plan.over_tls, Forward) else None
    other = _way(context, usual, over_tls, affinity if policy.sticky else None)
    says = said_by(policy)
    if affinity is not None:
        says = _staying(
            affinity.name, {main.cookie_id: False, **({other.cookie_id: True} if policy.sticky else {})}, says
        )
    upstream, weight, draw = policy.upstream, policy.weight, Draw(policy.total)

    def check(asked: Asked) -> Outcome:
        said = says(asked)
        if said is False or (said is None and weight <= 0) or not asked.generation.has_endpoints(upstream):
            return main.passed(asked)
        if said:
            return other.passed(asked)
        return Ask(draw, lambda drawn: (other if drawn < weight else main).passed(asked))

    return check


def _way(context: Context, usual: Forward, over_tls: object, affinity: policies.Affinity | None) -> _Way:
    name = name_in_lines(usual.upstream)
    choose: Choose | None = None
    if affinity is not None:
        choose = _by_cookie(affinity, context.route.path)
    else:
        upstream = context.upstream(usual.upstream)
        said = (None if upstream is None else upstream.balancing) or policies.Balancing()
        if said.hash_by:
            choose = _by_hash(said)
        elif (said.algorithm or context.settings.load_balance) == "ewma":
            choose = _by_latency
    return _Way(usual, over_tls if isinstance(over_tls, Forward) else usual, upstream_id(name), choose)


def _with(forward: Forward, choice: Choice) -> Forward:
    """``forward`` with a choice of its own: no Balancer is ready for it, so it has no lane."""
    return Forward(
        forward.labels, forward.upstream, "", forward.fallback, forward.target, forward.proxying, choice=choice
    )


def _by_hash(balancing: policies.Balancing) -> Choose:
    fill, group = filled(balancing.hash_by), balancing.group
    return lambda asked: (ByHash(fill(asked), group), None)


def _by_latency(_asked: Asked) -> tuple[Choice, None]:
    return ByLatency(), None


def _by_cookie(affinity: policies.Affinity, path: str) -> Choose:
    name, form = affinity.name, cookie_form(affinity, path)

    def choose(asked: Asked) -> tuple[Choice, ResponseEdit]:
        key = (asked.cookie(name) or b"").partition(b"|")[0]
        browser = asked.header("user-agent") or b"" if form.conditional else b""
        sticky = Sticky(form, key, tls=asked.tls, browser=browser)
        return sticky, ResponseEdit(change=sticky.dress)

    return choose


def cookie_form(affinity: policies.Affinity, path: str) -> CookieForm:
    """The cookie of a route at ``path``."""
    parts = []
    if affinity.max_age is not None:
        parts.append(f"; Max-Age={affinity.max_age}")
    if affinity.domain:
        parts.append(f"; Domain={affinity.domain}")
    parts.append(f"; Path={affinity.path or path}")
    return CookieForm(
        f"{affinity.name}=".encode(),
        clean("".join(parts).encode()),
        affinity.same_site.encode(),
        affinity.conditional,
        affinity.secure,
        affinity.expires,
        affinity.persistent,
        affinity.changes,
    )


def _staying(
    cookie: str, upstreams: dict[bytes, bool], says: Callable[[Asked], bool | None]
) -> Callable[[Asked], bool | None]:
    """Clients stay with the Upstream that their cookie was made for; ``says`` decides for all others."""

    def stays(asked: Asked) -> bool | None:
        said = upstreams.get((asked.cookie(cookie) or b"").partition(b"|")[2])
        return says(asked) if said is None else said

    return stays


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
