"""A client's connection speaking HTTP/1.1: reads requests strictly, one at a time.

Owns the reading of requests; the writing of responses, and how the connection lives and ends, is its bases'. Must not
know endpoints. It is handed a transport by the event loop, or by ``services.edge.tls``, and cannot tell which.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final

from services.edge.buffering import Upload
from services.edge.connection import BODY, HEAD, IDLE, LINGER, NEXT, PIPELINE_LIMIT, STALLED, TUNNEL, WAIT
from services.edge.core import grammar
from services.edge.core.beginnings import Beginnings
from services.edge.core.chunked import FramingError
from services.edge.core.familiar_requests import familiar_request, read_on
from services.edge.core.generation import HEAD_TIME
from services.edge.core.plan import NO_LABELS, Forward, Policed, plan
from services.edge.core.prepared import Prepared, Repeated, Standing, prepare
from services.edge.core.request_body import RequestBody
from services.edge.core.request_head import NOT_FORWARDED, USUAL_LIMITS, RefusedError, RequestHeaders, read_block
from services.edge.core.whole_head import HeadReader
from services.edge.deadlines import NEVER
from services.edge.policing import Policing
from services.edge.responding import Responding

if TYPE_CHECKING:
    from services.edge.listener import Listener

TRIED_AGAIN: Final = 16
"""Headers are kept for comparing if those before them came again, and else once in so many requests; whole requests
once in so many of those whose headers came again."""

_match_line: Final = grammar.request_line
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class ClientConnection(Responding):
    """See the module. ``_quick_limit``: what is longer is not read the quick way."""

    __slots__ = (
        "_beginnings",
        "_body",
        "_prepared",
        "_quick_limit",
        "_reader",
        "_repeated",
        "_repeats",
        "_standing",
        "_usual",
    )

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener)
        generation = listener.serving.generation
        limit = grammar.LINE_LIMIT
        self._quick_limit = limit if generation is None else min(limit, generation.head_limits.line)
        self._reader: HeadReader | None = None
        self._body: RequestBody | None = None
        self._prepared: Prepared | None = None
        self._repeated: Repeated | None = None
        self._beginnings = Beginnings(familiar_request)
        self._standing: Standing | None = None
        self._repeats = False
        self._usual = True

    def _rest(self) -> None:
        self._forget()
        self._exchange.rest()

    def _forget(self) -> None:
        self._generation = self._prepared = self._repeated = self._standing = None
        self._beginnings = Beginnings(familiar_request)

    # --- requests -----------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes of a head, a body, further requests, or a tunnel."""
        if self._state > IDLE:
            self._receive_more(data)
            return
        again = self._repeated
        if again is not None and data == again.data and self._serving.generation is again.prepared.standing.generation:
            self._request(again.method, again.target, again.prepared, b"", len(data), again.forward)
            return
        line = _match_line(data)
        if line is None or len(data) > self._quick_limit:
            self._receive_head(data)
            return
        at = line.end()
        prepared = self._prepared
        if (
            prepared is not None
            and len(data) - at == len(prepared.block)
            and data.endswith(prepared.block)
            and self._serving.generation is prepared.standing.generation
            and line[3] == b"1"
        ):
            self._repeats = True
            if self._requests % TRIED_AGAIN == 0:
                self._remember(data, line[1], line[2], prepared)
            self._request(line[1], line[2], prepared, b"", len(data))
            return
        prepared = self._prepare(data, at, 1 if line[3] == b"1" else 0)
        if prepared is not None:
            end = at + len(prepared.headers.block)
            self._request(line[1], line[2], prepared, data[end:], end)

    def _remember(self, data: bytes, method: bytes, target: bytes, prepared: Prepared) -> None:
        """The next request may be the same as a whole: those of clients that ask for one thing again and again are."""
        standing = prepared.standing
        decision = plan(standing.host, target, standing.question, prepared.headers.length)
        self._repeated = Repeated(data, method, target, prepared, decision) if isinstance(decision, Forward) else None

    def _prepare(self, data: bytes, at: int, minor: int) -> Prepared | None:
        """Read the headers that begin at ``at``; None: what is to be done was done."""
        generation = self._serving.generation
        if generation is None:
            self._receive_head(data)
            return None
        known = self._beginnings.known
        headers = read_on(known, data, at) if known is not None and minor == 1 else None
        if headers is None:
            headers = self._read_block(data, at, minor)
            if headers is None:
                return None
        self._repeated = None
        prepared = prepare(self._facts, headers, generation, self._standing)
        self._standing = prepared.standing
        # bytes that are compared in vain, and only then freed, cost more than they look: they left the caches
        self._prepared = prepared if self._repeats or self._requests % TRIED_AGAIN == 0 else None
        self._repeats = False
        return prepared

    def _read_block(self, data: bytes, at: int, minor: int) -> RequestHeaders | None:
        """All of the headers that begin at ``at``; None: what is to be done was done."""
        try:
            headers = read_block(data, at, minor, self._usual)
        except RefusedError as refused:
            self._refuse(refused)
            return None
        if headers is None:
            self._receive_head(data)
            return None
        self._usual = headers.forwarded is NOT_FORWARDED
        before = self._prepared
        self._beginnings.missed(headers.block, b"" if before is None else before.headers.block, self._requests)
        return headers

    def _receive_more(self, data: bytes) -> None:
        state = self._state
        if state == BODY:
            self._receive_body(data)
        elif state == HEAD:
            self._receive_head(data)
        elif state in (WAIT, NEXT, STALLED):
            self._pending += data
            if len(self._pending) > PIPELINE_LIMIT:
                self._read(False)
        elif state == TUNNEL:
            self._exchange.send_raw(data)
        elif state == LINGER:
            self._still_sends()

    def _receive_head(self, data: bytes) -> None:
        """A head in pieces, or in a form that is rare."""
        reader = self._reader
        if reader is None:
            generation = self._serving.generation
            limits, patience = (
                (USUAL_LIMITS, HEAD_TIME) if generation is None else (generation.head_limits, generation.head_time)
            )
            reader = self._reader = HeadReader(limits)
            self._state = HEAD
            self.deadline = monotonic() + patience
        try:
            read = reader.feed(data)
        except RefusedError as refused:
            self._refuse(refused)
            return
        if read is None:
            return
        self._reader = self._prepared = self._repeated = None
        head, rest = read
        generation = self._serving.generation
        if generation is None:
            self._refuse(RefusedError(503, "no-generation"))
            return
        prepared = prepare(self._facts, head.headers, generation, None)
        self._request(head.line.method, head.line.target, prepared, rest, head.end)

    def _request(
        self, method: bytes, target: bytes, prepared: Prepared, rest: bytes, size: int, decided: Forward | None = None
    ) -> None:
        headers = prepared.headers
        standing = prepared.standing
        generation = self._generation = standing.generation
        exchange = self._exchange
        exchange.started = monotonic()
        exchange.method = method
        exchange.target = target
        exchange.minor = headers.minor
        exchange.block = headers.block
        exchange.received = size
        exchange.bodiless = method == b"HEAD"
        exchange.address = standing.address
        exchange.request_id = request_id = headers.request_id or self._serving.ids.take()
        self._ending = standing.ending
        self._plain = standing.plain
        self._responding = self._lingers = False
        self._requests = requests = self._requests + 1
        self._persistent = headers.persistent and requests < generation.requests_at_most and not self._listener.draining
        decision = decided or plan(standing.host, target, standing.question, headers.length)
        if not isinstance(decision, Forward):
            if isinstance(decision, Policed):
                self._police(decision, prepared, rest)
            else:
                self._decide(decision, headers, rest)
            return
        exchange.wants_upgrade = bool(headers.upgrade)
        id_and_end = b"\r\n\r\n" if headers.request_id else request_id + b"\r\n\r\n"
        head = b"".join((method, b" ", decision.target or target, prepared.middle, id_and_end))
        if headers.length == 0:
            self._state = WAIT
            self._pending = rest
            exchange.begin(decision, generation, head, True)
        else:
            self._request_with_body(decision, prepared, head, rest)

    def _police(self, policed: Policed, prepared: Prepared, rest: bytes) -> None:
        """Let its phases look at the request; meanwhile what comes is kept."""
        self._state = WAIT
        self.deadline = NEVER
        self._pending = rest
        self._owes = True
        self._policing = policing = Policing(self._serving, self._exchange, self, policed, prepared, self._facts)
        policing.begin()

    def proceed(self, forward: Forward, prepared: Prepared, head: bytes) -> None:
        """Forward a policed request (policing.Patient)."""
        headers = prepared.headers
        exchange = self._exchange
        exchange.wants_upgrade = bool(headers.upgrade)
        if headers.length == 0:
            exchange.begin(forward, prepared.standing.generation, head, True, monotonic())
            return
        rest, self._pending = self._pending, b""
        self._read(True)
        self._request_with_body(forward, prepared, head, rest)
        if self._half_closed and self._state == BODY:
            self._leave()

    def instead(self, forward: Forward, head: bytes) -> None:
        """Send another request in place of a policed one (policing.Patient)."""
        self._leave_body(0)
        exchange = self._exchange
        exchange.wants_upgrade = False
        assert self._generation is not None
        exchange.begin(forward, self._generation, head, True, monotonic())

    def _leave_body(self, status: int) -> None:
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.close()
        policing = self._policing
        if self._state == BODY:
            self._persistent = False
            self._lingers = True
            self._state = WAIT
            self.deadline = NEVER
        elif upload is None and policing is not None:
            self._skip_body(policing.prepared.headers, self._pending, status)

    def _request_with_body(self, decision: Forward, prepared: Prepared, head: bytes, rest: bytes) -> None:
        headers = prepared.headers
        exchange = self._exchange
        generation = prepared.standing.generation
        self._state = BODY
        self._body = RequestBody(headers.length)
        self._owes = True
        spools, started = self._serving.spools, exchange.started
        self._upload = upload = Upload(exchange, spools, decision, generation, head, headers.length, started)
        if headers.body_expected and not rest:
            self.transport.write(_CONTINUE)
        self._take(rest, upload, upload.start, started)

    def _receive_body(self, data: bytes) -> None:
        upload = self._upload
        assert upload is not None
        self._take(data, upload, upload.take, monotonic())

    def _take(self, data: bytes, upload: Upload, give: Callable[[bytes, bool, float], None], now: float) -> None:
        """Read ``data`` as more of the body and ``give`` it on."""
        body = self._body
        assert body is not None
        before = body.received
        try:
            payload, last = body.take(data)
            self._exchange.received += body.received - before
            if last:
                self._state = WAIT
                self.deadline = NEVER
                self._pending = body.rest
                self._body = None
            else:
                self.deadline = upload.due(now)
            give(payload, last, now)
        except FramingError:
            self._refuse_body(RefusedError(400, "chunk"))
        except RefusedError as refused:
            self._refuse_body(refused)

    def _refuse_body(self, refused: RefusedError) -> None:
        self._exchange.abort()
        if self._responding:
            self._leave()
        else:
            upload = self._upload
            self._refuse(refused, NO_LABELS if upload is None else upload.forward.labels)
