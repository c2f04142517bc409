"""Requests for hosts that nobody declared, told apart by the host they named (``--metrics-per-undefined-host``).

Owns the bound on how many there are: clients choose these names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import replace

from services.contract.hosts import host_key
from services.edge.core.plan import RouteLabels

AT_MOST: Final = 1000
"""Hosts that are told apart; requests for others are counted together, and not shown."""


class Strangers:
    """See the module."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, RouteLabels], RouteLabels] = {}
        self._labels: set[RouteLabels] = set()

    def named(self, batch: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """``batch`` with the host in the labels of records that have none, as far as it is known or may become so."""
        return [record if record[0].host else (self._name(record[0], record[12]), *record[1:]) for record in batch]

    def knows(self, labels: RouteLabels) -> bool:
        """Whether these are labels of a stranger."""
        return labels in self._labels

    def _name(self, labels: RouteLabels, block: bytes) -> RouteLabels:
        host = _host_in(block)
        if not host:
            return labels
        known = self._known.get((host, labels))
        if known is None:
            if len(self._known) >= AT_MOST:
                return labels
            known = self._known[host, labels] = replace(labels, host=host)
            self._labels.add(known)
        return known


def _host_in(block: bytes) -> str:
    """The host that a block of headers names, canonical; empty: none."""
    lower = block.lower()
    at = lower.find(b"\r\nhost:")
    if at < 0:
        return ""
    return host_key(block[at + len(b"\r\nhost:") : lower.find(b"\r", at + 2)].strip(b" \t")) or ""
