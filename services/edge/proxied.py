"""Connections that a balancer makes for its clients: the PROXY header is read first, then they are as any other.

Owns the wait for the header and whom it is believed (nginx: ``listen … proxy_protocol`` with ``set_real_ip_from``).
What comes after it is given to the connection that speaks TLS or HTTP, over a transport that knows the client by the
address that the header names. Must not know requests.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from services.edge.core.forwarded import believes_balancer
from services.edge.core.proxy_protocol import Header, HeaderReader, NotProxiedError
from services.edge.gate import TurnedAway, hand_over
from services.edge.waiting import Waiting
from services.runtime.logs import log
from services.runtime.seldom import Seldom

if TYPE_CHECKING:
    from services.edge.listener import Listener

Inner = asyncio.Protocol | asyncio.BufferedProtocol

_log = logging.getLogger(__name__)


class Refusals:
    """Says now and then that connections brought no header: the setting may be on where no balancer writes one."""

    __slots__ = ("_seldom",)

    def __init__(self) -> None:
        self._seldom = Seldom()

    def said(self, client: str, reason: str) -> None:
        """A connection of ``client`` was closed for ``reason``."""
        more = self._seldom.more()
        if more is None:
            return
        fields = {"client": client, "reason": reason, "more_like_it": more}
        log(_log, logging.WARNING, "use-proxy-protocol: a connection without a good PROXY header was closed", **fields)


class ProxiedTransport(asyncio.Transport):
    """A transport whose other end is whom the balancer speaks for. Everything else is done by the ``real`` one, whose
    methods this one has as its own, so that nothing is slower for it."""

    def __init__(self, real: asyncio.Transport, header: Header) -> None:
        super().__init__()
        self._real = real
        self._header = header
        for name in _DONE_BY_THE_REAL_ONE:
            setattr(self, name, getattr(real, name))

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """``peername`` is the client; ``balancer_port``: the one that it came to."""
        if name == "peername":
            return self._header.address, self._header.port
        if name == "balancer_port":
            return self._header.server_port
        return self._real.get_extra_info(name, default)


_DONE_BY_THE_REAL_ONE: Final = (
    "abort",
    "can_write_eof",
    "close",
    "get_protocol",
    "get_write_buffer_size",
    "is_closing",
    "is_reading",
    "pause_reading",
    "resume_reading",
    "set_protocol",
    "set_write_buffer_limits",
    "write",
    "write_eof",
    "writelines",
)


class Proxied(Waiting):
    """See the module. ``inner`` makes what the connection is once the header has come."""

    __slots__ = ("_inner", "_reader")

    def __init__(self, listener: Listener, inner: Callable[[], Inner]) -> None:
        generation = listener.serving.newest
        seconds = generation.settings.proxy_protocol_header_timeout if generation is not None else 0.0
        super().__init__(listener, listener.handshakes, monotonic() + seconds)
        self._inner = inner
        self._reader = HeaderReader()

    def data_received(self, data: bytes) -> None:
        """Bytes of the header; the end of it is the beginning of the client's."""
        try:
            header = self._reader.feed(data)
        except NotProxiedError as error:
            self._refuse(str(error))
            return
        if header is not None:
            self._hand_over(header)

    def _hand_over(self, header: Header) -> None:
        self._unwatch()
        real = self._transport
        peer = real.get_extra_info("peername")
        generation = self._listener.serving.newest
        believed = generation is not None and believes_balancer(generation.trust, str(peer[0]) if peer else "")
        told = ProxiedTransport(real, header) if header.address and believed else real
        client = told.get_extra_info("peername")
        if not self._listener.serving.limits.admit(str(client[0]) if client else "", real):
            hand_over(real, TurnedAway(self._listener))
            return
        inner = self._inner()
        hand_over(real, inner, told)
        if self._reader.rest:
            give(inner, self._reader.rest)

    def _refuse(self, why: str) -> None:
        """Nothing is said to somebody who does not speak the protocol (nginx: it closes too)."""
        peer = self._transport.get_extra_info("peername")
        self._listener.refusals.said(str(peer[0]) if peer else "", why)
        self._listener.serving.traffic.counters[f"proxy-protocol-{why.replace(' ', '-')}"] += 1
        self.abort()

    def eof_received(self) -> bool:
        """The balancer sends no more: it only looked whether we are there."""
        return False

    def expire(self, _now: float) -> None:
        """The header took too long (``proxy-protocol-header-timeout``)."""
        self._refuse("timeout")


def give(protocol: Inner, data: bytes) -> None:
    """Have ``protocol`` take ``data`` as if it had just been read."""
    if isinstance(protocol, asyncio.Protocol):
        protocol.data_received(data)
        return
    while data:
        room = memoryview(protocol.get_buffer(len(data)))
        count = min(len(room), len(data))
        room[:count] = data[:count]
        data = data[count:]
        protocol.buffer_updated(count)
