"""What an Ingress says of the choice of endpoints: settings -> policies of its routes, and how Upstreams take turns.

Pure. Must not know which Ingress speaks for an Upstream (``index``).
"""

from __future__ import annotations

from proto.policies import Affinity, Balancing, Policy
from services.contract.annotations.settings import AnnotationSettings

_SUBSET = 3
"""How many endpoints a group of a hash has that the Ingress does not say, or says 0 of."""


def affinity_of(settings: AnnotationSettings) -> list[Policy]:
    """The affinity of its routes, if there is one."""
    if settings.affinity != "cookie":
        return []
    return [
        Affinity(
            settings.session_cookie_name,
            settings.affinity_mode == "persistent",
            settings.session_cookie_path,
            settings.session_cookie_domain,
            settings.session_cookie_expires,
            settings.session_cookie_max_age,
            settings.session_cookie_samesite,
            settings.session_cookie_conditional_samesite_none,
            settings.session_cookie_secure,
            settings.session_cookie_change_on_failure,
        )
    ]


def balancing_of(settings: AnnotationSettings) -> Balancing | None:
    """How the endpoints of the Upstreams take turns for which it speaks; None: it says nothing."""
    if settings.upstream_hash_by:
        size = max(1, settings.upstream_hash_by_subset_size or _SUBSET)
        group = size if settings.upstream_hash_by_subset else 0
        return Balancing(hash_by=settings.upstream_hash_by, group=group)
    return Balancing(settings.load_balance) if settings.load_balance else None
