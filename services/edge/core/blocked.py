"""Requests that are blocked by what they say of themselves: User-Agent and Referer, on every host. Pure."""

from __future__ import annotations

from proto.resources import Settings
from services.contract.header_blocks import Blocks
from services.contract.regex import RegexError
from services.edge.core.header_reads import header

_user_agent = header("user-agent")
_referer = header("referer")


class Blocked:
    """What ``block-user-agents`` and ``block-referers`` say. One that cannot be understood blocks everything: the
    compiler lets none through."""

    __slots__ = ("_agents", "_all", "_referers")

    def __init__(self, agents: tuple[str, ...], referers: tuple[str, ...]) -> None:
        self._all = False
        try:
            self._agents, self._referers = Blocks(agents), Blocks(referers)
        except RegexError:
            self._all = True

    def blocks(self, block: bytes) -> bool:
        """Whether a request with these header lines is answered 403."""
        if self._all:
            return True
        lower = block.lower()
        agent, referer = _user_agent(block, lower), _referer(block, lower)
        return self._agents.match(agent or b"") or self._referers.match(referer or b"")


def blocked_of(settings: Settings) -> Blocked | None:
    """What is blocked; None: nothing, so that nobody has to look."""
    if not settings.block_user_agents and not settings.block_referers:
        return None
    return Blocked(settings.block_user_agents, settings.block_referers)
