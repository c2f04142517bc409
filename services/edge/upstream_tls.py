"""TLS under a connection to an endpoint: the client's part of the handshake.

Owns the handshake, told by ``ready`` when it is settled, and keeping its session for the next. Records and encryption
are its base's (``services.edge.records``); how long it may take is for whoever waits.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from contextlib import suppress
from typing import cast

from services.edge.endpoint_contexts import EndpointContext, EndpointTLSError
from services.edge.records import Records


class EndpointRecords(Records):
    """See the module. ``ready``: done once ``inner`` is connected; raises EndpointTLSError or ConnectionError."""

    __slots__ = ("_context", "_endpoint", "_fresh", "_tls", "ready")

    def __init__(
        self,
        inner: asyncio.Protocol,
        loop: asyncio.AbstractEventLoop,
        counters: Counter[str],
        context: EndpointContext,
        endpoint: str,
    ) -> None:
        super().__init__(inner, loop, counters, "upstream-tls")
        self._context = context
        self._endpoint = endpoint
        self._fresh = True
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._incoming, self._outgoing = incoming, outgoing
        self._object = self._tls = context.wrap(incoming, outgoing, endpoint)
        self.ready: asyncio.Future[None] = loop.create_future()

    # --- from the event loop ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The endpoint took the connection; now the handshake begins."""
        self._transport = cast(asyncio.Transport, transport)
        self._shake()

    def buffer_updated(self, count: int) -> None:
        """Records, whole or in part."""
        established = self._established
        super().buffer_updated(count)
        if established and self._fresh:
            self._keep_session()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        if not self.ready.done():
            self.ready.set_exception(ConnectionResetError("it ended during the TLS handshake"))
        super().connection_lost(error)

    def abandon(self) -> None:
        """Nobody waits for the connection any more."""
        if not self.ready.cancel() and not self.ready.cancelled():
            self.ready.exception()  # somebody has looked at it, as far as the event loop is concerned
        if self._transport is not None:
            self.abort()

    # --- handshake ----------------------------------------------------------------------------------------------

    def _settled(self) -> bool:
        try:
            self._context.check(self._tls)
        except EndpointTLSError as error:
            self._counters["upstream-tls-unverified"] += 1
            self._shut = True
            self._transport.abort()
            self._fail(error)
            return False
        if not self.ready.done():
            self.ready.set_result(None)
        return True

    def _refused(self, error: ssl.SSLError) -> None:
        self._fail(EndpointTLSError(str(error)))

    def _fail(self, error: EndpointTLSError) -> None:
        if not self.ready.done():
            self.ready.set_exception(error)

    def _keep_session(self) -> None:
        """TLS 1.3 tells what can be resumed after the handshake, with the first bytes of the response."""
        self._fresh = False
        with suppress(ssl.SSLError):
            self._context.keep(self._tls, self._endpoint)
