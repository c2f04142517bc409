"""Which route of a host answers a path, which do not, and why: the edge's own matching, asked of each route alone too.

Pure. Must not know what the routes do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from msgspec import Struct

from proto.codec import decode_resource
from proto.resources import Forward, Redirect, ResourceRecord, Respond, Route, RouteGroup, VirtualHost
from services.contract.matching import SlashRedirect, compile_matcher
from services.contract.regex import RegexError

Mode = Literal["plain", "regex"]
SHOWN_MISSES: Final = 12
"""Routes that do not match at all are so many on large hosts that they are counted beyond this."""


class Candidate(Struct, frozen=True):
    """A route. ``match``: as the edge holds it; ``action``: what it does; ``why``: it won or lost."""

    match: str
    ingress: str
    action: str
    won: bool
    why: str


class Candidates(Struct, frozen=True):
    """``routes``: the winner and the losers worth naming; ``others``: how many more do not match. ``route``: the
    winner; ``closing_slash``: only its closing slash is missing."""

    mode: Mode
    routes: tuple[Candidate, ...] = ()
    others: int = 0
    route: Route | None = None
    closing_slash: bool = False


def routes_of(records: Iterable[ResourceRecord], host: str) -> tuple[Mode, tuple[Route, ...]]:
    """The routes of a host in their order."""
    mine = [record for record in records if record.name.partition("#")[0] == host]
    groups = {record.name: decode_resource(record) for record in mine if record.kind == "routegroup"}
    for record in mine:
        resource = decode_resource(record) if record.kind == "virtualhost" else None
        if isinstance(resource, VirtualHost):
            routes = list(resource.routes)
            for name in resource.groups:
                group = groups.get(name)
                routes += group.routes if isinstance(group, RouteGroup) else ()
            return resource.mode, tuple(routes)
    return "plain", ()


def candidates_of(mode: Mode, routes: Sequence[Route], path: str) -> Candidates:
    """Who wins ``path`` (decoded), and why the others do not."""
    try:
        found = compile_matcher(routes, mode).find(path)
    except RegexError as error:
        note = Candidate("", "", "", False, f"a pattern of this host cannot be read ({error}): the host answers 503")
        return Candidates(mode, (note,))
    winner = found.target if isinstance(found, SlashRedirect) else found
    place = next((number for number, route in enumerate(routes) if route is winner), len(routes))
    told, misses = [], 0
    for number, route in enumerate(routes):
        won, why = route is winner, ""
        if won:
            why = _why_won(mode, route, closing_slash=isinstance(found, SlashRedirect))
        else:
            alone = compile_matcher((route,), mode).find(path)
            if alone is None:
                misses += 1
                if misses > SHOWN_MISSES:
                    continue
                why = _why_not(mode, route)
            else:
                why = _why_lost(mode, route, winner, number > place)
        told.append(Candidate(_match(route), route.ingress, _action(route), won, why))
    told.sort(key=lambda candidate: not candidate.won)
    return Candidates(
        mode, tuple(told), max(0, misses - SHOWN_MISSES), winner, closing_slash=isinstance(found, SlashRedirect)
    )


def _why_won(mode: Mode, route: Route, *, closing_slash: bool) -> str:
    made_up = "; nobody declared it: every host has a /" if route.synthetic else ""
    if closing_slash:
        return "only the closing slash is missing: 301"
    if mode == "regex":
        return f"the first pattern that matches{made_up}"
    if route.match.kind == "exact":
        return f"the very path{made_up}"
    return f"the longest prefix{made_up}"


def _why_not(mode: Mode, route: Route) -> str:
    if mode == "regex":
        return "does not match"
    return "another path" if route.match.kind == "exact" else "the path does not begin with it, element by element"


def _why_lost(mode: Mode, route: Route, winner: Route | None, later: bool) -> str:
    if mode == "regex":
        return "matches too, but comes later: the first match wins"
    if winner is not None and winner.match.kind == "exact" and route.match.kind != "exact":
        return "matches too, but an exact path goes before prefixes"
    if winner is not None and len(winner.match.value) > len(route.match.value):
        return "matches too, but a longer prefix does as well"
    return "asks for the same and comes later" if later else "asks for the same"


def _match(route: Route) -> str:
    return f"{route.match.kind} {route.match.value}"


def _action(route: Route) -> str:
    match route.action:
        case Forward(upstream, fallback):
            return f"forward to {upstream}" + (f", else {fallback}" if fallback else "")
        case Redirect(status, location):
            return f"redirect {status} to {location}"
        case Respond(status):
            return f"answer {status}"
