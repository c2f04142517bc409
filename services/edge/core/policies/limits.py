"""How much one client address may ask of an Ingress: requests in a time, and requests at once.

Pure: the counting is asked for (``services.edge.client_rates``). As nginx does it, all routes of an Ingress share its
counts, so do the workers of an edge, and who is refused for asking too often is not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from proto.policies import RateLimit
from services.edge.core.asked import Asked
from services.edge.core.leaky_buckets import Bucket, per_minute, per_second
from services.edge.core.networks import Networks
from services.edge.core.outcomes import Answer, Ask, Check, Outcome, Pass

if TYPE_CHECKING:
    from services.edge.core.phases import Context


class MayAsk(Struct, frozen=True):
    """Whether a client at ``address`` may ask once more: true or false."""

    address: str
    buckets: tuple[Bucket, ...]


class MayEnter(Struct, frozen=True):
    """Whether one more request of ``address`` may be under way in ``zone``: what ends it, or None."""

    address: str
    zone: str
    at_most: int


def rates(context: Context) -> Check | None:
    """``limit-rps`` and ``limit-rpm``."""
    policy = _policy(context)
    if policy is None:
        return None
    name, buckets = context.route.ingress, []
    if policy.per_second > 0:
        buckets.append(per_second(f"{name} rps", policy.per_second, policy.per_second * policy.burst))
    if policy.per_minute > 0:
        buckets.append(per_minute(f"{name} rpm", policy.per_minute, policy.per_minute * policy.burst))
    if not buckets:
        return None
    all_of_them, exempt = tuple(buckets), Networks(policy.exempt)
    refused = Answer(context.settings.limit_req_status_code)

    def after(passes: bool) -> Outcome:
        return None if passes else refused

    def check(asked: Asked) -> Outcome:
        return None if asked.address in exempt else Ask(MayAsk(asked.address, all_of_them), after)

    return check


def at_once(context: Context) -> Check | None:
    """``limit-connections``: requests under way, over whatever connections they came."""
    policy = _policy(context)
    if policy is None or policy.at_once <= 0:
        return None
    name, most, exempt = context.route.ingress, policy.at_once, Networks(policy.exempt)
    refused = Answer(context.settings.limit_conn_status_code)

    def after(leave: Callable[[], None] | None) -> Outcome:
        return refused if leave is None else Pass(at_end=leave)

    def check(asked: Asked) -> Outcome:
        return None if asked.address in exempt else Ask(MayEnter(asked.address, name, most), after)

    return check


def _policy(context: Context) -> RateLimit | None:
    return next((policy for policy in context.route.policies if isinstance(policy, RateLimit)), None)
