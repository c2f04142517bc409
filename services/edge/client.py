"""A client's connection speaking HTTP/1.1: reads requests strictly, one at a time, and writes their responses in order.

Owns the reading of requests, the framing towards the client and the life of the connection (keep-alive, pipelining,
half-close, lingering end). Must not know endpoints. It is handed a transport by the event loop, or by
``services.edge.tls``, and cannot tell which.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from services.edge.core import grammar, pages
from services.edge.core.chunked import LAST, FramingError, frame
from services.edge.core.forwarded import NOT_TOLD, client_facts, tell
from services.edge.core.outgoing import Wish, client_head, middle, opening
from services.edge.core.plan import (
    BODY_LIMIT,
    NO_LABELS,
    Forward,
    HostPlan,
    Question,
    Redirect,
    Respond,
    RouteLabels,
    plan,
)
from services.edge.core.request_body import RequestBody
from services.edge.core.request_head import (
    CHUNKED,
    NOT_FORWARDED,
    HeadReader,
    RefusedError,
    RequestHeaders,
    read_headers,
)
from services.edge.core.response_head import ResponseHead
from services.edge.deadlines import NEVER, Timed
from services.edge.exchange import Exchange

if TYPE_CHECKING:
    from services.edge.core.generation import Generation
    from services.edge.listener import Listener

HEAD_TIME: Final = 10.0
"""Seconds for a whole head, from its first byte (a drip of bytes does not extend it)."""
FIRST_TIME: Final = 60.0
"""Seconds until the first byte of the first request (nginx: client_header_timeout)."""
BODY_TIME: Final = 60.0
"""Seconds between two reads of a body (nginx: client_body_timeout)."""
SEND_TIME: Final = 60.0
"""Seconds that a client may take none of the bytes sent to it (nginx: send_timeout)."""
LINGER_TIME: Final = 2.0
"""Seconds to read on after a refused request, so that the client gets to read the answer."""
HALF_CLOSED_TIME: Final = 1.0
"""Seconds without progress after which a client that sends no more is taken to have left."""
PIPELINE_LIMIT: Final = 64 * 1024
"""Bytes of further requests that are read ahead."""

_FIRST, _IDLE, _HEAD, _BODY, _WAIT, _TUNNEL, _LINGER, _CLOSED = range(8)

_match_line: Final = grammar.request_line
_match_block: Final = grammar.plain_block
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class ClientConnection(asyncio.Protocol):
    """See the module."""

    __slots__ = (
        "_body",
        "_chunked_out",
        "_exchange",
        "_facts",
        "_generation",
        "_half_closed",
        "_headers",
        "_host",
        "_lingers",
        "_listener",
        "_middle",
        "_opening",
        "_pending",
        "_persistent",
        "_plain",
        "_progress",
        "_question",
        "_reader",
        "_reading",
        "_requests",
        "_responding",
        "_serving",
        "_simple_end",
        "_state",
        "_told",
        "_traffic",
        "_watched",
        "deadline",
        "transport",
    )

    def __init__(self, listener: Listener) -> None:
        serving = listener.serving
        self._listener = listener
        self._serving = serving
        self._traffic = serving.traffic
        self._exchange = Exchange(serving, self)
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._state = _FIRST
        self._pending = b""
        self._reader: HeadReader | None = None
        self._body: RequestBody | None = None
        self._requests = 0
        self._reading = True
        self._half_closed = False
        self._progress = 0
        self._persistent = True
        self._responding = False
        self._chunked_out = False
        self._lingers = False
        self._plain = False
        self._simple_end = b""
        self._generation: Generation | None = None
        self._headers: RequestHeaders | None = None
        self._opening = b""
        self._middle = b""
        self._told = NOT_TOLD
        self._host: HostPlan
        self._question: Question
        self.deadline = NEVER

    # --- from the event loop ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._facts = client_facts(str(peer[0]) if peer else "", self._listener.port, self._listener.tls)
        self._exchange.address = self._facts.address
        self._watched: set[Timed] = self._serving.deadlines.watch(self)
        self.deadline = monotonic() + FIRST_TIME
        self._listener.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of a head, a body, further requests, or a tunnel."""
        if self._state > _IDLE:
            self._receive_more(data)
            return
        line = _match_line(data)
        if line is None or len(data) > grammar.LINE_LIMIT:
            self._receive_head(data)
            return
        at = line.end()
        headers = self._headers
        block = data[at:]
        generation = self._serving.generation
        if headers is None or block != headers.block or generation is not self._generation or line[3] != b"1":
            match = _match_block(data, at)
            if match is None:
                self._receive_head(data)
                return
            block = match[0]
            minor = 1 if line[3] == b"1" else 0
            try:
                headers = read_headers(block, minor)
            except RefusedError as refused:
                self._refuse(refused)
                return
            self._remember(headers)
            rest = data[match.end() :] if match.end() < len(data) else b""
        else:
            rest = b""
        self._request(line[1], line[2], headers, rest, len(block) + at)

    def eof_received(self) -> bool:
        """The client sends no more; it may still read."""
        self._half_closed = True
        state = self._state
        if state == _WAIT:
            self._progress = -1
            self.deadline = monotonic() + HALF_CLOSED_TIME
            return True
        if state == _IDLE and self._pending:
            return True
        if state in (_BODY, _TUNNEL):
            self._leave()
        else:
            self._end()
        return False

    def connection_lost(self, _error: Exception | None) -> None:
        """The client is gone."""
        if self._state in (_BODY, _WAIT, _TUNNEL):
            self._abandon()
        self._state = _CLOSED
        self._watched.discard(self)
        self._listener.connections.discard(self)

    def pause_writing(self) -> None:
        """The client takes bytes slower than they come."""
        if self._state != _CLOSED:
            self._exchange.pause_upstream()
            self.deadline = monotonic() + SEND_TIME

    def resume_writing(self) -> None:
        """The client takes bytes again."""
        if self._state != _CLOSED:
            self.deadline = NEVER
            self._exchange.resume_upstream()

    def expire(self, now: float) -> None:
        """Something took too long; what, the state tells."""
        state = self._state
        if state == _HEAD:
            self._refuse(RefusedError(408, "head-timeout"))
        elif state == _BODY and not self._reading:
            self.deadline = NEVER  # the endpoint is slow, which its own deadline judges
        elif state == _BODY:
            self._refuse_body(RefusedError(408, "body-timeout"))
        elif state == _WAIT and self._half_closed and self._progress != self._exchange.sent:
            self._progress = self._exchange.sent
            self.deadline = now + HALF_CLOSED_TIME
        elif state in (_WAIT, _TUNNEL):
            if state == _WAIT and not self._half_closed and not self.transport.get_write_buffer_size():
                self.deadline = NEVER
                return
            self._leave()
        else:
            self._end()

    # --- requests -----------------------------------------------------------------------------------------------

    def _receive_more(self, data: bytes) -> None:
        state = self._state
        if state == _BODY:
            self._receive_body(data)
        elif state == _HEAD:
            self._receive_head(data)
        elif state == _WAIT:
            self._pending += data
            if len(self._pending) > PIPELINE_LIMIT:
                self._read(False)
        elif state == _TUNNEL:
            self._exchange.send_raw(data)

    def _receive_head(self, data: bytes) -> None:
        """A head in pieces, or in a form that is rare."""
        reader = self._reader
        if reader is None:
            reader = self._reader = HeadReader()
            self._state = _HEAD
            self.deadline = monotonic() + HEAD_TIME
        try:
            read = reader.feed(data)
        except RefusedError as refused:
            self._refuse(refused)
            return
        if read is None:
            return
        self._reader = None
        head, rest = read
        self._remember(head.headers)
        self._headers = None
        self._request(head.line.method, head.line.target, head.headers, rest, head.end)

    def _remember(self, headers: RequestHeaders) -> None:
        """Work out what goes to the endpoint for these headers; the next request often repeats them byte for byte."""
        generation = self._serving.generation
        before = self._headers
        self._headers = headers if headers.length == 0 and headers.minor == 1 else None
        if generation is None:
            self._generation = None
            return
        if (
            before is None
            or generation is not self._generation
            or before.authority != headers.authority
            or headers.forwarded is not NOT_FORWARDED
            or before.forwarded is not NOT_FORWARDED
            or self._headers is None
        ):
            self._meet(headers, generation)
        self._middle = middle(self._opening, headers)

    def _meet(self, headers: RequestHeaders, generation: Generation) -> None:
        """What follows from the client, the Host and the generation, whatever else the request says."""
        self._generation = generation
        told = self._told = tell(self._facts, headers, generation.trust)
        self._opening = opening(told)
        self._host = generation.host(headers.host)
        self._question = Question(told.authority, told.https, self._facts.tls, headers.length)
        self._exchange.address = told.client
        self._simple_end = b""
        if headers.minor == 1 and not generation.settings.server_tokens:
            self._plain = not self._facts.tls or not generation.security_line
            self._simple_end = b"\r\n" if self._plain else generation.security_line + b"\r\n"

    def _request(self, method: bytes, target: bytes, headers: RequestHeaders, rest: bytes, size: int) -> None:
        generation = self._generation
        now = monotonic()
        exchange = self._exchange
        exchange.started = now
        exchange.method = method
        exchange.target = target
        exchange.minor = headers.minor
        exchange.block = headers.block
        exchange.received = size
        exchange.bodiless = method == b"HEAD"
        self._requests += 1
        self._responding = self._lingers = False
        if generation is None:
            self._persistent = False
            self._local(503, NO_LABELS)
            return
        self._persistent = headers.persistent and not self._listener.draining
        if self._requests >= generation.settings.keep_alive_requests:
            self._persistent = False
        decision = plan(self._host, target, self._question)
        if not isinstance(decision, Forward):
            self._decide(decision, headers, rest)
            return
        exchange.request_id = request_id = headers.request_id or self._serving.ids.take()
        exchange.wants_upgrade = bool(headers.upgrade)
        head = b"".join(
            (
                method,
                b" ",
                decision.target or target,
                self._middle,
                b"\r\n\r\n" if headers.request_id else request_id + b"\r\n\r\n",
            )
        )
        if headers.length == 0:
            self._state = _WAIT
            self._pending = rest
            exchange.begin(decision, generation, head, True)
        else:
            self._request_with_body(decision, generation, headers, head, rest)

    def _request_with_body(
        self, decision: Forward, generation: Generation, headers: RequestHeaders, head: bytes, rest: bytes
    ) -> None:
        exchange = self._exchange
        self._state = _BODY
        self.deadline = exchange.started + BODY_TIME
        body = self._body = RequestBody(headers.length)
        if headers.body_expected and not rest:
            self.transport.write(_CONTINUE)
        data, last = self._take(body, rest) if rest else (b"", False)
        if data is not None:
            exchange.begin(decision, generation, head + data, last)

    def _receive_body(self, data: bytes) -> None:
        self.deadline = monotonic() + BODY_TIME
        body = self._body
        assert body is not None
        framed, last = self._take(body, data)
        if framed:
            self._exchange.send_body(framed, last)

    def _take(self, body: RequestBody, data: bytes) -> tuple[bytes | None, bool]:
        """(what goes to the endpoint, whether that was the end); None: the request was refused."""
        before = body.received
        try:
            framed, last = body.take(data)
        except FramingError:
            self._refuse_body(RefusedError(400, "chunk"))
            return None, False
        self._exchange.received += body.received - before
        if body.chunked and body.received > BODY_LIMIT:
            self._refuse_body(RefusedError(413, "body-too-large"))
            return None, False
        if last:
            self._state = _WAIT
            self.deadline = NEVER
            self._pending = body.rest
            self._body = None
        return framed, last

    def _refuse_body(self, refused: RefusedError) -> None:
        self._exchange.abort()
        if self._responding:
            self._leave()
        else:
            self._refuse(refused)

    # --- answers of the edge itself -----------------------------------------------------------------------------

    def _decide(self, decision: Redirect | Respond, headers: RequestHeaders, rest: bytes) -> None:
        """A redirect or a page. A body that has not come whole is not waited for: the connection ends."""
        self._exchange.request_id = headers.request_id or self._serving.ids.take()
        if headers.length > len(rest) or headers.length == CHUNKED or decision.status == 400:
            self._persistent = False
            self._lingers = True
        else:
            self._pending = rest[headers.length :]
        if isinstance(decision, Redirect):
            self._local(decision.status, decision.labels, decision.location)
        else:
            self._local(decision.status, decision.labels)

    def _local(self, status: int, labels: RouteLabels, location: bytes = b"") -> None:
        """Answer without having asked anybody."""
        exchange = self._exchange
        exchange.labels = labels
        exchange.endpoint = ""
        exchange.connected_at = exchange.answered_at = 0.0
        exchange.upstream_status = exchange.upstream_length = 0
        self._state = _WAIT
        self._answer(status, location)

    def _answer(self, status: int, location: bytes = b"") -> None:
        exchange = self._exchange
        generation = self._generation
        lines = b""
        if generation is not None:
            lines = generation.security_line if self._facts.tls else b""
            if generation.settings.server_tokens:
                lines += b"Server: limen\r\n"
        answer = pages.page(
            status,
            location=location,
            lines=lines,
            date=self._serving.date(),
            persistent=self._persistent,
            bare=exchange.bodiless,
        )
        exchange.status = status
        exchange.sent = len(answer)
        self.transport.write(answer)
        self.finish(monotonic())

    def _refuse(self, refused: RefusedError) -> None:
        """Answer what was not understood, or came too slowly, and end the connection."""
        self._traffic.counters[f"refused-{refused.reason}"] += 1
        exchange = self._exchange
        if self._state < _BODY:
            exchange.started = monotonic()
            exchange.method = exchange.target = exchange.block = b""
            exchange.request_id = self._serving.ids.take()
            exchange.received = 0
            exchange.bodiless = False
        self._persistent = False
        self._reader = None
        self._lingers = True
        self._local(refused.status, NO_LABELS)

    # --- responses (Client) -------------------------------------------------------------------------------------

    def respond(self, head: ResponseHead, body: bytes, complete: bool) -> int:
        """Write the head, changed as far as it must be, and what there is of the body."""
        if self._simple_end and head.begun and self._persistent and self._state == _WAIT:
            self._responding = True
            data = head.ready + body if self._plain else b"".join((head.begun, self._simple_end, body))
            self.transport.write(data)
            return len(data)
        return self._respond(head, body, complete)

    def _respond(self, head: ResponseHead, body: bytes, complete: bool) -> int:
        exchange = self._exchange
        generation = self._generation
        assert generation is not None
        self._responding = True
        if self._state == _BODY:  # answered before the request was read: what is still to come cannot be told apart
            self._persistent = False
        wish = Wish(
            exchange.minor,
            exchange.bodiless,
            complete,
            self._persistent,
            generation.security_line if self._facts.tls else b"",
            generation.settings.server_tokens,
        )
        written = client_head(head, wish, len(body), self._serving.date())
        self._persistent = written.persistent
        self._chunked_out = written.chunked
        data = written.data + (frame(body) if written.chunked and body else body)
        self.transport.write(data)
        return len(data)

    def body(self, data: bytes) -> int:
        """More of the body, framed as the head said."""
        if self._chunked_out:
            data = frame(data)
        self.transport.write(data)
        return len(data)

    def finish(self, now: float) -> None:
        """The response is complete: count it, and wait for the next request."""
        if self._chunked_out:
            self._chunked_out = False
            self.transport.write(LAST)
        self._exchange.record(now)
        if self._persistent and not self._half_closed:
            self._state = _IDLE
            self.deadline = now + (self._generation.settings.keep_alive if self._generation is not None else 0.0)
            if self._pending:
                self._serving.loop.call_soon(self._next)
        elif self._lingers or self._state == _BODY:
            self._body = None
            self._linger()
        elif self._persistent and self._pending:
            self._state = _IDLE
            self._serving.loop.call_soon(self._next)
        else:
            self._end()

    def _next(self) -> None:
        """Read the request that came ahead."""
        if self._state != _IDLE:
            return
        data, self._pending = self._pending, b""
        self._read(True)
        if data:
            self.data_received(data)
        if self._half_closed and (self._state == _HEAD or (self._state == _IDLE and not self._pending)):
            self._end()

    def fail(self, status: int) -> None:
        """No endpoint answered."""
        if self._state == _BODY:
            self._persistent = False
            self._lingers = True
            self._state = _WAIT
        if self._exchange.endpoint:
            self._exchange.upstream_status = status
        self._answer(status)

    def cut(self) -> None:
        """The response broke off: so does the connection."""
        self._exchange.record(monotonic())
        self._state = _CLOSED
        self.transport.abort()

    def tunnel(self, head: ResponseHead, rest: bytes) -> int:
        """Pass on 101; from now on bytes go both ways as they come."""
        self._responding = True
        self._persistent = False
        self._state = _TUNNEL
        data = b"%bConnection: upgrade\r\nUpgrade: %b\r\n\r\n%b" % (head.passed, head.upgrade, rest)
        self.transport.write(data)
        self._read(True)
        if self._pending:
            pending, self._pending = self._pending, b""
            self._exchange.send_raw(pending)
        return len(data)

    def request_may_flow(self, flows: bool) -> None:
        """Back-pressure of the endpoint on the request's body."""
        if self._state in (_BODY, _TUNNEL):
            self._read(flows)
            self.deadline = monotonic() + BODY_TIME if flows else NEVER

    # --- the end ------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """End when nothing is under way; a response under way is the last."""
        if self._state in (_FIRST, _IDLE):
            self._end()
        else:
            self._persistent = False

    def _read(self, flows: bool) -> None:
        if flows is not self._reading and not self.transport.is_closing():
            self._reading = flows
            if flows:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def _end(self) -> None:
        self._state = _CLOSED
        self.deadline = monotonic() + SEND_TIME
        self.transport.close()

    def _linger(self) -> None:
        """Send what is written, then read on a little: bytes unread at a close would destroy the answer on its way."""
        self._state = _LINGER
        self.deadline = monotonic() + LINGER_TIME
        self._pending = b""
        self._read(True)
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _leave(self) -> None:
        """The client has left, or takes nothing any more."""
        self._abandon()
        self._state = _CLOSED
        self.transport.abort()

    def _abandon(self) -> None:
        exchange = self._exchange
        exchange.abort()
        if self._state != _TUNNEL:
            self._traffic.counters["client-aborted"] += 1
            if not self._responding:
                exchange.status = 499
                exchange.sent = 0
        self._exchange.record(monotonic())
