"""What the compiler hears on the bus: each message becomes an event of its loop, or is answered at once.

Owns which subjects are heard. Messages that prove nothing are refused here. Nobody subscribes to the log's own subject:
refused appends show up there; the server republishes what it stored on the live one.
"""

from __future__ import annotations

import time

from proto.reports import to_json
from services.compiler.background import Background
from services.compiler.inbox import (
    AcceptedSeen,
    ApprovalAsked,
    BeaconSeen,
    Connected,
    DeltaSeen,
    MessagesLost,
    ObjectSeen,
)
from services.compiler.signed import RefusedError, open_entry
from services.compiler.state import State
from services.runtime.bus import Bus, Message
from services.runtime.status import answer_status


class Subscriptions:
    """See the module."""

    def __init__(self, bus: Bus, state: State, background: Background) -> None:
        self._bus = bus
        self._state = state
        self._background = background
        self._inbox = state.inbox

    async def begin(self) -> None:
        """Hear everything from now on; the bus need not be connected yet."""
        subjects = self._state.subjects
        await self._bus.subscribe(subjects.objects, self._on_object)
        await self._bus.subscribe(subjects.beacon, self._on_beacon)
        await self._bus.subscribe(subjects.live_delta, self._on_delta)
        await self._bus.subscribe(subjects.all_accepted, self._on_accepted)
        await self._bus.subscribe(subjects.edge_reports, self._on_report)
        await self._bus.subscribe(subjects.approve_request, self._on_approve)
        await self._bus.subscribe(f"{subjects.findings}.ask", self._on_ask)
        await answer_status(self._bus, subjects, self._state.status)
        self._bus.on_connected(self._on_connected)
        self._bus.on_loss(self._on_loss)

    async def _on_object(self, message: Message) -> None:
        admitted = self._state.admit(message.subject, message.data)
        if admitted is not None:
            self._inbox.put(ObjectSeen(admitted, time.monotonic()))

    async def _on_beacon(self, message: Message) -> None:
        try:
            self._inbox.put(BeaconSeen(self._state.doorkeeper.beacon(message.subject, message.data)))
        except RefusedError as error:
            self._state.refuse(error)

    async def _on_delta(self, message: Message) -> None:
        if message.data == self._state.log.written:
            return  # the echo of our own
        try:
            sequence = int(message.headers.get("Nats-Sequence", "0"))
            self._inbox.put(DeltaSeen(open_entry(message.data, self._state.verifier, sequence)))
        except (RefusedError, ValueError) as error:
            self._state.refuse(error if isinstance(error, RefusedError) else RefusedError("malformed", str(error)))

    async def _on_accepted(self, message: Message) -> None:
        accepted = self._state.accepted
        if not accepted.knows(message.subject, message.data):
            ingress = accepted.open(message.subject, message.data)
            if ingress is not None:
                self._inbox.put(AcceptedSeen(message.subject, message.data, ingress))

    async def _on_report(self, message: Message) -> None:
        seen = self._state.report(message.subject, message.data)
        if seen is not None:
            self._inbox.put(seen)

    async def _on_approve(self, message: Message) -> None:
        self._inbox.put(ApprovalAsked(message.reply))

    async def _on_ask(self, message: Message) -> None:
        state = self._state
        if message.reply and state.active and state.ready:
            self._background.send(message.reply, *map(to_json, state.findings.complete()))

    async def _on_connected(self) -> None:
        self._inbox.put(Connected())

    async def _on_loss(self) -> None:
        self._inbox.put(MessagesLost())
