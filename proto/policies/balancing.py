"""Policies about which of several takes a request: canaries, and endpoints that clients stay with."""

from __future__ import annotations

from msgspec import Struct


class Canary(Struct, frozen=True, array_like=True, tag="canary", gc=False):
    """Some requests of the route go to another Upstream (``canary``), as long as that has endpoints.

    In this order: ``header`` (lower case) decides by its value: equal to ``value`` if there is one, else found by
    ``pattern``, else ``always`` and ``never``; then the ``cookie`` by ``always`` and ``never``; then chance, ``weight``
    of ``total``. ``broken``: the pattern is none, so that a request which has the header does not go there.
    ``sticky``: clients that stay with an endpoint stay with the canary's, too.
    """

    upstream: str
    weight: int = 0
    total: int = 100
    header: str = ""
    value: str = ""
    pattern: str = ""
    cookie: str = ""
    broken: bool = False
    sticky: bool = True


class Affinity(Struct, frozen=True, array_like=True, tag="affinity", gc=False):
    """Clients of the route stay with an endpoint, by a cookie (``affinity``, ``session-cookie-*``).

    ``persistent``: until the endpoint is gone; else as its share of all keys goes. ``path``: empty: the route's;
    ``expires`` and ``max_age`` in seconds; ``secure``: also without TLS. ``conditional``: no SameSite=None for browsers
    that misread it. ``changes``: a new cookie where the endpoint fails (``session-cookie-change-on-failure``).
    """

    name: str = "INGRESSCOOKIE"
    persistent: bool = False
    path: str = ""
    domain: str = ""
    expires: int | None = None
    max_age: int | None = None
    same_site: str = ""
    conditional: bool = False
    secure: bool = False
    changes: bool = False


class Balancing(Struct, frozen=True, array_like=True, gc=False):
    """How the endpoints of an Upstream take turns, where nobody has to stay with one.

    ``algorithm``: ``round_robin`` or ``ewma``; empty: the global setting holds. ``hash_by``: text with nginx variables
    whose hash chooses the endpoint, empty: none; ``group``: it chooses so many at once, 0: one.
    """

    algorithm: str = ""
    hash_by: str = ""
    group: int = 0
