"""Streams, over plain requests to JetStream's API: making them, appending, reading by direct get.

Owns the requests and what their answers mean. Must not know: the client library, what messages mean. Direct get is
served without a consumer on the server, one request for many messages: an edge that starts costs one round trip per
``PAGE`` messages and leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from services.runtime.bus.connection import Connection
from services.runtime.bus.values import (
    BusError,
    Message,
    NoAnswer,
    NotConnected,
    SequenceConflict,
    Stored,
    StreamMissing,
    StreamSpec,
    StreamState,
)

_log = logging.getLogger(__name__)

API_TIMEOUT = 5.0
PAGE = 1024
"""Messages asked for at once: the server's own bound for reads of many subjects."""
PAGE_BYTES = 8 * 1024 * 1024
"""Bytes asked for at once, far below what the server lets pile up for a client before it cuts it off."""

_NO_STREAM = 10059
_WRONG_SEQUENCE = (10071, 10164)
_NO_MESSAGE = 10037
_NANOSECONDS = 1_000_000_000


class _ApiError(Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Answer(Struct, frozen=True):
    error: _ApiError | None = None


class _Ack(Struct, frozen=True):
    seq: int = 0
    error: _ApiError | None = None


class _State(Struct, frozen=True):
    messages: int = 0
    bytes: int = 0
    first_seq: int = 0
    last_seq: int = 0


class _Info(Struct, frozen=True):
    created: str = ""
    config: dict[str, Any] = {}
    state: _State = _State()
    error: _ApiError | None = None


class _Page(Struct, frozen=True):
    messages: list[Stored]
    pending: int


# --- requests ---------------------------------------------------------------------------------------------------


async def request(connection: Connection, subject: str, data: bytes, timeout: float) -> Message:
    """One request, one answer. Raises NotConnected, NoAnswer, BusError."""
    answer: asyncio.Future[Message | None] = asyncio.get_running_loop().create_future()
    reply = connection.expect(lambda message: None if answer.done() else answer.set_result(message))
    try:
        await connection.publish(subject, data, reply=reply)
        async with asyncio.timeout(timeout):
            message = await answer
    except TimeoutError:
        raise _no_answer(connection, subject, timeout) from None
    finally:
        connection.forget(reply)
    if message is None:
        raise NotConnected(f"connection to NATS lost while waiting for the answer on {subject}")
    return message


def _no_answer(connection: Connection, subject: str, timeout: float) -> NoAnswer:
    hint = f"; NATS refused: {connection.refused}" if connection.refused else ""
    return NoAnswer(f"no answer on {subject} within {timeout} s{hint}")


def _status(message: Message) -> str:
    return "" if message.data else message.headers.get("Status", "")


async def _api(connection: Connection, call: str, body: dict[str, Any] | None = None) -> bytes:
    data = msgspec.json.encode(body) if body is not None else b""
    message = await request(connection, f"$JS.API.{call}", data, API_TIMEOUT)
    if _status(message) == "503":
        raise StreamMissing(f"{call}: the NATS server runs without JetStream")
    return message.data


def _raise(error: _ApiError, what: str) -> None:
    text = f"{what}: {error.description} ({error.err_code})"
    if error.err_code == _NO_STREAM:
        raise StreamMissing(text)
    if error.err_code in _WRONG_SEQUENCE:
        raise SequenceConflict(text)
    raise BusError(text)


# --- streams ----------------------------------------------------------------------------------------------------


def configuration(spec: StreamSpec) -> dict[str, Any]:
    """The server's form of ``spec``."""
    age = round(spec.max_age * _NANOSECONDS)
    config: dict[str, Any] = {
        "name": spec.name,
        "subjects": list(spec.subjects),
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "max_consumers": -1,
        "max_msgs": spec.max_messages,
        "max_bytes": spec.max_bytes,
        "max_age": age,
        "max_msgs_per_subject": spec.max_per_subject,
        "max_msg_size": -1,
        "num_replicas": spec.replicas,
        "duplicate_window": min(age or 2 * _NANOSECONDS, 2 * _NANOSECONDS),
        "allow_direct": True,
        # the ``nats kv`` command purges keys by rollup
        "allow_rollup_hdrs": spec.name.startswith("KV_"),
    }
    if spec.republish is not None:
        config["republish"] = {"src": spec.republish[0], "dest": spec.republish[1]}
    return config


async def ensure_stream(connection: Connection, spec: StreamSpec) -> None:
    """Create the stream, or update it where it differs. Raises BusError naming the stream and the server's reason."""
    wanted = configuration(spec)
    what = f"stream {spec.name}"
    info = await _info(connection, spec.name)
    if info is None:
        answer = msgspec.json.decode(await _api(connection, f"STREAM.CREATE.{spec.name}", wanted), type=_Answer)
        if answer.error is not None:
            _raise(answer.error, f"cannot create {what}")
        _log.info("created %s", what)
        return
    if all(info.config.get(name) == value for name, value in wanted.items()):
        return
    answer = msgspec.json.decode(
        await _api(connection, f"STREAM.UPDATE.{spec.name}", {**info.config, **wanted}), type=_Answer
    )
    if answer.error is not None:
        _raise(answer.error, f"cannot update {what}")
    _log.info("updated %s", what)


async def _info(connection: Connection, name: str) -> _Info | None:
    info = msgspec.json.decode(await _api(connection, f"STREAM.INFO.{name}"), type=_Info)
    if info.error is None:
        return info
    if info.error.err_code == _NO_STREAM:
        return None
    _raise(info.error, f"stream {name}")
    raise AssertionError("unreachable")


async def state(connection: Connection, name: str) -> StreamState | None:
    """How the stream stands, or None when there is none."""
    info = await _info(connection, name)
    if info is None:
        return None
    found = info.state
    return StreamState(info.created, found.first_seq, found.last_seq, found.messages, found.bytes)


async def purge(connection: Connection, name: str, subject_filter: str, keep: int, up_to_sequence: int) -> None:
    """Remove messages: all, or those of a subject, but for the last ``keep``, or those up to a sequence (included)."""
    body: dict[str, Any] = {}
    if subject_filter:
        body["filter"] = subject_filter
    if keep:
        body["keep"] = keep
    if up_to_sequence:
        body["seq"] = up_to_sequence + 1
    answer = msgspec.json.decode(await _api(connection, f"STREAM.PURGE.{name}", body), type=_Answer)
    if answer.error is not None:
        _raise(answer.error, f"cannot purge stream {name}")


async def delete(connection: Connection, name: str, sequence: int) -> None:
    """Remove one message; one that is gone already is no error."""
    body = {"seq": sequence, "no_erase": True}
    answer = msgspec.json.decode(await _api(connection, f"STREAM.MSG.DELETE.{name}", body), type=_Answer)
    if answer.error is not None and answer.error.err_code not in (_NO_MESSAGE, 10057):
        _raise(answer.error, f"cannot delete message {sequence} of stream {name}")


# --- writing ----------------------------------------------------------------------------------------------------


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
        raise _no_answer(connection, subject, timeout) from None
    if message is None:
        raise NotConnected(f"connection to NATS lost while appending to {subject}")
    if _status(message) == "503":
        raise StreamMissing(f"no stream stores {subject}")
    ack = msgspec.json.decode(message.data, type=_Ack)
    if ack.error is not None:
        _raise(ack.error, subject)
    return ack.seq


# --- reading ----------------------------------------------------------------------------------------------------


async def last(connection: Connection, stream: str, subject: str) -> Stored | None:
    """The last message of a subject. Raises StreamMissing, NoAnswer, NotConnected."""
    message = await request(connection, f"$JS.API.DIRECT.GET.{stream}.{subject}", b"", API_TIMEOUT)
    status = _status(message)
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
                raise _no_answer(connection, subject, API_TIMEOUT) from None
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
