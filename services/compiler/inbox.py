"""What can happen to the loop, and the queue in which it waits.

Owns no state but the queue: subscriptions and timers put events in, the loop takes out everything that has piled up.
"""

from __future__ import annotations

import asyncio
from collections import deque

from msgspec import Struct

from proto.objects import Ingress, WatcherBeacon
from proto.reports import EdgeReport
from proto.snapshots import BaseRef
from services.compiler.admission import Admitted
from services.compiler.signed import Entry


class ObjectSeen(Struct, frozen=True):
    """An object message on the live subject; ``received``: monotonic seconds."""

    admitted: Admitted
    received: float


class BeaconSeen(Struct, frozen=True):
    """The watcher said how far it is."""

    beacon: WatcherBeacon


class DeltaSeen(Struct, frozen=True):
    """The log has a new version: our own echo, or another compiler's."""

    entry: Entry


class AcceptedSeen(Struct, frozen=True):
    """Some compiler stored an accepted Ingress."""

    subject: str
    data: bytes
    ingress: Ingress


class ReportSeen(Struct, frozen=True):
    """An edge's worker reported; None: it said goodbye."""

    subject: str
    report: EdgeReport | None


class Connected(Struct, frozen=True):
    """The bus is there (again): whatever was said meanwhile was missed."""


class MessagesLost(Struct, frozen=True):
    """Messages were dropped because they were not taken fast enough."""


class ApprovalAsked(Struct, frozen=True):
    """Somebody lets the held removal pass; ``reply``: where the answer goes."""

    reply: str


class BaseWritten(Struct, frozen=True):
    """A base is on the bus; ``sequence``: of the delta with its version."""

    ref: BaseRef
    sequence: int


class CheckDue(Struct, frozen=True):
    """Time to compare the bus with what should be there."""


class Tick(Struct, frozen=True):
    """A second has passed, or a moment that was waited for has come."""


Event = (
    ObjectSeen
    | BeaconSeen
    | DeltaSeen
    | AcceptedSeen
    | ReportSeen
    | Connected
    | MessagesLost
    | ApprovalAsked
    | BaseWritten
    | CheckDue
    | Tick
)


class Inbox:
    """A queue with one reader."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: Event) -> None:
        """Add ``event`` and wake the reader."""
        self._events.append(event)
        self._filled.set()

    async def take(self) -> list[Event]:
        """Wait for the first event; everything that is there, in order."""
        await self._filled.wait()
        return self.take_now()

    def take_now(self) -> list[Event]:
        """Everything that is there, in order; perhaps nothing."""
        events = list(self._events)
        self._events.clear()
        self._filled.clear()
        return events
