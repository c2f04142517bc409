"""What stands in the way, and what of it came and went between two looks at an installation: pure.

Diagnostics are no events: whoever wants to tell them as they come has to look again and again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from services.cli.diagnostic_lines import advice, place
from services.cli.overview import Overview

AT_MOST: Final = 8
"""Troubles that are told after one look; `limen status` has them all."""
_EXPECTED: Final = "manifest-passed-over"
"""Every Namespace in a folder gives one; nobody needs to hear of it."""


class Trouble(Struct, frozen=True, order=True):
    """Something to tell. ``about``: what it is about, so that one that only moved is known again. ``mild``: it asks
    nothing of anybody."""

    head: str
    detail: str = ""
    about: str = ""
    mild: bool = False


class Changes(Struct, frozen=True):
    """Troubles that are new since the last look, and those that stand no more."""

    new: tuple[Trouble, ...] = ()
    gone: tuple[Trouble, ...] = ()


class Looks:
    """Compares what stands with what stood before."""

    def __init__(self) -> None:
        self._standing: frozenset[Trouble] | None = None

    def look(self, found: Overview) -> Changes:
        """What changed. At the first look mild ones are not new. One that only moved, as when a file got longer above
        it, is not gone, and mild ones go silently."""
        now = frozenset(_troubles(found))
        before = frozenset(each for each in now if each.mild) if self._standing is None else self._standing
        self._standing = now
        new = now - before
        moved = {each.about for each in new}
        gone = (each for each in before - now if each.about not in moved and not each.mild)
        return Changes(tuple(sorted(new)), tuple(sorted(gone)))


def _troubles(found: Overview) -> Iterator[Trouble]:
    for each in found.diagnostics:
        if each.code != _EXPECTED:
            head = f"{each.severity}: {each.code}  {place(each)}"
            yield Trouble(head, advice(each), f"{each.object} {each.code}", each.severity == "notice")
    for error in {source.error for source in found.sources if source.error}:
        kinds = [source.kind for source in found.sources if source.error == error]
        yield Trouble(f"source: {error}", f"what was read before stays ({', '.join(kinds)})", error)
    if found.held is not None:
        head = "a mass removal is held"
        routes = f"it would leave {found.held.routes_after} of {found.held.routes_now} routes"
        yield Trouble(head, f"{routes}; it passes when a second list agrees, or with `limen approve`", head)
