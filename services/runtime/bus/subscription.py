"""One subject and its consumer: a bounded queue, and a loop that runs the callback in order."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from services.runtime.bus.values import Message

_log = logging.getLogger(__name__)

Callback = Callable[[], Awaitable[None]]
MessageCallback = Callable[[Message], Awaitable[None]]

MAX_QUEUED_MESSAGES = 256 * 1024
MAX_QUEUED_BYTES = 128 * 1024 * 1024
"""What one subscription may hold before its consumer is too slow and messages are dropped."""


class Subscription:
    """A subject and its consumer: a bounded queue, and one task that runs the callback in order."""

    def __init__(self, subject: str, callback: MessageCallback, on_loss: Callback) -> None:
        self.subject = subject
        self._callback = callback
        self._on_loss = on_loss
        self._queue: deque[Message] = deque()
        self._bytes = 0
        self._lost = 0
        self._wake = asyncio.Event()

    def put(self, message: Message) -> None:
        """Queue ``message``. When the queue is full all of it is dropped: whoever lost one message reads the state
        again anyway, and what was queued is older than that state."""
        if len(self._queue) >= MAX_QUEUED_MESSAGES or self._bytes >= MAX_QUEUED_BYTES:
            self._lost += len(self._queue) + 1
            self._queue.clear()
            self._bytes = 0
        else:
            self._queue.append(message)
            self._bytes += len(message.data)
        self._wake.set()

    async def run(self) -> None:
        """Hand messages to the callback, one after the other, for ever; its errors are logged."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue or self._lost:
                if self._lost:
                    _log.warning("%d messages on %s were dropped: consumer too slow", self._lost, self.subject)
                    self._lost = 0
                    await self._on_loss()
                    continue
                message = self._queue.popleft()
                self._bytes -= len(message.data)
                try:
                    await self._callback(message)
                except Exception:
                    _log.exception("consumer of %s failed on a message on %s", self.subject, message.subject)
