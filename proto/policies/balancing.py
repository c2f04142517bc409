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
