"""``Bus``: all that a role does with NATS, in one class."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from services.runtime.bus import reading, streams, writing
from services.runtime.bus.connection import Connection
from services.runtime.bus.values import BusOptions, Message, Stored, StreamSpec, StreamState


class Bus:
    """One connection and what is done over it. All methods belong to one event loop.

    Whatever fails raises a BusError: NotConnected at once while there is no connection; NoAnswer when the outcome is
    unknown; StreamMissing, SequenceConflict, TooLarge as they say.
    """

    def __init__(self, options: BusOptions) -> None:
        self._connection = Connection(options)

    def check(self) -> None:
        """Raise BusError, naming the option, for key or certificate files that cannot be used."""
        self._connection.check()

    async def start(self) -> None:
        """Begin to connect and return; NATS may be absent. Raises BusError for key or certificate files that cannot
        be read."""
        self._connection.start()

    async def close(self) -> None:
        """Send what is pending and end."""
        await self._connection.close()

    @property
    def connected(self) -> bool:
        """Whether there is a connection now, with all subscriptions in place."""
        return self._connection.connected

    @property
    def url(self) -> str:
        """The server of the present connection, without credentials; empty if there is none."""
        return self._connection.url

    @property
    def max_payload(self) -> int:
        """The largest message that the server takes, in bytes."""
        return self._connection.max_payload

    async def wait_connected(self) -> None:
        """Return when there is a connection."""
        await self._connection.wait_connected()

    def on_connected(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Run ``callback`` after the first connect and each later one. Never two at a time; its errors are logged."""
        self._connection.on_connected(callback)

    def on_loss(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Run ``callback`` when messages of a subscription were dropped because its consumer was too slow."""
        self._connection.on_loss(callback)

    async def subscribe(self, subject: str, callback: Callable[[Message], Awaitable[None]]) -> None:
        """Run ``callback`` for each message on ``subject``, one after the other, over all connections to come.

        Its errors are logged and end nothing. May be called before there is a connection.
        """
        await self._connection.subscribe(subject, callback)

    async def publish(self, subject: str, data: bytes, headers: dict[str, str] | None = None) -> None:
        """Send a core message: at most once, to whoever listens now."""
        await self._connection.publish(subject, data, headers)

    async def ask(self, subject: str, data: bytes = b"", *, timeout: float = 0.5, at_most: int = 0) -> list[Message]:
        """The answers that arrive within ``timeout`` seconds, or the first ``at_most`` of them."""
        answers: list[Message] = []
        complete = asyncio.Event()

        def deliver(message: Message | None) -> None:
            if message is None or message.headers.get("Status") == "503":
                complete.set()
                return
            answers.append(message)
            if at_most and len(answers) >= at_most:
                complete.set()

        reply = self._connection.expect(deliver)
        try:
            await self._connection.publish(subject, data, reply=reply)
            async with asyncio.timeout(timeout):
                await complete.wait()
        except TimeoutError:
            return answers
        finally:
            self._connection.forget(reply)
        return answers

    async def ensure_stream(self, spec: StreamSpec) -> None:
        """Create the stream, or update it where it differs from ``spec``; nothing happens when it does not."""
        await streams.ensure_stream(self._connection, spec)

    async def append(
        self, subject: str, data: bytes, *, expected_last_subject_sequence: int | None = None, timeout: float = 5
    ) -> int:
        """Store a message and return its sequence.

        With ``expected_last_subject_sequence`` (0: none yet) it is stored only if the subject's last message has that
        sequence; otherwise SequenceConflict.
        """
        return await writing.append(self._connection, subject, data, expected_last_subject_sequence, timeout)

    async def append_many(
        self, items: Sequence[tuple[str, bytes]], *, window: int = 512, timeout: float = 30
    ) -> list[int]:
        """Store many messages with pipelined acknowledgements; their sequences, in order."""
        return await writing.append_many(self._connection, items, window, timeout)

    async def last(self, stream: str, subject: str) -> Stored | None:
        """The last message of a subject, or None."""
        return await reading.last(self._connection, stream, subject)

    async def last_of_each(self, stream: str, subject_filter: str) -> list[Stored]:
        """The last message of every subject that matches ``subject_filter``, by sequence, however many."""
        return await reading.last_of_each(self._connection, stream, subject_filter)

    async def range(self, stream: str, start_sequence: int, *, limit: int, subject_filter: str = ">") -> list[Stored]:
        """Up to ``limit`` messages from ``start_sequence`` (included) on."""
        return await reading.read_range(self._connection, stream, start_sequence, limit, subject_filter)

    async def state(self, stream: str) -> StreamState | None:
        """How a stream stands, or None when it does not exist."""
        return await streams.state(self._connection, stream)

    async def purge(self, stream: str, *, subject_filter: str = "", keep: int = 0, up_to_sequence: int = 0) -> None:
        """Remove messages: all, or those of a subject, but for the last ``keep``; or up to a sequence (included)."""
        await streams.purge(self._connection, stream, subject_filter, keep, up_to_sequence)

    async def delete(self, stream: str, sequence: int) -> None:
        """Remove one message; one that is gone already is no error."""
        await streams.delete(self._connection, stream, sequence)
