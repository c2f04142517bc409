"""How hard a worker is pressed, from what was measured. Pure; the limits are those of docs/limits.md."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

SHEDDING_FROM: Final = 15 / 16
"""Share of the connections in use from which idle ones are closed (nginx: the last sixteenth is kept free)."""
MEMORY_SHEDDING: Final = 0.90
"""Share of the memory limit from which no further client is taken on, and idle ones are closed."""
MEMORY_REFUSING: Final = 0.95
"""Share of it from which requests are answered 503."""
LATE: Final = 2.0
"""Seconds that the worker may be late with everything before it refuses requests …"""
LATE_TICKS: Final = 3
"""… this many looks in a row …"""
BUSY: Final = 0.5
"""… if it worked for this share of that time itself: else it is the machine that is late, and refusing helps nobody."""

Level = Literal["normal", "shedding", "refusing"]


class Measured(Struct, frozen=True, gc=False):
    """One look. ``late``: seconds that it came too late; ``busy``: share of the time since the last one in which the
    worker used a processor; ``connections``: share of those allowed; ``memory``: share of the limit, 0.0 without."""

    late: float
    busy: float
    connections: float
    memory: float


class Pressure:
    """The level, from one look after the other."""

    __slots__ = ("_late_ticks", "level")

    def __init__(self) -> None:
        self._late_ticks = 0
        self.level: Level = "normal"

    def look(self, measured: Measured) -> Level:
        """The level from now on."""
        late = measured.late >= LATE and measured.busy >= BUSY
        self._late_ticks = self._late_ticks + 1 if late else 0
        if self._late_ticks >= LATE_TICKS or measured.memory >= MEMORY_REFUSING:
            self.level = "refusing"
        elif measured.connections >= SHEDDING_FROM or measured.memory >= MEMORY_SHEDDING:
            self.level = "shedding"
        else:
            self.level = "normal"
        return self.level
