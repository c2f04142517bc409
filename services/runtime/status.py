"""Status over the bus: every process answers a request with its ``RoleStatus``; anyone gathers the answers."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from proto.reports import RoleStatus, to_json
from proto.subjects import Subjects
from services.runtime.bus import Bus, Message, NotConnected

_log = logging.getLogger(__name__)

MAX_DIAGNOSTICS = 1000
"""Diagnostics in one answer; a message has its bounds, and nobody reads more."""

_DECODER = msgspec.json.Decoder(RoleStatus)


async def answer_status(bus: Bus, subjects: Subjects, status: Callable[[], RoleStatus]) -> None:
    """From now on answer status requests with what ``status`` returns."""

    async def answer(message: Message) -> None:
        if not message.reply:
            return
        try:
            await bus.publish(message.reply, _encoded(status(), bus.max_payload))
        except NotConnected:
            return  # nobody is there to read it

    await bus.subscribe(subjects.status_request, answer)


def _encoded(status: RoleStatus, limit: int) -> bytes:
    """``status`` in at most ``limit`` bytes: with fewer diagnostics rather than without any answer."""
    shown = status.diagnostics[:MAX_DIAGNOSTICS]
    data = to_json(msgspec.structs.replace(status, diagnostics=shown))
    while len(data) > limit and shown:
        shown = shown[: len(shown) // 2]
        data = to_json(msgspec.structs.replace(status, diagnostics=shown))
    return data


async def gather_status(bus: Bus, subjects: Subjects, *, timeout: float = 0.5, at_most: int = 0) -> list[RoleStatus]:
    """The status of every process that answers in time, by role and name. Raises NotConnected."""
    found = []
    for message in await bus.ask(subjects.status_request, timeout=timeout, at_most=at_most):
        try:
            found.append(_DECODER.decode(message.data))
        except msgspec.MsgspecError as error:
            _log.warning("a status answer cannot be read: %s", error)
    order = {"watcher": 0, "compiler": 1, "edge": 2}
    return sorted(found, key=lambda status: (order[status.role], status.name))
