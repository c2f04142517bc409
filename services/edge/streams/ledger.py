"""What became of all streams of a worker: counted for metrics, written to the log.

Owns both. The log is one of its own (``log-format-stream``), with a thread that begins when the first line is to be
written. TLS that passes unopened is counted, and as in ingress-nginx not logged.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

from proto.resources import Settings
from services.edge.access.outlet import File
from services.edge.access.writer import Writer
from services.edge.streams.account import Account
from services.edge.streams.lines import line_maker

FLUSH_EVERY: Final = 1.0
FLUSH_AT: Final = 256
"""Lines that are handed over at once."""
CLOSE_WITHIN: Final = 1.0

Key = tuple[str, str, str]


class Ledger:
    """See the module. ``sessions``: by protocol, port and status; ``bytes``: by protocol, port and direction (``in``:
    from clients)."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.sessions: Counter[Key] = Counter()
        self.bytes: Counter[Key] = Counter()
        self._place = ""
        self._form = ""
        self._make: Callable[[Account], bytes] | None = None
        self._writer: Writer | None = None
        self._written_to = ""
        self._lines: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None

    def follow(self, settings: Settings) -> None:
        """Log as ``settings`` say from now on."""
        off = settings.disable_access_log or settings.disable_stream_access_log
        place = "" if off else settings.stream_access_log_path or settings.access_log_path
        if (place, settings.log_format_stream) == (self._place, self._form):
            return
        self._hand_over()
        self._place, self._form = place, settings.log_format_stream
        self._make = line_maker(self._form) if place else None

    def ended(self, account: Account) -> None:
        """A connection or session is over."""
        protocol, port = account.stream.protocol, str(account.stream.port or account.server[1])
        self.sessions[protocol, port, str(account.status)] += 1
        self.bytes[protocol, port, "in"] += account.received
        self.bytes[protocol, port, "out"] += account.sent
        if self._make is None or protocol == "tls":
            return
        self._lines.append(self._make(account))
        if len(self._lines) >= FLUSH_AT:
            self._hand_over()
        elif self._timer is None:
            self._timer = self._loop.call_later(FLUSH_EVERY, self._hand_over)

    def reopen(self) -> None:
        """Open the file anew: it was moved away."""
        if self._writer is not None:
            self._writer.reopen()

    async def close(self) -> None:
        """Write what is left; a reader that takes nothing is not waited for."""
        self._hand_over()
        if self._writer is None:
            return
        self._writer.end()
        end = self._loop.time() + CLOSE_WITHIN
        while not self._writer.ended and self._loop.time() < end:  # noqa: ASYNC110 - a thread has no other way to say it
            await asyncio.sleep(0.005)

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._lines:
            return
        if self._writer is None:
            self._writer = Writer()
        if self._written_to != self._place:
            place = self._written_to = self._place
            self._writer.change(lambda: File(place))
        text = b"".join(self._lines)
        self._lines.clear()
        self._writer.write(text)
