"""TLS records in and out through memory, whichever end we are: one shared read buffer for all connections.

Owns encryption, the stepping of the handshake, orderly shutdown and the bound on bytes that nobody takes. To the
connection above it is a transport. Must not know how a handshake begins, nor what its failure means: that is added by
``services.edge.tls`` (clients) and ``services.edge.upstream_tls`` (endpoints). Measured against the event loop's own
TLS this form costs less per request and much less per handshake.
"""

from __future__ import annotations

import asyncio
import ssl
from abc import abstractmethod
from collections import Counter
from contextlib import suppress
from typing import Any, Final, cast

from services.edge.asking import AskedConnection, Incoming, Outgoing

UNTAKEN_LIMIT: Final = 1024 * 1024
"""Bytes that may wait for the peer when TLS itself (alerts, key updates) has more to say: it makes us say it."""

RECORD: Final = 16 * 1024
"""The most that one record holds."""

PIECE: Final = 4 * RECORD
"""Bytes that go through OpenSSL's memory at a time: it keeps room for the most that it ever held, as long as the
connection lives, be it idle. Half as much at a time is slower by a fifth, all at once no faster than this."""

_buffer: Final = memoryview(bytearray(256 * 1024))
"""Where every TLS connection of the process is read into: what comes is consumed before the next read."""

NOBODY: Final = asyncio.Protocol()
"""Who is above a connection before there is somebody, and afterwards."""


class Records(asyncio.BufferedProtocol):
    """See the module. ``_inner`` is connected once the handshake is done (``_established``). ``_held``: so many bytes
    of the handshake wait for what is sent first. ``_counters`` count what goes wrong, under names that begin with
    ``_side``."""

    __slots__ = (
        "_counters",
        "_established",
        "_held",
        "_incoming",
        "_inner",
        "_loop",
        "_object",
        "_outgoing",
        "_reading",
        "_shut",
        "_side",
        "_transport",
    )

    def __init__(
        self, inner: asyncio.Protocol, loop: asyncio.AbstractEventLoop, counters: Counter[str], side: str
    ) -> None:
        self._inner = inner
        self._loop = loop
        self._counters = counters
        self._side = side
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._incoming: ssl.MemoryBIO | Incoming
        self._outgoing: ssl.MemoryBIO | Outgoing
        self._object: ssl.SSLObject | AskedConnection | None = None
        self._established = False
        self._held = 0
        self._reading = True
        self._shut = False

    @abstractmethod
    def _settled(self) -> bool:
        """The handshake is done; whether the connection may be used."""

    @abstractmethod
    def _refused(self, error: ssl.SSLError) -> None:
        """The handshake failed; the alert is sent, the connection about to end."""

    # --- from the event loop ------------------------------------------------------------------------------------

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where to read to."""
        return _buffer

    def buffer_updated(self, count: int) -> None:
        """Records, whole or in part."""
        if self._shut:
            if self._established and not self._transport.is_closing():
                self._inner.data_received(b"")  # it is thrown away, but who lingers for it hears that it still comes
            return
        if not self._established:
            self._greeted(_buffer[:count])
        elif count > PIECE:
            self._receive_much(count)
        else:
            self._incoming.write(_buffer[:count])
            self._deliver(count)

    def _receive_much(self, count: int) -> None:
        """Many records, a few at a time; all that is left once nobody takes more for now."""
        at = 0
        while at < count and not self._shut:
            end = min(at + PIECE, count) if self._reading else count
            self._incoming.write(_buffer[at:end])
            self._deliver(RECORD)
            at = end

    def eof_received(self) -> bool | None:
        """The peer sends no more."""
        return self._inner.eof_received() if self._established and not self._shut else False

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        if self._established:
            self._inner.connection_lost(error)
        self._inner = NOBODY  # which knows us as its transport: neither would go by itself

    def pause_writing(self) -> None:
        """The peer takes bytes slower than they come."""
        if self._established:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """The peer takes bytes again."""
        if self._established:
            self._inner.resume_writing()

    # --- handshake ----------------------------------------------------------------------------------------------

    def _greeted(self, data: memoryview) -> None:
        """Bytes of a handshake."""
        self._incoming.write(data)
        self._shake()

    def _shake(self) -> None:
        """One step of the handshake with what has come."""
        assert self._object is not None
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._counters[f"{self._side}-handshake-failed"] += 1
            self._flush()  # the alert
            self._shut = True
            self._refused(error)
            self._transport.close()
            return
        self._end_handshake()
        if not self._settled():
            return
        self._established = True
        self._inner.connection_made(cast(asyncio.Transport, self))
        if self._incoming.pending:
            self._deliver(RECORD)

    def _end_handshake(self) -> None:
        """Send what is still to be said of the handshake, or have it wait for what is sent first (``_held``)."""
        self._flush()

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
                size = RECORD
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self._counters[f"{self._side}-broken"] += 1
            self._transport.abort()
            return
        if self._outgoing.pending > self._held:
            self._flush()

    def _ended(self) -> None:
        """close_notify: the peer sends no more, and may still read."""
        if not self._inner.eof_received():
            self.close()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._held = 0
            self._transport.write(self._outgoing.read())
            if self._transport.get_write_buffer_size() > UNTAKEN_LIMIT:
                self._counters[f"{self._side}-untaken"] += 1
                self.abort()

    def _read_again(self) -> None:
        if self._reading and not self._shut and not self._transport.is_closing():
            self._deliver(RECORD)

    def _say_goodbye(self) -> None:
        if self._object is None or self._shut:
            return
        self._shut = True
        with suppress(ssl.SSLError):  # the peer's own goodbye is not waited for
            self._object.unwrap()
        if not self._transport.is_closing():
            self._flush()

    # --- transport, for the connection above --------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Encrypt and send."""
        if self._shut or not data:
            return
        tls = self._object
        assert tls is not None
        self._held = 0
        try:
            if len(data) > PIECE:
                self._transport.writelines(self._encrypted(tls, memoryview(data)))
                return
            tls.write(data)
        except ssl.SSLError:
            self._transport.abort()
            return
        self._transport.write(self._outgoing.read())

    def write_last(self, data: bytes) -> None:
        """Encrypt and send, together with close_notify: nothing may follow but the end. One write less than apart, and
        one look less of the peer."""
        if self._shut or len(data) > PIECE:
            self.write(data)
            return
        tls = self._object
        assert tls is not None
        self._shut = True
        self._held = 0
        try:
            tls.write(data)
            with suppress(ssl.SSLError):  # the peer's own goodbye is not waited for
                tls.unwrap()
        except ssl.SSLError:
            self._transport.abort()
            return
        self._transport.write(self._outgoing.read())

    def _encrypted(self, tls: ssl.SSLObject | AskedConnection, data: memoryview) -> list[bytes]:
        """Many records, made a few at a time. Raises SSLError."""
        records = []
        for at in range(0, len(data), PIECE):
            tls.write(data[at : at + PIECE])
            records.append(self._outgoing.read())
        return records

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
        """Take no more from the peer."""
        self._reading = False
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take more; what was decrypted or received before comes first."""
        self._reading = True
        self._transport.resume_reading()
        if self._established:
            self._loop.call_soon(self._read_again)

    def get_write_buffer_size(self) -> int:
        """Bytes that the peer has not taken yet."""
        return self._transport.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the event loop knows of the connection, and ``ssl_object``."""
        return self._object if name == "ssl_object" else self._transport.get_extra_info(name, default)
