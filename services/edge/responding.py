"""Responses over HTTP/1.1: written in the order of their requests, framed as the client and its connection need it.

Owns the framing of a response and what follows its end. Must not know how requests are read: ``services.edge.client``
adds that.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, cast

from services.edge.buffering import Upload
from services.edge.connection import BODY, IDLE, NEXT, TUNNEL, WAIT
from services.edge.core.chunked import LAST, frame
from services.edge.core.http2.events import Fields
from services.edge.core.outgoing import Wish, client_head
from services.edge.core.response_head import ResponseHead
from services.edge.deadlines import NEVER
from services.edge.exchange import Exchange
from services.edge.own_answers import Answering

if TYPE_CHECKING:
    from services.edge.listener import Listener
    from services.edge.records import Records


class Responding(Answering):
    """See the module (clients.Client). ``_owes``: something is to be done when the response is complete: its last chunk
    is to be written (``_chunked_out``), or the body of its request is kept still (``_upload``)."""

    __slots__ = ("_chunked_out", "_owes", "_upload")

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener, Exchange(listener.serving, self))
        self._chunked_out = False
        self._owes = False
        self._upload: Upload | None = None
        self._policing = None

    def respond(self, head: ResponseHead, body: bytes, complete: bool) -> int:
        """Write the head, changed as far as it must be, and what there is of the body."""
        if self._ending and head.ready and self._persistent and self._state == WAIT:
            self._responding = True
            if head.security_line and self._plain:
                data = b"".join((head.passed, head.security_line, self._ending, body))
            else:
                data = b"".join((head.passed, self._ending, body))
            self.transport.write(data)
            length = len(data)
            self._exchange.head_sent = length - len(body)
            return length
        return self._respond(head, body, complete)

    def _respond(self, head: ResponseHead, body: bytes, complete: bool) -> int:
        exchange = self._exchange
        generation = self._generation
        assert generation is not None
        self._responding = True
        if self._state == BODY:  # answered before the request was read: what is still to come cannot be told apart
            self._persistent = False
        wish = Wish(
            exchange.minor,
            exchange.bodiless,
            complete,
            self._persistent,
            generation.security_line if self._facts.tls else b"",
            generation.naming,
        )
        written = client_head(head, wish, len(body), self._serving.date())
        self._persistent = written.persistent
        if written.chunked:
            self._chunked_out = self._owes = True
        exchange.head_sent = len(written.data)
        data = written.data + (frame(body) if written.chunked and body else body)
        if complete and not written.persistent and not written.chunked and self._listener.tls:
            cast("Records", self.transport).write_last(data)
        else:
            self.transport.write(data)
        return len(data)

    def body(self, data: bytes) -> int:
        """More of the body, framed as the head said."""
        if self._chunked_out:
            data = frame(data)
        self.transport.write(data)
        return len(data)

    def trailers(self, fields: Fields) -> None:
        """Dropped: hardly any client of HTTP/1.1 reads them, and some take them for headers."""

    def finish(self, now: float) -> None:
        """The response is complete: put it down, and go on to the next request or the end."""
        if self._owes:
            if self._chunked_out:
                self.transport.write(LAST)
                self._exchange.sent += len(LAST)
            self._let_go()
            self._read(True)  # it may have been stopped for a body that waited, and then was not wanted
        self._exchange.record(now)
        if self._persistent and not self._half_closed and not self._congested:
            generation = self._generation
            self.deadline = now + (generation.rests_after if generation is not None else 0.0)
            if self._pending:
                self._state = NEXT
                self._serving.loop.call_soon(self._next)
            else:
                self._state = IDLE
        else:
            self._go_on()

    def tunnel(self, head: ResponseHead, rest: bytes) -> int:
        """Pass on 101; from now on bytes go both ways as they come."""
        self._responding = True
        self._persistent = False
        self._state = TUNNEL
        self.deadline = NEVER
        data = b"%bConnection: upgrade\r\nUpgrade: %b\r\n\r\n%b" % (head.passed, head.upgrade, rest)
        self._exchange.head_sent = len(data) - len(rest)
        self.transport.write(data)
        self._forget()
        self._read(True)
        if self._pending:
            pending, self._pending = self._pending, b""
            self._exchange.send_raw(pending)
        return len(data)

    def request_may_flow(self, flows: bool) -> None:
        """Back-pressure of the endpoint on the request's body."""
        if self._state in (BODY, TUNNEL):
            self._read(flows)
            upload = self._upload if self._state == BODY else None
            self.deadline = NEVER if upload is None or not flows else monotonic() + upload.pause

    def _let_go(self) -> None:
        """The request is over, however it ended."""
        self._chunked_out = self._owes = False
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.close()
        policing, self._policing = self._policing, None
        if policing is not None:
            policing.close()
