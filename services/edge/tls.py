"""TLS under a client's connection: the handshake, its context chosen by the ClientHello, its time limit.

Owns what is a server's part of TLS: the ClientHello's server name is read before OpenSSL sees it. Records, encryption
and orderly shutdown are its base's (``services.edge.records``).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

from services.edge.asking import AskedConnection
from services.edge.contexts import RejectedNameError
from services.edge.core import pages
from services.edge.core.client_hello import HelloReader, NotTLSError, name_in_first
from services.edge.core.link import Secured
from services.edge.deadlines import Timed
from services.edge.peers import TLSPeer
from services.edge.records import NOBODY, Records

if TYPE_CHECKING:
    from services.edge.clients import Arriving
    from services.edge.serving import Serving

HANDSHAKE_TIME: Final = 10.0
"""Seconds for a whole handshake."""

PassOn = Callable[[str, asyncio.Transport, bytes], None]
"""Takes a connection for an Upstream that opens it itself, with what the client said already."""

_UNRECOGNIZED_NAME: Final = b"\x15\x03\x03\x00\x02\x02\x70"
"""A fatal alert (RFC 6066 section 3, RFC 8446 section 6)."""


class TLSConnection(Records):
    """See the module. What ``plain`` makes is connected once the handshake is done (what ``multiplexed`` makes, if
    HTTP/2 was agreed on); until then this is in ``handshakes``. ``pass_on``: takes connections that are not for us."""

    __slots__ = (
        "_handshakes",
        "_hello",
        "_multiplexed",
        "_parting",
        "_pass_on",
        "_peer",
        "_plain",
        "_secured",
        "_server_name",
        "_serving",
        "_watched",
        "deadline",
    )

    def __init__(
        self,
        plain: Callable[[], asyncio.Protocol],
        multiplexed: Callable[[], asyncio.Protocol],
        serving: Serving,
        handshakes: set[Arriving],
        pass_on: PassOn,
    ) -> None:
        super().__init__(NOBODY, serving.loop, serving.traffic.counters, "tls")
        self._plain = plain
        self._multiplexed = multiplexed
        self._serving = serving
        self._handshakes = handshakes
        self._pass_on = pass_on
        self._hello: HelloReader | None = None
        self._parting = False
        self._peer: TLSPeer | None = None
        self._secured: Secured | None = None
        self._server_name = ""
        self.deadline = monotonic() + HANDSHAKE_TIME
        self._watched: set[Timed] | None = None

    # --- from the event loop ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came; its handshake is awaited."""
        self._transport = cast(asyncio.Transport, transport)
        self._watched = self._serving.deadlines.watch(self)
        self._handshakes.add(self)

    def eof_received(self) -> bool | None:
        """The client sends no more. If that ends the connection, no goodbye is sent: clients have nearly always closed
        their end altogether, and their system would refuse the bytes."""
        self._parting = True
        try:
            return super().eof_received()
        finally:
            self._parting = False

    def _flush(self) -> None:
        if not self._parting:
            super()._flush()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self._unwatch()
        super().connection_lost(error)
        self._say_goodbye()  # though nobody hears it: OpenSSL takes back the session of a connection without
        if self._secured is not None:
            self._secured.end()

    def expire(self, _now: float) -> None:
        """The handshake took too long."""
        self._serving.traffic.counters["tls-handshake-timeout"] += 1
        self._unwatch()
        self._transport.abort()

    # --- handshake ----------------------------------------------------------------------------------------------

    def _greeted(self, data: memoryview) -> None:
        """Bytes of the ClientHello, or of what follows it."""
        if self._object is not None:
            super()._greeted(data)
            return
        hello = self._hello
        if hello is None:
            first = bytes(data)
            name = name_in_first(first)
            if name is not None:
                self._begin(name, first)
                return
            hello = self._hello = HelloReader()
        try:
            name = hello.feed(data)
        except NotTLSError:
            self._not_tls(hello.received)
            return
        if name is not None:
            self._hello = None
            self._begin(name, hello.received)

    def _begin(self, name: str, received: bytes | bytearray) -> None:
        """The client asks for ``name``; ``received``: everything that it said."""
        newest = self._serving.newest
        if newest is not None and newest.streams.hosts:
            upstream = newest.streams.passes(name, newest.has_host)
            if upstream is not None:
                self._unwatch()
                self._pass_on(upstream, self._transport, bytes(received))
                return
        self._server_name = name
        try:
            accepted = self._serving.contexts.accept(name)
        except RejectedNameError:
            self._serving.traffic.counters["tls-name-rejected"] += 1
            self._shut = True
            self._transport.write(_UNRECOGNIZED_NAME)
            self._transport.close()
            return
        self._object = accepted.tls
        self._incoming = accepted.incoming
        self._outgoing = accepted.outgoing
        self._incoming.write(received)
        self._shake()

    def _end_handshake(self) -> None:
        """In TLS 1.3 the server has nothing left to say but tickets, for which nobody waits: a write less."""
        if self._object is not None and self._object.version() == "TLSv1.3":
            self._held = self._outgoing.pending
        else:
            self._flush()

    def _not_tls(self, received: bytearray) -> None:
        """Something else than TLS; a request in the clear gets an answer it can read (nginx: 497, sent as 400)."""
        self._serving.traffic.counters["tls-not-tls"] += 1
        self._shut = True
        if received[:1].isalpha():
            self._transport.write(pages.page(400, page=497, date=self._serving.date(), persistent=False, bare=False))
        self._transport.close()

    def _settled(self) -> bool:
        self._unwatch()
        tls = self._object
        asked = isinstance(tls, AskedConnection)
        shown = tls.shown() if isinstance(tls, AskedConnection) else ()
        self._peer = TLSPeer(self._server_name, self._serving.authorities, asked, shown)
        self._secured = None if tls is None else Secured(tls)
        multiplexed = tls is not None and tls.selected_alpn_protocol() == "h2"
        self._inner = self._multiplexed() if multiplexed else self._plain()
        return True

    def _refused(self, _error: ssl.SSLError) -> None:
        """It is counted, and there is nobody to tell."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As of the base, and ``tls_peer``: what the handshake told of the client, ``secured``: and of itself."""
        if name == "tls_peer":
            return self._peer
        return self._secured if name == "secured" else super().get_extra_info(name, default)

    def _unwatch(self) -> None:
        if self._watched is not None:
            self._watched.discard(self)
            self._watched = None
            self._handshakes.discard(self)
