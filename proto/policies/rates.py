"""Policies about how fast responses go."""

from __future__ import annotations

from msgspec import Struct


class ResponseRate(Struct, frozen=True, array_like=True, tag="response-rate", gc=False):
    """How fast each response goes to its client, where ``proxy-buffering`` is on; None: as everywhere.

    ``rate``: kilobytes a second, 0: as fast as it takes them (``limit-rate``); ``after``: kilobytes that go before
    (``limit-rate-after``).
    """

    rate: int | None = None
    after: int | None = None
