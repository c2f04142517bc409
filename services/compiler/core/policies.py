"""What an Ingress' annotations say of how its requests are taken on: settings -> policies of its routes.

Pure. Owns which settings make which policy. Must not know hosts or paths; redirects to https and rewrites, which depend
on them, are made elsewhere (``claims``, ``routes``).
"""

from __future__ import annotations

from proto.policies import NextUpstream, Policy, ProxyTimeouts
from services.contract.annotations.read import AnnotationSettings


def policies_of(settings: AnnotationSettings) -> tuple[Policy, ...]:
    """The policies that every route of the Ingress carries; none for what it says nothing of."""
    policies: list[Policy] = []
    timeouts = ProxyTimeouts(
        _seconds(settings.proxy_connect_timeout),
        _seconds(settings.proxy_read_timeout),
        _seconds(settings.proxy_send_timeout),
    )
    if timeouts != ProxyTimeouts():
        policies.append(timeouts)
    another = NextUpstream(
        settings.proxy_next_upstream,
        settings.proxy_next_upstream_tries,
        _seconds(settings.proxy_next_upstream_timeout),
    )
    if another != NextUpstream():
        policies.append(another)
    return tuple(policies)


def _seconds(number: int | None) -> float | None:
    return None if number is None else float(number)
