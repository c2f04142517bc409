"""How much of anything a peer may make us keep or do.

Owns the figures and the counting per second. Must not read a clock: callers say what time it is.
"""

from __future__ import annotations

from msgspec import Struct


class Rate(Struct, frozen=True, gc=False):
    """How often in a second: ``base``, and ``per_frame`` more for each HEADERS or DATA frame that we sent in it."""

    base: int
    per_frame: int = 0


class Limits(Struct, frozen=True, gc=False):
    """The limits of one connection; the defaults are meant for clients from the open internet.

    ``streams``: open at once (announced). ``header_bytes``: of a decoded head, counted as RFC 9113 section 6.5.2 does
    (announced), and ``header_count`` lines, as HTTP/1.1 would have them: what is over either is a HeadTooLarge.
    ``block_bytes``: of a head as it is sent; ``continuations``: CONTINUATION frames of one head. ``stream_window``,
    ``connection_window``: bytes of bodies that may come before the consumer has taken any.

    Over any of the rates the connection ends with ENHANCE_YOUR_CALM. ``resets_received``: RST_STREAM frames;
    ``resets_sent``: streams that the peer made us reset, and heads too large (not resets that the consumer ordered);
    ``empty_data``: DATA without data that does not end its stream; ``idle_frames``: PRIORITY and unknown frames.
    """

    streams: int = 100
    header_bytes: int = 32 * 1024
    header_count: int = 100
    block_bytes: int = 64 * 1024
    continuations: int = 20
    stream_window: int = 64 * 1024 - 1
    connection_window: int = 1024 * 1024
    resets_received: Rate = Rate(100)
    resets_sent: Rate = Rate(100)
    pings: Rate = Rate(100, 1)
    settings: Rate = Rate(50)
    empty_data: Rate = Rate(100)
    window_updates: Rate = Rate(500, 10)
    idle_frames: Rate = Rate(100, 2)


CLIENT_LIMITS = Limits()
"""For clients of the edge."""

ENDPOINT_LIMITS = Limits(
    streams=0,  # nothing may be pushed
    stream_window=256 * 1024,
    connection_window=4 * 1024 * 1024,
    resets_received=Rate(5_000, 2),
    resets_sent=Rate(1_000),
)
"""For endpoints, which are known but not trusted: they may reset what they were asked for."""


class Budget:
    """Counts one kind of event against its Rate."""

    __slots__ = ("_base", "_count", "_frames", "_per_frame", "_since")

    def __init__(self, rate: Rate) -> None:
        self._base = rate.base
        self._per_frame = rate.per_frame
        self._count = 0
        self._since = float("-inf")
        self._frames = 0

    def exceeded(self, now: float, frames: int) -> bool:
        """Count one; whether that is too many. ``frames``: HEADERS and DATA frames that were sent so far."""
        if now - self._since >= 1.0:
            self._since = now
            self._count = 0
            self._frames = frames
        self._count += 1
        return self._count > self._base + self._per_frame * (frames - self._frames)


class Budgets:
    """The budgets of one connection, named as in Limits."""

    __slots__ = ("empty_data", "idle_frames", "pings", "resets_received", "resets_sent", "settings", "window_updates")

    def __init__(self, limits: Limits) -> None:
        self.resets_received = Budget(limits.resets_received)
        self.resets_sent = Budget(limits.resets_sent)
        self.pings = Budget(limits.pings)
        self.settings = Budget(limits.settings)
        self.empty_data = Budget(limits.empty_data)
        self.window_updates = Budget(limits.window_updates)
        self.idle_frames = Budget(limits.idle_frames)
