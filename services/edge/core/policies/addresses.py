"""Who may pass by their address: the lists of the route, else the global ones, and those blocked everywhere.

Pure. As nginx: what is denied is looked at first, then, where there is an allow list, whoever is not on it is denied
(contract section 1.2). An address that cannot be read is on no allow list, and denied where something is denied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proto.policies import SourceRanges
from services.edge.core.asked import Asked
from services.edge.core.networks import Networks, numbered
from services.edge.core.outcomes import Answer, Check, Outcome, Pass

if TYPE_CHECKING:
    from services.edge.core.phases import Context

_DENIED: Final = Answer(403)
_ALLOWED: Final = Pass()


class Lists:
    """The lists of one route. ``allows``: there is a list of those who may pass."""

    __slots__ = ("_allowed", "_denied", "allows")

    def __init__(self, allowed: Networks, denied: Networks) -> None:
        self._allowed = allowed
        self._denied = denied
        self.allows = bool(allowed)

    def denies(self, address: str) -> bool:
        """Whether ``address`` may not pass."""
        if address in self._denied or (self._denied and not numbered(address)[0]):
            return True
        return self.allows and address not in self._allowed


def lists_of(context: Context) -> Lists | None:
    """The lists that hold for a route; None: anybody may pass. The global ones hold for routes of Ingresses; what is
    blocked (``block-cidrs``) is so everywhere."""
    settings = context.settings
    allow = settings.whitelist_source_range if context.route.ingress else ()
    deny = settings.denylist_source_range if context.route.ingress else ()
    for policy in context.route.policies:
        if isinstance(policy, SourceRanges):
            allow = allow if policy.allow is None else policy.allow
            deny = deny if policy.deny is None else policy.deny
    if not allow and not deny and not settings.block_cidrs:
        return None
    return Lists(Networks(allow), Networks((*settings.block_cidrs, *deny)))


def addresses(context: Context) -> Check | None:
    """``allowlist-source-range``, ``denylist-source-range``, ``block-cidrs``: 403. Who is on no list has not been let
    pass by one."""
    lists = lists_of(context)
    if lists is None:
        return None

    def check(asked: Asked) -> Outcome:
        if lists.denies(asked.address):
            return _DENIED
        return _ALLOWED if lists.allows else None

    return check
