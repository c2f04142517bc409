"""Who would be asked for a request, how one of them is chosen, and what happens when that one fails.

Pure: read from what the edge decided and the generation.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from proto.policies import Affinity
from proto.resources import Route, Upstream
from services.edge.core.generation import Generation
from services.edge.core.plan import Forward


class Endpoints(Struct, frozen=True):
    """Who would be asked. ``rule``: how one is chosen, and what happens when it fails."""

    upstream: str
    addresses: tuple[str, ...]
    rule: str


def endpoints_of(generation: Generation, forward: Forward, route: Route | None) -> Endpoints:
    """Where it would go: of the first of these Upstreams that has endpoints."""
    names = [name for name in (forward.upstream, forward.fallback) if name]
    chosen = next((name for name in names if generation.has_endpoints(name)), names[0])
    upstream = generation.upstream(chosen)
    found: Sequence[str] = () if upstream is None else [f"{each.address}:{each.port}" for each in upstream.endpoints]
    proxying = forward.proxying
    how = _choice(generation, upstream, route)
    tries = f"at most {proxying.tries} are tried" if proxying.tries else "each is tried once"
    conditions = [
        word
        for word, holds in (
            ("error", proxying.next_on_error),
            ("timeout", proxying.next_on_timeout),
            ("invalid_header", proxying.next_on_invalid),
            *((f"http_{status}", True) for status in sorted(proxying.next_on_status)),
            ("non_idempotent", proxying.next_non_idempotent),
        )
        if holds
    ]
    rule = f"{how}; {tries}, after {' '.join(conditions) or 'no failure'}"
    return Endpoints(chosen, tuple(found), rule)


def endpoints_passed(generation: Generation, name: str) -> Endpoints:
    """Who would be connected to for a connection that is handed on unopened."""
    upstream = generation.upstream(name)
    found: Sequence[str] = () if upstream is None else [f"{each.address}:{each.port}" for each in upstream.endpoints]
    tries = generation.settings.proxy_stream_next_upstream_tries
    most = f"at most {tries} are tried" if tries else "each is tried once"
    return Endpoints(name, tuple(found), f"by turns; {most}, until one takes the connection")


def _choice(generation: Generation, upstream: Upstream | None, route: Route | None) -> str:
    """How one of the endpoints is chosen, in the order in which an edge looks for a rule."""
    policies = route.policies if route is not None else ()
    affinity = next((policy for policy in policies if isinstance(policy, Affinity)), None)
    balancing = None if upstream is None else upstream.balancing
    algorithm = (balancing.algorithm if balancing is not None else "") or generation.settings.load_balance
    if affinity is not None:
        kept = "until it is gone" if affinity.persistent else "as far as its share of all clients goes"
        how = f"the endpoint of the cookie {affinity.name}, {kept}; clients without it by turns"
    elif balancing is not None and balancing.hash_by:
        how = f"by the hash of {balancing.hash_by}"
    elif algorithm == "ewma":
        how = "the quicker of two, by what they took of late (ewma)"
    else:
        how = "by turns (round robin), those left out that failed of late"
    return f"{how}; names are resolved" if upstream is not None and upstream.dns else how
