"""A connection to an endpoint: sends what an exchange gives it, reads responses strictly, one at a time.

Owns the framing of responses and when the connection may be used again. Must not know clients: what comes goes to the
exchange it works for. Whatever an endpoint sends that was not asked for ends the connection.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from services.edge.core.beginnings import Beginnings
from services.edge.core.chunked import ChunkedDecoder, FramingError
from services.edge.core.familiar_responses import familiar_response, read_on
from services.edge.core.response_head import (
    CHUNKED,
    UNTIL_CLOSE,
    BadResponseError,
    ResponseHead,
    ResponseReader,
    read_whole,
)
from services.edge.deadlines import NEVER, Deadlines, Timed
from services.edge.narrow import Narrow

if TYPE_CHECKING:
    from services.edge.exchange import Exchange
    from services.edge.pools import EndpointPool, Pools

INTERIMS_AT_MOST: Final = 32
"""Interim responses (1xx) before the final one."""

TRIED_AGAIN: Final = 16
"""A head is kept for comparing if the one before it came again, and else once in so many."""

_HEAD, _LENGTH, _CHUNKS, _CLOSE, _TUNNEL = range(5)


class UpstreamConnection(asyncio.Protocol):
    """See the module. ``exchange`` is None while the connection is idle; ``requests`` counts what it has carried;
    ``congested``: the endpoint does not take what is written."""

    __slots__ = (
        "_beginnings",
        "_decoder",
        "_interim_of",
        "_interims",
        "_left",
        "_memo",
        "_narrow",
        "_persistent",
        "_pools",
        "_reader",
        "_repeats",
        "_state",
        "_usual",
        "_watched",
        "congested",
        "deadline",
        "exchange",
        "made_at",
        "pool",
        "read_timeout",
        "requests",
        "transport",
    )

    def __init__(self, pool: EndpointPool, pools: Pools, deadlines: Deadlines) -> None:
        self.pool = pool
        self._pools = pools
        self.exchange: Exchange | None = None
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.made_at = 0.0
        self.deadline = NEVER
        self.requests = 0
        self.read_timeout = 60.0
        self._watched: set[Timed] = deadlines.watch(self)
        self._state = _HEAD
        self._left = 0
        self._interim_of = self._interims = 0
        self._decoder: ChunkedDecoder | None = None
        self._reader: ResponseReader | None = None
        self._memo: ResponseHead | None = None
        self._beginnings = Beginnings(familiar_response)
        self._repeats = False
        self._usual = True
        self._persistent = False
        self._narrow = False
        self.congested = False

    # --- from the event loop ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The endpoint took the connection."""
        self.transport = cast(asyncio.Transport, transport)
        self.pool.open += 1

    def data_received(self, data: bytes) -> None:
        """Bytes of a response, or of nothing that was asked for."""
        exchange = self.exchange
        if exchange is None:
            self.drop()
        elif self._state != _HEAD:
            self._body(exchange, data)
        else:
            head = self._memo
            if head is not None and self._reader is None and data.startswith(head.block):
                self._repeats = True
            else:
                head = self._read_head(exchange, data)
                if head is None:
                    return
            end = len(head.block)
            if head.status < 200:
                self._interim(exchange, head, data[end:])
            elif head.length == len(data) - end and not exchange.bodiless:
                now = monotonic()
                if head.persistent and exchange.request_sent:
                    self.exchange = None
                    self._pools.keep(self, now)
                else:
                    self.drop()
                exchange.answered(head, data[end:], True, now)
            else:
                self._begin(exchange, head, data[end:])

    def eof_received(self) -> bool | None:
        """The endpoint sends no more: the end of a body without length, otherwise of the connection."""
        exchange = self.exchange
        if exchange is None:
            self.drop()  # at once: the next request may come in this turn of the loop
        elif self._state in (_CLOSE, _TUNNEL):
            self.exchange = None
            exchange.ended(monotonic())
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self.pool.open -= 1
        self._watched.discard(self)
        self._pools.left(self)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            if self._state == _CLOSE and error is None:
                exchange.ended(monotonic())
            else:
                exchange.broken("reset", answered=self._state != _HEAD or self._reader is not None)

    def pause_writing(self) -> None:
        """The endpoint takes bytes slower than the client sends them."""
        self.congested = True
        if self.exchange is not None:
            self.exchange.pause_client()

    def resume_writing(self) -> None:
        """The endpoint takes bytes again."""
        self.congested = False
        if self.exchange is not None:
            self.exchange.resume_client()

    def expire(self, now: float) -> None:
        """Nothing came for too long: an idle connection ends, an exchange is told."""
        if self.exchange is not None and self.exchange.is_still_taken(self, now):
            return
        exchange, self.exchange = self.exchange, None
        answered = self._state != _HEAD
        self.drop()
        if exchange is not None:
            exchange.broken("timeout", answered=answered)

    # --- from the exchange --------------------------------------------------------------------------------------

    def drop(self) -> None:
        """End the connection at once; whoever worked with it is not told."""
        self.exchange = None
        self.deadline = NEVER
        self._watched.discard(self)
        self._pools.left(self)
        if self.transport is not None:
            self.transport.abort()

    def untaken(self) -> int:
        """Bytes of the request that are not written yet."""
        return self.transport.get_write_buffer_size()

    def narrow(self) -> None:
        """Read in small pieces until the response is whole; to be called while nothing is read. Over TLS a record is
        all that is opened at a time, and FastCGI has records, too."""
        layered = self.pool.transport.tls is not None or self.pool.transport.fastcgi
        if not self._narrow and self._state != _HEAD and not layered:
            self._narrow = True
            self.transport.set_protocol(Narrow(self))

    def _widen(self, reading: bool) -> None:
        """Read as ever; ``reading``: that goes on at present."""
        self._narrow = False
        if reading:  # the event loop looks for whom it reads when reading begins
            self.transport.pause_reading()
        self.transport.set_protocol(self)
        self.transport.resume_reading()

    # --- responses ----------------------------------------------------------------------------------------------

    def _read_head(self, exchange: Exchange, data: bytes) -> ResponseHead | None:
        """The head that ``data`` begins with; None: the rest of what is to be done was done."""
        if self._reader is None:
            known = self._beginnings.known
            head = None if known is None else read_on(known, data)
            if head is None:
                try:
                    head = read_whole(data, self._usual)
                except BadResponseError as error:
                    self._fail(str(error))
                    return None
                if head is not None:
                    self._usual = head.length >= 0 and not head.security_line
                    before = self._memo
                    self._beginnings.missed(head.block, b"" if before is None else before.block, self.requests)
            if head is not None:
                # bytes that are compared in vain, and only then freed, cost more than they look: they left the caches
                self._memo = head if self._repeats or self.requests % TRIED_AGAIN == 1 else None
                self._repeats = False
                return head
        self._slow_head(exchange, data)
        return None

    def _slow_head(self, exchange: Exchange, data: bytes) -> None:
        """A head in pieces, or one that is not well formed."""
        reader = self._reader
        if reader is None:
            reader = self._reader = ResponseReader(exchange.head_limit)
        try:
            read = reader.feed(data)
        except BadResponseError as error:
            self._fail(str(error))
            return
        if read is None:
            return
        self._reader = None
        head, rest = read
        if head.status < 200:
            self._interim(exchange, head, rest)
        else:
            self._begin(exchange, head, rest)

    def _interim(self, exchange: Exchange, head: ResponseHead, rest: bytes) -> None:
        """1xx: 101 opens a tunnel if one was asked for, the others are for us alone."""
        if head.status == 101:
            if not exchange.wants_upgrade or not exchange.request_sent or not head.upgrade:
                self._fail("upgrade that nobody asked for, to nothing, or before the request was whole")
                return
            self._state = _TUNNEL
            self.deadline = monotonic() + self.read_timeout
            exchange.upgraded(head, rest)
            return
        if self._interim_of != self.requests:
            self._interim_of = self.requests
            self._interims = 0
        self._interims += 1
        if self._interims > INTERIMS_AT_MOST:
            self._fail("interim responses without end")
        elif rest:
            self.data_received(rest)

    def _begin(self, exchange: Exchange, head: ResponseHead, rest: bytes) -> None:
        """A final response whose body is not all there, or has to be told from what follows it."""
        now = monotonic()
        length = 0 if exchange.bodiless else head.length
        self.deadline = now + self.read_timeout
        self._persistent = head.persistent
        if length >= 0:
            if len(rest) >= length:
                self._release(head.persistent and len(rest) == length, now)
                exchange.answered(head, rest[:length], True, now)
                return
            self._state = _LENGTH
            self._left = length - len(rest)
        elif length == CHUNKED:
            self._state = _CHUNKS
            self._decoder = ChunkedDecoder()
            if rest:
                self._first_chunks(exchange, head, rest, now)
                return
        elif length == UNTIL_CLOSE:
            self._state = _CLOSE
        exchange.answered(head, rest, False, now)

    def _first_chunks(self, exchange: Exchange, head: ResponseHead, rest: bytes, now: float) -> None:
        decoder = self._decoder
        assert decoder is not None
        try:
            payload = decoder.feed(rest)
        except FramingError as error:
            self._fail(str(error))
            return
        if decoder.done:
            self._release(head.persistent and not decoder.rest, now)
        exchange.answered(head, payload, decoder.done, now)

    def _body(self, exchange: Exchange, data: bytes) -> None:
        now = monotonic()
        self.deadline = now + self.read_timeout
        state = self._state
        if state == _LENGTH:
            left = self._left - len(data)
            if left > 0:
                self._left = left
                exchange.body(data)
            else:
                exchange.body(data if left == 0 else data[:left])
                if self.exchange is exchange:  # else it broke off with these bytes
                    self._release(self._persistent and left == 0, now)
                    exchange.ended(now)
        elif state == _CHUNKS:
            self._chunks(exchange, data, now)
        else:
            exchange.body(data)

    def _chunks(self, exchange: Exchange, data: bytes, now: float) -> None:
        decoder = self._decoder
        assert decoder is not None
        try:
            payload = decoder.feed(data)
        except FramingError as error:
            self._fail(str(error))
            return
        if payload:
            exchange.body(payload)
        if decoder.done and self.exchange is exchange:
            self._release(self._persistent and not decoder.rest, now)
            exchange.ended(now)

    def _release(self, persistent: bool, now: float) -> None:
        """The response is whole: the connection goes back to its pool, or ends.

        Only after its last bytes were handed on: a client that takes no more stops the reading of this connection.
        """
        exchange = self.exchange
        self.exchange = None
        self._state = _HEAD
        self._decoder = None
        if persistent and exchange is not None and exchange.request_sent:
            if self._narrow:
                self._widen(not exchange.paused_upstream)
            elif exchange.paused_upstream:
                self.transport.resume_reading()
            self._pools.keep(self, now)
        else:
            self.drop()

    def _fail(self, reason: str) -> None:
        exchange, self.exchange = self.exchange, None
        answered = self._state != _HEAD
        self.drop()
        if exchange is not None:
            exchange.broken(reason, answered=answered, invalid=True)
