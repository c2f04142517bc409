"""One request to JetStream, one answer, and what its errors mean.

Must not know: the client library, what messages mean.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from msgspec import Struct

from services.runtime.bus.connection import Connection
from services.runtime.bus.values import (
    BusError,
    Message,
    NoAnswer,
    NotConnected,
    SequenceConflict,
    StreamMissing,
)

API_TIMEOUT: Final = 5.0

NO_STREAM: Final = 10059
WRONG_SEQUENCE: Final = (10071, 10164)


class ApiError(Struct, frozen=True):
    """What the server says when it does not do what it was asked."""

    code: int = 0
    err_code: int = 0
    description: str = ""


async def request(connection: Connection, subject: str, data: bytes, timeout: float) -> Message:
    """One request, one answer. Raises NotConnected, NoAnswer, BusError."""
    answer: asyncio.Future[Message | None] = asyncio.get_running_loop().create_future()
    reply = connection.expect(lambda message: None if answer.done() else answer.set_result(message))
    try:
        await connection.publish(subject, data, reply=reply)
        async with asyncio.timeout(timeout):
            message = await answer
    except TimeoutError:
        raise no_answer(connection, subject, timeout) from None
    finally:
        connection.forget(reply)
    if message is None:
        raise NotConnected(f"connection to NATS lost while waiting for the answer on {subject}")
    return message


def no_answer(connection: Connection, subject: str, timeout: float) -> NoAnswer:
    """The error for an answer that did not come; it says what the server refused, if it did."""
    hint = f"; NATS refused: {connection.refused}" if connection.refused else ""
    return NoAnswer(f"no answer on {subject} within {timeout} s{hint}")


def status_of(message: Message) -> str:
    """The status of an answer without content (``404``, ``503`` …), else empty."""
    return "" if message.data else message.headers.get("Status", "")


async def api(connection: Connection, call: str, body: dict[str, Any] | None = None) -> bytes:
    """A call of the JetStream API; its JSON answer. Raises StreamMissing on a server without JetStream."""
    data = msgspec.json.encode(body) if body is not None else b""
    message = await request(connection, f"$JS.API.{call}", data, API_TIMEOUT)
    if status_of(message) == "503":
        raise StreamMissing(f"{call}: the NATS server runs without JetStream")
    return message.data


def error_of(error: ApiError, what: str) -> BusError:
    """The exception that ``error`` means; ``what`` was tried."""
    text = f"{what}: {error.description} ({error.err_code})"
    if error.err_code == NO_STREAM:
        return StreamMissing(text)
    if error.err_code in WRONG_SEQUENCE:
        return SequenceConflict(text)
    return BusError(text)
