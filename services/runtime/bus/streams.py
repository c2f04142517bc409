"""Streams as things: made, updated, looked at, pruned."""

from __future__ import annotations

import logging
from typing import Any, Final

import msgspec
from msgspec import Struct

from services.runtime.bus.connection import Connection
from services.runtime.bus.requests import NO_STREAM, ApiError, api, error_of
from services.runtime.bus.values import StreamSpec, StreamState

_log = logging.getLogger(__name__)

_GONE: Final = (10037, 10057)
_NANOSECONDS: Final = 1_000_000_000


class _Answer(Struct, frozen=True):
    error: ApiError | None = None


class _State(Struct, frozen=True):
    messages: int = 0
    bytes: int = 0
    first_seq: int = 0
    last_seq: int = 0


class _Info(Struct, frozen=True):
    created: str = ""
    config: dict[str, Any] = {}
    state: _State = _State()
    error: ApiError | None = None


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
        answer = msgspec.json.decode(await api(connection, f"STREAM.CREATE.{spec.name}", wanted), type=_Answer)
        if answer.error is not None:
            raise error_of(answer.error, f"cannot create {what}")
        _log.info("created %s", what)
        return
    if all(info.config.get(name) == value for name, value in wanted.items()):
        return
    answer = msgspec.json.decode(
        await api(connection, f"STREAM.UPDATE.{spec.name}", {**info.config, **wanted}), type=_Answer
    )
    if answer.error is not None:
        raise error_of(answer.error, f"cannot update {what}")
    _log.info("updated %s", what)


async def _info(connection: Connection, name: str) -> _Info | None:
    info = msgspec.json.decode(await api(connection, f"STREAM.INFO.{name}"), type=_Info)
    if info.error is None:
        return info
    if info.error.err_code == NO_STREAM:
        return None
    raise error_of(info.error, f"stream {name}")


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
    answer = msgspec.json.decode(await api(connection, f"STREAM.PURGE.{name}", body), type=_Answer)
    if answer.error is not None:
        raise error_of(answer.error, f"cannot purge stream {name}")


async def delete(connection: Connection, name: str, sequence: int) -> None:
    """Remove one message; one that is gone already is no error."""
    body = {"seq": sequence, "no_erase": True}
    answer = msgspec.json.decode(await api(connection, f"STREAM.MSG.DELETE.{name}", body), type=_Answer)
    if answer.error is not None and answer.error.err_code not in _GONE:
        raise error_of(answer.error, f"cannot delete message {sequence} of stream {name}")
