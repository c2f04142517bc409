"""Messages between the workers of an edge and its admin process, over socket pairs that the supervisor keeps open.

A pair belongs to a place (worker 0, worker 1 …), not to a process: a successor goes on using it, and neither end ever
sees the other hang up. So messages travel as packets that carry who sent them, and half a message of a process that
died is forgotten. Nothing here blocks: to an end that does not read, messages are dropped, and the next one says it
all again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from proto.codec import DecodeError, decode, encode
from proto.reports import EdgeReport
from services.edge.process.metrics import Counters

_log = logging.getLogger(__name__)

MAX_WAITING: Final = 256
"""Packets that wait for an end that does not read."""
_HEAD: Final = struct.Struct("!IIHH")
_PART: Final = 64 * 1024
_BUFFER: Final = 2 * 1024 * 1024


class WorkerState(Struct, frozen=True, tag="state"):
    """How a worker stands. ``process``: its pid; ``ready``: it answers requests with a complete generation."""

    process: int
    report: EdgeReport
    ready: bool = False
    connected: bool = False
    counts: dict[str, int] = {}
    last_error: str = ""


class WorkerCounters(Struct, frozen=True, tag="counters"):
    """Everything that a worker has counted since it began; ``answer``: the number of the question, 0 if unasked."""

    process: int
    counters: Counters
    answer: int = 0


class Question(Struct, frozen=True, tag="question"):
    """The admin process wants a worker's counters."""

    number: int


Parcel = WorkerState | WorkerCounters | Question


def pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a channel: (worker's, admin's)."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    return ends


class Channel:
    """One end of a pair in a running loop; ``received`` is called with each whole message."""

    def __init__(self, end: socket.socket, received: Callable[[Parcel], None]) -> None:
        self._end = end
        self._received = received
        self._number = 0
        self._from: tuple[int, int] = (0, 0)
        self._parts: list[bytes] = []
        self._waiting: deque[bytes] = deque()
        asyncio.get_running_loop().add_reader(end.fileno(), self._read)

    def send(self, message: Parcel) -> bool:
        """Send ``message`` as the other end reads; False if too much is waiting already and it is dropped."""
        data = encode(message)
        self._number = (self._number + 1) & 0xFFFFFFFF
        parts = max(1, -(-len(data) // _PART))
        if parts > 0xFFFF:
            return False
        if len(self._waiting) + parts > MAX_WAITING:
            return False
        for part in range(parts):
            head = _HEAD.pack(os.getpid(), self._number, part, parts)
            self._waiting.append(head + data[part * _PART : (part + 1) * _PART])
        self._write()
        return True

    def _write(self) -> None:
        loop, descriptor = asyncio.get_running_loop(), self._end.fileno()
        while self._waiting:
            try:
                self._end.send(self._waiting[0])
            except BlockingIOError:
                loop.add_writer(descriptor, self._write)
                return
            except OSError as error:
                _log.warning("a message to the other process is lost: %s", error)
            self._waiting.popleft()
        loop.remove_writer(descriptor)

    def _read(self) -> None:
        for _ in range(64):  # then others have their turn
            try:
                packet = self._end.recv(_PART + _HEAD.size)
            except OSError:  # nothing more is there
                return
            if len(packet) >= _HEAD.size:
                self._take(packet)

    def _take(self, packet: bytes) -> None:
        process, number, part, parts = _HEAD.unpack_from(packet)
        if part == 0:
            self._from, self._parts = (process, number), []
        if self._from != (process, number) or part != len(self._parts):
            return
        self._parts.append(packet[_HEAD.size :])
        if len(self._parts) == parts:
            data, self._parts = b"".join(self._parts), []
            try:
                self._received(decode(data, Parcel, "message of a worker"))  # type: ignore[arg-type]
            except DecodeError:
                return  # of another version of this program: it is about to be replaced
