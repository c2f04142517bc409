"""What the compiler found, as the watcher follows it: asked for as a whole, then kept up from changes.

The one owner of that state; nothing here talks to Kubernetes. The compiler answers on ``<findings>.ask`` with one
message that is marked complete and as many more as its content needs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import msgspec

from proto.reports import Findings
from proto.subjects import Subjects
from services.runtime.bus import Bus, BusError, Message

_log = logging.getLogger(__name__)

_DECODER = msgspec.json.Decoder(Findings)
ASK_TIMEOUT: Final = 0.5


class Following:
    """``served``: the Ingresses (``namespace/name``) that are ours and served, once ``known``. ``told`` is called with
    what is new: Ingresses that are served or no longer are, and findings."""

    def __init__(self, bus: Bus, subjects: Subjects, told: Callable[[Findings], None]) -> None:
        self._bus = bus
        self._subjects = subjects
        self._told = told
        self.served: set[str] = set()
        self.known = False

    async def take(self, message: Message) -> None:
        """A change, from the findings' subject."""
        findings = _read(message)
        if findings is not None:
            self.served.difference_update(findings.gone)
            self.served.update(findings.served)
            self._told(findings)

    async def ask(self) -> bool:
        """Ask for everything; whether a compiler answered."""
        try:
            answers = await self._bus.ask(f"{self._subjects.findings}.ask", timeout=ASK_TIMEOUT)
        except BusError:
            return False
        pieces = [findings for answer in answers if (findings := _read(answer)) is not None]
        if not any(piece.complete for piece in pieces):
            return False
        served = {name for piece in pieces for name in piece.served}
        gone = tuple(sorted(self.served - served))
        self.served, self.known = served, True
        diagnostics = tuple(found for piece in pieces for found in piece.diagnostics)
        self._told(Findings(complete=True, served=tuple(sorted(served)), gone=gone, diagnostics=diagnostics))
        return True


def _read(message: Message) -> Findings | None:
    try:
        return _DECODER.decode(message.data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        _log.warning("findings of the compiler cannot be read: %s", error)
        return None
