"""Accepted Ingresses on the bus: the last good version of each, an explicit input of the compile.

Owns what stands under ``<instance>.accepted.>`` and what is still to be written there. The active compiler writes, the
others follow, so that all of them compile from the same last good versions. Must not know when a version is accepted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from proto.objects import Ingress
from proto.subjects import Subjects
from services.compiler.admission import Doorkeeper
from services.compiler.signed import RefusedError
from services.runtime.bus import Bus

SLICE = 500
"""Messages that are opened before others get a turn."""

_NOTHING = b""


class Accepted:
    """See the module. ``refused`` is told of messages that no compiler of this instance wrote."""

    def __init__(
        self, bus: Bus, subjects: Subjects, doorkeeper: Doorkeeper, refused: Callable[[RefusedError], None]
    ) -> None:
        self._bus = bus
        self._subjects = subjects
        self._doorkeeper = doorkeeper
        self._refused = refused
        self._stored: dict[str, bytes] = {}
        self._pending: dict[str, bytes] = {}

    @property
    def pending(self) -> bool:
        """Whether something is still to be written."""
        return bool(self._pending)

    async def read(self) -> list[Ingress]:
        """What the bus holds; those that differ from what was known before. Raises BusError."""
        messages = await self._bus.last_of_each(self._subjects.accepted_stream, self._subjects.all_accepted)
        found: dict[str, bytes] = {}
        news = []
        for number, message in enumerate(messages, 1):
            if number % SLICE == 0:
                await asyncio.sleep(0)
            ingress = self.open(message.subject, message.data)
            if ingress is None:
                continue
            found[message.subject] = message.data
            if self._stored.get(message.subject) != message.data:
                news.append(ingress)
        lost = {subject: data for subject, data in self._stored.items() if subject not in found}
        self._stored = found
        self._pending = {**lost, **self._pending}
        return news

    async def agrees(self) -> bool:
        """Whether the stream holds as many as are known to stand there: the cheap look in between. Raises BusError."""
        state = await self._bus.state(self._subjects.accepted_stream)
        return state is not None and state.messages == len(self._stored)

    def open(self, subject: str, data: bytes) -> Ingress | None:
        """The accepted Ingress in a message, or None for one that is not genuine."""
        try:
            return self._doorkeeper.accepted(subject, data)
        except RefusedError as error:
            self._refused(error)
            return None

    def knows(self, subject: str, data: bytes) -> bool:
        """Whether exactly this message is stored or about to be: the echo of our own."""
        return data in (self._stored.get(subject), self._pending.get(subject))

    def follow(self, subject: str, data: bytes) -> bool:
        """A message on the live subject; whether it is news (another compiler's, not what is known or written here)."""
        if self._stored.get(subject) == data:
            return False
        self._stored[subject] = data
        self._pending.pop(subject, None)
        return True

    def holds(self, ingress: Ingress) -> bool:
        """Whether exactly this version is stored as accepted."""
        subject = self._subjects.accepted(ingress.namespace, ingress.name)
        return self._stored.get(subject) == self._doorkeeper.seal_accepted(ingress)

    def want(self, accepted: Iterable[Ingress], forgotten: Iterable[tuple[str, str]]) -> None:
        """Note what shall stand on the bus from now on, and what shall not."""
        for ingress in accepted:
            subject = self._subjects.accepted(ingress.namespace, ingress.name)
            data = self._doorkeeper.seal_accepted(ingress)
            if self._stored.get(subject) == data:
                self._pending.pop(subject, None)
            else:
                self._pending[subject] = data
        for namespace, name in forgotten:
            subject = self._subjects.accepted(namespace, name)
            if subject in self._stored or subject in self._pending:
                self._pending[subject] = _NOTHING

    async def write(self) -> None:
        """Write what is pending. Raises BusError; what was not written stays pending."""
        while self._pending:
            batch = dict(self._pending)
            await self._bus.append_many([(subject, data) for subject, data in batch.items() if data])
            for subject, data in batch.items():
                if not data:
                    await self._bus.purge(self._subjects.accepted_stream, subject_filter=subject)
                    self._stored.pop(subject, None)
                else:
                    self._stored[subject] = data
                if self._pending.get(subject) == data:
                    del self._pending[subject]
