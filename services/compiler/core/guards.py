"""What an Ingress' annotations say of who may pass, and how often: settings -> policies of its routes.

Pure. Must not know hosts or paths, nor whether what they name exists.
"""

from __future__ import annotations

from proto.policies import Policy, SourceRanges
from services.contract.annotations.settings import AnnotationSettings


def guards_of(settings: AnnotationSettings) -> list[Policy]:
    """The policies about access that every route of the Ingress carries."""
    policies: list[Policy] = []
    ranges = SourceRanges(settings.allowlist_source_range, settings.denylist_source_range)
    if ranges != SourceRanges():
        policies.append(ranges)
    return policies
