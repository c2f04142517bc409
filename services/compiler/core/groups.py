"""A large VirtualHost as a head and route groups, so that one path's change stays a small delta.

Pure. A run of routes ends where the hash of a route's match says so, and a group is named for its first route: so the
cuts depend on the routes alone, never on what the host looked like before, and a change moves at most its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from proto.codec import encode
from proto.resources import Route, RouteGroup

INLINE_SIZE: Final = 8 * 1024
"""Routes that take no more bytes than this stay in their VirtualHost."""

_CUT_MASK: Final = 31
"""One route in 32 ends its run, on average."""
_MAX_RUN: Final = 160
"""A run is cut here at the latest."""


def split_routes(host: str, routes: Sequence[Route]) -> tuple[tuple[Route, ...], dict[str, RouteGroup]]:
    """The routes that stay in the head, and the groups by name in their order (one of both is empty)."""
    if len(routes) < _CUT_MASK or len(encode(routes)) <= INLINE_SIZE:
        return tuple(routes), {}
    groups: dict[str, RouteGroup] = {}
    run: list[Route] = []
    name = ""
    for route in routes:
        mark = _hash(route)
        if not run:
            name = _unused(f"{host}#{mark:012x}", groups)
        run.append(route)
        if mark & _CUT_MASK == 0 or len(run) == _MAX_RUN:
            groups[name] = RouteGroup(tuple(run))
            run = []
    if run:
        groups[name] = RouteGroup(tuple(run))
    return (), groups


def _hash(route: Route) -> int:
    return int.from_bytes(blake2b(encode(route.match), digest_size=6).digest(), "big")


def _unused(name: str, groups: dict[str, RouteGroup]) -> str:
    """Two matches of one host with the same 48 bits: unlikely, and settled by their order."""
    while name in groups:
        name += "'"
    return name
