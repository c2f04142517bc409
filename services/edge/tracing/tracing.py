"""What the requests of a worker need for their spans: identifiers when one begins, a place to leave it at its end."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import TYPE_CHECKING, Final

from proto.resources import Settings
from services.edge.core.tracing import Trace
from services.edge.tracing.collector import Address
from services.edge.tracing.exporter import Exporter, ExportOptions, Spawn
from services.edge.tracing.finished import finished

if TYPE_CHECKING:
    from services.edge.core.asked import Asked

OUTCOMES: Final = ("sent", "dropped", "failed", "rejected", "unsent")
_SIZE: Final = 24
_AT_ONCE: Final = 128


class Tracing:
    """See the module. ``counters``: spans by what became of them."""

    __slots__ = ("_exporter", "_left", "counters")

    def __init__(self, loop: asyncio.AbstractEventLoop, spawn: Spawn) -> None:
        self.counters: Counter[str] = Counter()
        self._exporter = Exporter(loop, spawn, self.counters)
        self._left: list[bytes] = []

    def follow(self, settings: Settings) -> None:
        """Send spans where ``settings`` say from now on."""
        self._exporter.follow(_options_of(settings))

    def identifiers(self) -> bytes:
        """24 bytes from the system's randomness, fetched in bulk."""
        if not self._left:
            data = os.urandom(_SIZE * _AT_ONCE)
            self._left = [data[at : at + _SIZE] for at in range(0, len(data), _SIZE)]
        return self._left.pop()

    def ended(self, trace: Trace, asked: Asked, status: int) -> None:
        """The request of a span that is kept is over."""
        self._exporter.add(finished(trace, asked, status))

    async def close(self, within: float) -> None:
        """Send what waits, within so many seconds."""
        await self._exporter.close(within)


def _options_of(settings: Settings) -> ExportOptions | None:
    if not settings.otlp_collector_host:
        return None
    return ExportOptions(
        Address(settings.otlp_collector_host, settings.otlp_collector_port),
        settings.otel_service_name,
        settings.otel_max_queuesize,
        settings.otel_schedule_delay_millis / 1000,
        min(settings.otel_max_export_batch_size, settings.otel_max_queuesize),
    )
