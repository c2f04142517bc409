"""How fast a response may go to its client (``limit-rate``), by nginx's arithmetic. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from proto.policies import ResponseRate
from services.edge.core.plan import Forward

if TYPE_CHECKING:
    from services.edge.core.phases import Context


class Rate(Struct, frozen=True, gc=False):
    """``per_second``: bytes; ``after``: bytes that go at once."""

    per_second: int
    after: int

    def allowed(self, elapsed: float, sent: int) -> int:
        """How much more may go ``elapsed`` seconds after the request came, if ``sent`` bytes have (nginx: a second's
        worth may go ahead). Not more than none: may be negative."""
        return int(self.per_second * (elapsed + 1.0)) + self.after - sent

    def wait(self, elapsed: float, sent: int, wanted: int) -> float:
        """Seconds until ``wanted`` bytes may go."""
        return max(0.0, (wanted - self.allowed(elapsed, sent)) / self.per_second)


def rate_of(context: Context) -> Rate | None:
    """How fast responses of the route go; None: as fast as clients take them. So it is, too, where endpoints wait for
    slow clients (``proxy-buffering: off``): they must not be slowed down for a limit of ours."""
    action = context.plan.action
    if not isinstance(action, Forward) or not action.proxying.response_memory or action.proxying.transport.http2:
        return None
    policy = next((policy for policy in context.route.policies if isinstance(policy, ResponseRate)), ResponseRate())
    settings = context.settings
    rate = settings.limit_rate if policy.rate is None else policy.rate
    after = settings.limit_rate_after if policy.after is None else policy.after
    return Rate(rate * 1024, max(after, 0) * 1024) if rate > 0 else None
