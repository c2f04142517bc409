"""A client that asks at a fixed rate, whatever the answers do: what it measures is what a user waits.

Every request has its time on a schedule; waiting begins then, also while no connection is free (so nothing is left out
when the server is slow). One thread, ``select`` with microseconds, for event loops round their timers to milliseconds.
"""

from __future__ import annotations

import select
import socket
from collections import deque
from time import perf_counter

SLACK = 0.00002
"""Seconds before its time at which a request is sent rather than waited for once more."""


class Steady:
    """Kept connections to one server. ``ending``: how every answer ends."""

    def __init__(self, port: int, connections: int, request: bytes, ending: bytes) -> None:
        self._request = request
        self._ending = ending
        self._sockets = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(connections)]
        for each in self._sockets:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        """End all connections."""
        for each in self._sockets:
            each.close()

    def ask(self, rate: float, seconds: float) -> list[float]:
        """Seconds waited for each answer, at ``rate`` requests a second. Raises RuntimeError for a wrong answer."""
        free = deque(self._sockets)
        busy: dict[socket.socket, float] = {}
        rests: dict[socket.socket, bytes] = {}
        waited: list[float] = []
        total = int(rate * seconds)
        sent = 0
        start = perf_counter() + 0.01
        while len(waited) < total:
            now = perf_counter()
            while sent < total and free and (due := start + sent / rate) <= now + SLACK:
                connection = free.popleft()
                connection.send(self._request)
                busy[connection] = due
                sent += 1
            pause = max(0.0, start + sent / rate - perf_counter()) if sent < total and free else 1.0
            for ready in select.select(list(busy), (), (), pause)[0]:
                data = rests.pop(ready, b"") + ready.recv(65536)
                if not data.endswith(self._ending):
                    if not data.startswith(b"HTTP/1.1 200"):
                        raise RuntimeError(f"answered: {data[:80]!r}")
                    rests[ready] = data
                    continue
                waited.append(perf_counter() - busy.pop(ready))
                free.append(ready)
        return waited
