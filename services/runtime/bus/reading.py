"""Reading from streams by direct get: no consumer on the server, one request for many messages.

An edge that starts costs one round trip for ``PAGE`` messages and leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from msgspec import Struct

from services.runtime.bus.connection import Connection
from services.runtime.bus.requests import API_TIMEOUT, no_answer, request, status_of
from services.runtime.bus.values import BusError, Message, NoAnswer, NotConnected, Stored, StreamMissing

PAGE: Final = 1024
"""Messages asked for at once: the server's own bound for reads of many subjects."""
PAGE_BYTES: Final = 8 * 1024 * 1024
"""Bytes asked for at once, far below what the server lets pile up for a client before it cuts it off."""


class _Page(Struct, frozen=True):
    messages: list[Stored]
    pending: int


async def last(connection: Connection, stream: str, subject: str) -> Stored | None:
    """The last message of a subject. Raises StreamMissing, NoAnswer, NotConnected."""
    message = await request(connection, f"$JS.API.DIRECT.GET.{stream}.{subject}", b"", API_TIMEOUT)
    status = status_of(message)
    if status == "404":
        return None
    if status == "503":
        raise StreamMissing(f"stream {stream} is missing")
    if status and "Nats-Sequence" not in message.headers:
        raise BusError(f"stream {stream}, {subject}: {status} {message.headers.get('Description', '')}")
    return _stored(message)


async def last_of_each(connection: Connection, stream: str, subject_filter: str) -> list[Stored]:
    """The last message of every subject that matches, by sequence; any number, in pages.

    A subject that is written while this runs appears with its old or its new message, never not at all, since what
    is written moves to the end of the sequences that are still to be read.
    """
    found: dict[str, Stored] = {}
    async for page in _pages(connection, stream, 1, subject_filter, None):
        for stored in page:
            found.pop(stored.subject, None)
            found[stored.subject] = stored
    return list(found.values())


async def read_range(connection: Connection, stream: str, start: int, limit: int, subject_filter: str) -> list[Stored]:
    """Up to ``limit`` messages from sequence ``start`` (included) on, by sequence."""
    result: list[Stored] = []
    async for page in _pages(connection, stream, max(start, 1), subject_filter, limit):
        result += page
    return result


async def _pages(
    connection: Connection, stream: str, start: int, subject_filter: str, limit: int | None
) -> AsyncIterator[list[Stored]]:
    remaining = limit
    while remaining is None or remaining > 0:
        batch = PAGE if remaining is None else min(PAGE, remaining)
        page = await _page(connection, stream, start, subject_filter, batch)
        if page.messages:
            yield page.messages
            start = page.messages[-1].sequence + 1
        if not page.messages or page.pending == 0:
            return
        if remaining is not None:
            remaining -= len(page.messages)


async def _page(connection: Connection, stream: str, start: int, subject_filter: str, batch: int) -> _Page:
    """One batched direct get; asked a second time if a message of it went missing."""
    for _ in range(2):
        page = await _page_once(connection, stream, start, subject_filter, batch)
        if page is not None:
            return page
    raise NoAnswer(f"stream {stream}: a batch from {start} came with gaps twice")


async def _page_once(connection: Connection, stream: str, start: int, subject_filter: str, batch: int) -> _Page | None:
    arrived: asyncio.Queue[Message | None] = asyncio.Queue()
    reply = connection.expect(arrived.put_nowait)
    subject = f"$JS.API.DIRECT.GET.{stream}"
    body = {"seq": start, "batch": batch, "max_bytes": PAGE_BYTES, "next_by_subj": subject_filter}
    messages: list[Stored] = []
    try:
        await connection.publish(subject, msgspec.json.encode(body), reply=reply)
        while True:
            try:
                async with asyncio.timeout(API_TIMEOUT):
                    message = await arrived.get()
            except TimeoutError:
                raise no_answer(connection, subject, API_TIMEOUT) from None
            if message is None:
                raise NotConnected(f"connection to NATS lost while reading stream {stream}")
            status = message.headers.get("Status", "")
            if not status:
                messages.append(_stored(message))
            elif status == "204":
                last_sent = int(message.headers.get("Nats-Last-Sequence", "0") or 0)
                if messages and last_sent not in (0, messages[-1].sequence):
                    return None
                return _Page(messages, int(message.headers.get("Nats-Num-Pending", "0") or 0))
            elif status == "404":
                return _Page(messages, 0)
            elif status == "503":
                raise StreamMissing(f"stream {stream} is missing")
            else:
                raise BusError(f"stream {stream}: {status} {message.headers.get('Description', '')}")
    finally:
        connection.forget(reply)


def _stored(message: Message) -> Stored:
    headers = message.headers
    own = {name: value for name, value in headers.items() if not name.startswith("Nats-")}
    return Stored(headers["Nats-Subject"], int(headers["Nats-Sequence"]), message.data, own)
