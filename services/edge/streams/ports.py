"""The ports of TCP and UDP services of a worker: opened and closed as generations say, while everything else goes on.

Owns which ports are open, and what keeps others from it: that is said in the log and in the worker's status, tried
again, and harms nobody else. Each worker opens sockets of its own, with SO_REUSEPORT, so that the kernel spreads
connections over workers and edges; it may do so, for it runs with the rights of the edge that opened the http ports.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from proto.resources import Stream
from services.edge.streams.datagrams import DatagramPort
from services.edge.streams.port import BACKLOG, Port
from services.runtime.logs import log

if TYPE_CHECKING:
    from services.edge.core.streams import Streams
    from services.edge.serving import Serving

_log = logging.getLogger(__name__)

TRY_AGAIN: Final = 5.0
"""Seconds until a port that could not be opened is tried again."""

Bind = Callable[[Stream], Sequence[socket.socket]]
"""Sockets bound to a stream's port. Raises OSError or ValueError with the reason."""


class Ports:
    """See the module. ``reserved``: ports of TCP that the edge itself serves, with what. ``failures``: by name of the
    stream, why its port is not open. ``changed`` is called when failures differ."""

    def __init__(
        self, serving: Serving, bind: Bind, reserved: Mapping[int, str], changed: Callable[[], None] = lambda: None
    ) -> None:
        self._serving = serving
        self._bind = bind
        self._reserved = reserved
        self._changed = changed
        self._wanted: dict[str, Stream] = {}
        self._open: dict[str, Port | DatagramPort] = {}
        self._leaving: list[Port | DatagramPort] = []
        self._sockets: dict[str, Sequence[socket.socket]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self.failures: dict[str, str] = {}

    def follow(self, streams: Streams) -> None:
        """Have exactly the ports of ``streams`` open. Connections that there are stay as they are."""
        if self._closed or streams.ports is self._wanted:
            return
        self._wanted = streams.ports
        before = dict(self.failures)
        for name in self._open.keys() - streams.ports.keys():
            self._leave(name)
        for name in self.failures.keys() - streams.ports.keys():
            del self.failures[name]
        for name, stream in streams.ports.items():
            port = self._open.get(name)
            if port is None:
                self._try(name, stream)
            else:
                port.stream = stream
        self._settle(before)

    @property
    def connections(self) -> int:
        """Connections and sessions that there are."""
        return sum(port.open for port in (*self._open.values(), *self._leaving))

    def each(self) -> Iterable[Port | DatagramPort]:
        """All ports, those too that take nobody any more."""
        return (*self._open.values(), *self._leaving)

    def sockets(self) -> list[socket.socket]:
        """The listening sockets of TCP."""
        return [bound for name in self._open if name.startswith("tcp:") for bound in self._sockets[name]]

    def close(self) -> None:
        """Open nothing and accept nobody any more; connections stay."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for name in list(self._open):
            self._leave(name)

    def abort(self) -> None:
        """End what is left at once."""
        for port in self.each():
            port.abort()

    def _leave(self, name: str) -> None:
        """Close a port; those of its connections that go on are still counted."""
        del self._sockets[name]
        port = self._open.pop(name)
        port.close()
        counted = self._serving.overload.listeners
        for ended in [leaving for leaving in (*self._leaving, port) if not leaving.open]:
            if isinstance(ended, Port) and ended in counted:
                counted.remove(ended)
        self._leaving = [leaving for leaving in (*self._leaving, port) if leaving.open]

    def _try(self, name: str, stream: Stream) -> None:
        """Open a port, or say what is in the way."""
        reason = ""
        sockets: Sequence[socket.socket] = ()
        if stream.protocol == "tcp" and stream.port in self._reserved:
            reason = f"port {stream.port} is reserved: this edge serves {self._reserved[stream.port]} there"
        else:
            try:
                sockets = self._listening(stream)
            except (OSError, ValueError) as error:
                reason = str(error)
        if reason:
            if self.failures.get(name) != reason:
                log(_log, logging.ERROR, "a port of a stream is not open", stream=name, reason=reason)
            self.failures[name] = reason
            return
        self.failures.pop(name, None)
        port: Port | DatagramPort
        if stream.protocol == "tcp":
            port = Port(self._serving, stream)
            self._serving.overload.listeners.append(port)
        else:
            port = DatagramPort(self._serving, stream)
        self._open[name] = port
        self._sockets[name] = sockets
        self._serving.spawn(port.listen(sockets))
        log(_log, logging.INFO, "port of a stream", stream=name, upstream=stream.upstream)

    def _listening(self, stream: Stream) -> Sequence[socket.socket]:
        """Sockets of a port, those of TCP listening: only that shows that nobody else does. Raises as ``Bind``."""
        sockets = self._bind(stream)
        try:
            for bound in sockets if stream.protocol == "tcp" else ():
                bound.listen(BACKLOG)
        except OSError as error:
            for bound in sockets:
                bound.close()
            raise OSError(f"cannot listen on port {stream.port}: {error.strerror or error}") from None
        return sockets

    def _again(self) -> None:
        self._timer = None
        before = dict(self.failures)
        for name in before:
            self._try(name, self._wanted[name])
        self._settle(before)

    def _settle(self, before: Mapping[str, str]) -> None:
        if self.failures and self._timer is None:
            self._timer = self._serving.loop.call_later(TRY_AGAIN, self._again)
        if self.failures != before:
            self._changed()
