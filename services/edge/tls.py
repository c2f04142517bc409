"""TLS under a client's connection: records in and out through memory, one shared read buffer for all connections.

Owns the handshake (the context chosen by the ClientHello's server name before OpenSSL sees it), encryption, orderly
shutdown and the handshake's time limit. To the connection above it is a transport. Measured against the event loop's
own TLS this form costs less per request and much less per handshake.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

from services.edge.core import pages
from services.edge.core.client_hello import HelloReader, NotTLSError
from services.edge.deadlines import Timed

if TYPE_CHECKING:
    from services.edge.serving import Serving

HANDSHAKE_TIME: Final = 10.0
"""Seconds for a whole handshake."""

UNTAKEN_LIMIT: Final = 1024 * 1024
"""Bytes that may wait for a client when TLS itself (alerts, key updates) has more to say: it makes us say it."""

_RECORD: Final = 16 * 1024
_buffer: Final = memoryview(bytearray(256 * 1024))
"""Where every TLS connection of the process is read into: what comes is consumed before the next read."""


class TLSConnection(asyncio.BufferedProtocol):
    """See the module. ``inner`` is connected once the handshake is done; until then this is in ``handshakes``."""

    __slots__ = (
        "_established",
        "_handshakes",
        "_hello",
        "_incoming",
        "_inner",
        "_object",
        "_outgoing",
        "_reading",
        "_serving",
        "_shut",
        "_transport",
        "_watched",
        "deadline",
    )

    def __init__(self, inner: asyncio.Protocol, serving: Serving, handshakes: set[TLSConnection]) -> None:
        self._inner = inner
        self._serving = serving
        self._handshakes = handshakes
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object: ssl.SSLObject | None = None
        self._hello: HelloReader | None = HelloReader()
        self._established = False
        self._reading = True
        self._shut = False
        self.deadline = monotonic() + HANDSHAKE_TIME
        self._watched: set[Timed] | None = None

    # --- from the event loop ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came; its handshake is awaited."""
        self._transport = cast(asyncio.Transport, transport)
        self._watched = self._serving.deadlines.watch(self)
        self._handshakes.add(self)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where to read to."""
        return _buffer

    def buffer_updated(self, count: int) -> None:
        """Records, whole or in part."""
        if self._shut:
            return
        if self._hello is not None:
            self._start(self._hello, _buffer[:count])
            return
        self._incoming.write(_buffer[:count])
        if self._established:
            self._deliver(count)
        else:
            self._shake()

    def eof_received(self) -> bool | None:
        """The client sends no more."""
        return self._inner.eof_received() if self._established and not self._shut else False

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self._unwatch()
        if self._established:
            self._inner.connection_lost(error)

    def pause_writing(self) -> None:
        """The client takes bytes slower than they come."""
        if self._established:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """The client takes bytes again."""
        if self._established:
            self._inner.resume_writing()

    def expire(self, _now: float) -> None:
        """The handshake took too long."""
        self._serving.traffic.counters["tls-handshake-timeout"] += 1
        self._unwatch()
        self._transport.abort()

    # --- handshake ----------------------------------------------------------------------------------------------

    def _start(self, hello: HelloReader, data: memoryview) -> None:
        try:
            name = hello.feed(data)
        except NotTLSError:
            self._refuse(hello.received)
            return
        if name is None:
            return
        context = self._serving.contexts.context(name)
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._incoming.write(hello.received)
        self._hello = None
        self._shake()

    def _refuse(self, received: bytearray) -> None:
        """Something else than TLS; a request in the clear gets an answer it can read (nginx: 497, sent as 400)."""
        self._serving.traffic.counters["tls-not-tls"] += 1
        self._shut = True
        if received[:1].isalpha():
            self._transport.write(pages.page(400, date=self._serving.date(), persistent=False, bare=False))
        self._transport.close()

    def _shake(self) -> None:
        assert self._object is not None
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError:
            self._serving.traffic.counters["tls-handshake-failed"] += 1
            self._flush()  # the alert
            self._shut = True
            self._transport.close()
            return
        self._flush()
        self._unwatch()
        self._established = True
        self._inner.connection_made(cast(asyncio.Transport, self))
        if self._incoming.pending:
            self._deliver(_RECORD)

    def _unwatch(self) -> None:
        if self._watched is not None:
            self._watched.discard(self)
            self._watched = None
            self._handshakes.discard(self)

    # --- records ------------------------------------------------------------------------------------------------

    def _deliver(self, size: int) -> None:
        """Hand on what the records hold; ``size``: how much that may be, so that small records cost little memory."""
        tls = self._object
        assert tls is not None
        incoming = self._incoming
        try:
            while self._reading and not self._shut:
                data = tls.read(size)
                if not data:
                    self._ended()
                    break
                self._inner.data_received(data)
                if len(data) < size and not incoming.pending:  # a read gives a whole record if there is room for it
                    break
                size = _RECORD
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self._serving.traffic.counters["tls-broken"] += 1
            self._transport.abort()
            return
        if self._outgoing.pending:
            self._flush()

    def _ended(self) -> None:
        """close_notify: the client sends no more, and may still read."""
        if not self._inner.eof_received():
            self.close()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._transport.write(self._outgoing.read())
            if self._transport.get_write_buffer_size() > UNTAKEN_LIMIT:
                self._serving.traffic.counters["tls-untaken"] += 1
                self.abort()

    def _read_again(self) -> None:
        if self._reading and not self._shut and not self._transport.is_closing():
            self._deliver(_RECORD)

    def _say_goodbye(self) -> None:
        if self._object is None or self._shut:
            return
        self._shut = True
        with suppress(ssl.SSLError):  # the client's own goodbye is not waited for
            self._object.unwrap()
        if not self._transport.is_closing():
            self._flush()

    # --- transport, for the connection above --------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Encrypt and send."""
        if self._shut or not data:
            return
        assert self._object is not None
        try:
            self._object.write(data)
        except ssl.SSLError:
            self._transport.abort()
            return
        self._transport.write(self._outgoing.read())

    def close(self) -> None:
        """Send what is written and close_notify, then close."""
        self._say_goodbye()
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._shut = True
        self._transport.abort()

    def can_write_eof(self) -> bool:
        """TLS can: close_notify."""
        return True

    def write_eof(self) -> None:
        """Say that nothing more is sent; reading goes on."""
        self._say_goodbye()
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()

    def is_closing(self) -> bool:
        """Whether the connection is ending."""
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        """Take no more from the client."""
        self._reading = False
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take more; what was decrypted or received before comes first."""
        self._reading = True
        self._transport.resume_reading()
        if self._established:
            self._serving.loop.call_soon(self._read_again)

    def get_write_buffer_size(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._transport.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the event loop knows of the connection, and ``ssl_object``."""
        return self._object if name == "ssl_object" else self._transport.get_extra_info(name, default)
