"""Appending to streams, with acknowledgement."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from services.runtime.bus.connection import Connection
from services.runtime.bus.requests import ApiError, error_of, no_answer, status_of
from services.runtime.bus.values import Message, NotConnected, StreamMissing


class _Ack(Struct, frozen=True):
    seq: int = 0
    error: ApiError | None = None


async def append(connection: Connection, subject: str, data: bytes, expected_last: int | None, timeout: float) -> int:
    """Store a message; its sequence. Raises SequenceConflict, StreamMissing, NoAnswer, NotConnected, TooLarge."""
    pending, reply = _expect_ack(connection)
    headers = None
    if expected_last is not None:
        headers = {"Nats-Expected-Last-Subject-Sequence": str(expected_last)}
    try:
        await connection.publish(subject, data, headers, reply=reply)
        return await _ack(connection, pending, subject, timeout)
    finally:
        connection.forget(reply)


async def append_many(
    connection: Connection, items: Sequence[tuple[str, bytes]], window: int, timeout: float
) -> list[int]:
    """Store messages with up to ``window`` acknowledgements outstanding; their sequences, in order.

    On a failure nothing further is sent, what is under way is waited for, and the first failure is raised.
    """
    sequences: list[int] = []
    for start in range(0, len(items), window):
        batch = items[start : start + window]
        waiting = [_expect_ack(connection) for _ in batch]
        try:
            for (subject, data), (_, reply) in zip(batch, waiting, strict=True):
                await connection.publish(subject, data, reply=reply)
            results = await asyncio.gather(
                *(
                    _ack(connection, pending, subject, timeout)
                    for (subject, _), (pending, _) in zip(batch, waiting, strict=True)
                ),
                return_exceptions=True,
            )
        finally:
            for _, reply in waiting:
                connection.forget(reply)
        for result in results:
            if isinstance(result, BaseException):
                raise result
            sequences.append(result)
    return sequences


def _expect_ack(connection: Connection) -> tuple[asyncio.Future[Message | None], str]:
    pending: asyncio.Future[Message | None] = asyncio.get_running_loop().create_future()
    return pending, connection.expect(lambda message: None if pending.done() else pending.set_result(message))


async def _ack(connection: Connection, pending: asyncio.Future[Message | None], subject: str, timeout: float) -> int:
    try:
        async with asyncio.timeout(timeout):
            message = await pending
    except TimeoutError:
        raise no_answer(connection, subject, timeout) from None
    if message is None:
        raise NotConnected(f"connection to NATS lost while appending to {subject}")
    if status_of(message) == "503":
        raise StreamMissing(f"no stream stores {subject}")
    ack = msgspec.json.decode(message.data, type=_Ack)
    if ack.error is not None:
        raise error_of(ack.error, subject)
    return ack.seq
