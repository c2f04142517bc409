"""What an Ingress' annotations say of who may pass, and how often: settings -> policies of its routes.

Pure. Must not know hosts or paths, nor whether what they name exists.
"""

from __future__ import annotations

from proto.policies import Policy, RateLimit, ResponseRate, SatisfyAny, SourceRanges
from services.contract.annotations.settings import AnnotationSettings


def guards_of(settings: AnnotationSettings) -> list[Policy]:
    """The policies about access that every route of the Ingress carries."""
    policies: list[Policy] = []
    ranges = SourceRanges(settings.allowlist_source_range, settings.denylist_source_range)
    if ranges != SourceRanges():
        policies.append(ranges)
    if settings.satisfy == "any":
        policies.append(SatisfyAny())
    if max(settings.limit_rps, settings.limit_rpm, settings.limit_connections) > 0:
        policies.append(
            RateLimit(
                max(0, settings.limit_rps),
                max(0, settings.limit_rpm),
                max(0, settings.limit_connections),
                settings.limit_burst_multiplier,
                settings.limit_allowlist,
            )
        )
    rate = ResponseRate(settings.limit_rate, settings.limit_rate_after)
    if rate != ResponseRate():
        policies.append(rate)
    return policies
