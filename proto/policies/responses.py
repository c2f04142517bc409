"""Policies about heads of responses: what clients are told besides what endpoints say."""

from __future__ import annotations

from msgspec import Struct


class CORS(Struct, frozen=True, array_like=True, tag="cors", gc=False):
    """Pages of which origins may ask, and what for (``enable-cors``).

    ``origins``: as browsers write them, with ``*`` for one label at most; ``*`` alone: all. ``methods``, ``headers``,
    ``exposed``: values of headers as they are; ``exposed`` empty: none. ``max_age`` in seconds.
    """

    origins: tuple[str, ...]
    methods: str
    headers: str
    exposed: str = ""
    credentials: bool = True
    max_age: int = 1728000
