"""One request on its way: from the decision to the last byte of the response.

Owns back-pressure between the two sides and the record of what happened; who is tried is its base's. Must not know how
the client speaks: it talks to a Client. Bytes of the response go to the client as they come; nothing is buffered but
what one read brought. A request's body that was collected before goes to the endpoint as fast as that takes it.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from services.edge.attempts import Attempts
from services.edge.clients import Client, Interceptor
from services.edge.core.http2.events import Fields
from services.edge.core.plan import NO_LABELS, Forward
from services.edge.core.response_head import ResponseHead
from services.edge.deadlines import NEVER
from services.edge.link import NO_LINK
from services.edge.relief import Relief
from services.edge.traffic import BATCH

if TYPE_CHECKING:
    from services.edge.core.generation import Generation
    from services.edge.http2_upstream.stream import EndpointStream
    from services.edge.serving import Serving
    from services.edge.spool import Collected
    from services.edge.upstream import UpstreamConnection

UNTAKEN: Final = 64 * 1024
"""Bytes that an endpoint has not taken yet at which a transport says that it is enough (the event loops' default)."""
PIECES_AT_ONCE: Final = 8
"""Pieces of a collected body that are sent before others get their turn."""


class Exchange(Attempts):
    """See the module. A client that sends one request after the other uses one Exchange again and again.

    ``stored``: a body that waits in a file, whole; whoever put it here takes it away before it is closed. ``relief``:
    what waits for a client that takes its response slowly, where the route says that the endpoint does not.
    """

    __slots__ = (
        "_stored_at",
        "address",
        "answer",
        "block",
        "bodiless",
        "head_sent",
        "interceptor",
        "link",
        "minor",
        "paused_upstream",
        "received",
        "relief",
        "request_id",
        "sent",
        "started",
        "status",
        "stored",
        "upstream_status",
        "wants_upgrade",
    )

    def __init__(self, serving: Serving, client: Client) -> None:
        super().__init__(serving, client)
        self.stored: Collected | None = None
        self._stored_at = 0
        self.relief: Relief | None = None
        self.paused_upstream = False
        self.wants_upgrade = False
        self.address = ""
        self.minor = 1
        self.block = b""
        self.request_id = b""
        self.bodiless = False
        self.link = NO_LINK
        self.interceptor: Interceptor | None = None
        self.head_sent = 0
        self.answer = b""
        self.started = 0.0
        self.status = 0
        self.upstream_status = 0
        self.received = 0
        self.sent = 0

    # --- from the client ----------------------------------------------------------------------------------------

    def begin(
        self, forward: Forward, generation: Generation, head: bytes, request_sent: bool, now: float = 0.0
    ) -> None:
        """Forward a request: ``head`` with what there is of its body; ``request_sent``: that is all of it.

        ``now``: where that is later than the request came.
        """
        self._forward = forward
        self._generation = generation
        self._head = head
        self._fell_back = False
        self.request_sent = request_sent
        self.connected_at = self.answered_at = 0.0
        self.status = self.upstream_status = self.upstream_length = 0
        self.sent = self.head_sent = 0
        self.earlier = ()
        self.answer = b""
        self.labels = forward.labels
        self._start(now or self.started)

    @property
    def head_limit(self) -> int:
        """How large the head of a response may be."""
        return self._forward.proxying.head_limit

    def _attach(self, connection: UpstreamConnection | EndpointStream, now: float) -> None:
        self.connection = connection
        self.connected_at = now
        connection.exchange = self
        connection.requests += 1
        connection.read_timeout = timeout = self._forward.proxying.read_timeout
        if self.request_sent:
            connection.deadline = now + timeout
            connection.transport.write(self._head)
        else:
            connection.deadline = NEVER
            connection.transport.write(self._head)
            if self.stored is not None:
                self._stored_at = 0
                self._send_stored(connection)

    def send_body(self, data: bytes, last: bool) -> None:
        """More of the request's body, already framed; what has gone cannot be sent again."""
        self.request_sent = last
        connection = self.connection
        if connection is None:
            if not self.answered_at:  # else the endpoint is done, and only the client is not
                self._head += data
        else:
            self._head = b""
            if not self.answered_at:
                connection.deadline = monotonic() + connection.read_timeout if last else NEVER
            connection.transport.write(data)

    def _send_stored(self, connection: UpstreamConnection | EndpointStream) -> None:
        """Send more of a collected body, until the endpoint takes no more for now (``resume_client`` goes on)."""
        transport = connection.transport
        for _ in range(PIECES_AT_ONCE):
            stored = self.stored
            if stored is None or self.request_sent or connection is not self.connection:
                return
            if transport.get_write_buffer_size() > UNTAKEN:
                return
            try:
                data = stored.read(self._stored_at)
            except OSError as error:
                self._serving.spools.complain(error)
                self._give_up()
                return
            self._stored_at += len(data)
            if self._stored_at == stored.size:
                self.request_sent = True
                if not self.answered_at:
                    connection.deadline = monotonic() + connection.read_timeout
            transport.write(data)
        self._serving.loop.call_soon(self._send_stored, connection)

    def _give_up(self) -> None:
        """The rest of the request is lost."""
        self.abort()
        if self.answered_at:
            self._client.cut()
        else:
            self._client.fail(500)

    def send_raw(self, data: bytes) -> None:
        """Bytes of a tunnel."""
        connection = self.connection
        if connection is not None:
            connection.deadline = monotonic() + connection.read_timeout
            connection.transport.write(data)

    def abort(self) -> None:
        """The client is gone, or was told otherwise: nothing more is wanted of the endpoint."""
        self._attempt += 1
        connection, self.connection = self.connection, None
        self.paused_upstream = False
        if connection is not None:
            connection.drop()
        if self.relief is not None:
            self.relief.close()

    def pause_upstream(self) -> None:
        """The client takes bytes slower than the endpoint sends them."""
        if self.relief is not None:
            self.relief.stopped = True
            return
        if self.connection is None:
            return
        proxying = self._forward.proxying
        if proxying.response_memory and self.status != 101 and not proxying.transport.http2:
            self.relief = Relief(self, self._serving, proxying.response_memory, proxying.response_file)
        else:
            self.stop_endpoint()

    def resume_upstream(self) -> None:
        """The client takes bytes again."""
        if self.relief is not None:
            self.relief.go_on()
        else:
            self.go_on_with_endpoint()

    def stop_endpoint(self) -> None:
        """Read no more of the response for now."""
        if self.connection is not None and not self.paused_upstream:
            self.paused_upstream = True
            self.connection.deadline = NEVER
            self.connection.transport.pause_reading()

    def go_on_with_endpoint(self) -> None:
        """Read on, if that was stopped."""
        if self.paused_upstream:
            self.paused_upstream = False
            if self.connection is not None:
                self.connection.deadline = monotonic() + self.connection.read_timeout
                self.connection.transport.resume_reading()

    def police(self, client: Client, interceptor: Interceptor | None) -> None:
        """Talk to ``client`` from now on; ``interceptor``: who replaces some responses."""
        self._client = client
        self.interceptor = interceptor

    def forget(self) -> None:
        """The request at hand reaches no endpoint."""
        self.labels = NO_LABELS
        self.endpoint = ""
        self.earlier = ()
        self.answer = b""
        self.connected_at = self.answered_at = 0.0
        self.upstream_status = self.upstream_length = 0

    def record(self, now: float) -> None:
        """Put down what happened; the order is that of ``traffic.Record``."""
        traffic = self._serving.traffic
        buffer = traffic.buffer
        buffer.append(
            (
                self.labels,
                self.method,
                self.status,
                self.started,
                now,
                self.connected_at,
                self.answered_at,
                self.received,
                self.sent,
                self.address,
                self.target,
                self.minor,
                self.block,
                self.request_id,
                self.endpoint,
                self.upstream_status,
                self.upstream_length,
                self.earlier,
                self._chosen_at,
                self.head_sent,
                self.link,
                self.answer,
            )
        )
        if len(buffer) >= BATCH:
            traffic.flush()

    # --- from the endpoint's connection -------------------------------------------------------------------------

    def answered(self, head: ResponseHead, body: bytes, complete: bool, now: float) -> None:
        """The response's head, with what there is of its body."""
        self.answered_at = now
        self.upstream_status = self.status = status = head.status
        self.upstream_length = len(body)
        if status >= 400:
            if self._forward.proxying.next_on_status and self._passed_over(status, complete):
                return
            interceptor = self.interceptor
            if interceptor is not None and status in interceptor.intercepted and self.request_sent:
                self._throw_away(status, complete)
                interceptor.intercept(status)
                return
        self._head = b""
        if self._serving.traffic.wants_answers:
            self.answer = head.block
        if complete:
            self.connection = None
            self.paused_upstream = False
            self.sent = self._client.respond(head, body, True)
            self._client.finish(now)
        else:
            self.sent = self._client.respond(head, body, False)

    def _passed_over(self, status: int, complete: bool) -> bool:
        """Whether another endpoint is asked instead of passing on what this one said."""
        before = self.connection, self.paused_upstream, self.request_sent
        connection, self.connection = self.connection, None  # it may be another request's before the next one is there
        self.paused_upstream = False
        if self.stored is not None:
            self.request_sent = False  # another endpoint gets all of it
        if self._pass_over(status, None if complete else connection):
            return True
        self.connection, self.paused_upstream, self.request_sent = before
        return False

    def _throw_away(self, status: int, complete: bool) -> None:
        """The response is not passed on; what the client gets instead is not ours to know."""
        connection, self.connection = self.connection, None
        self.paused_upstream = False
        if connection is not None and not complete:
            connection.drop()
        self._put_down(status, self.answered_at)

    def body(self, data: bytes) -> None:
        """More of the response's body."""
        self.upstream_length += len(data)
        if self.relief is None:
            self.sent += self._client.body(data)
        else:
            self.relief.put(data)

    def pass_on(self, data: bytes) -> None:
        """Some of the body that waited."""
        self.sent += self._client.body(data)

    def conclude(self, now: float) -> None:
        """The client has all that waited, and the endpoint was done before."""
        self._client.finish(now)

    def break_off(self) -> None:
        """The rest of the response is lost."""
        self.abort()
        self._client.cut()

    def trailers(self, fields: Fields) -> None:
        """What came behind the response's body, just before its end."""
        self._client.trailers(fields)

    def ended(self, now: float) -> None:
        """The response is complete; its connection needs us no more."""
        self.connection = None
        self.paused_upstream = False
        if self.relief is None:
            self._client.finish(now)
        else:
            self.relief.end(now)

    def upgraded(self, head: ResponseHead, rest: bytes) -> None:
        """The endpoint changes protocols as it was asked to."""
        self.status = self.upstream_status = 101
        self.answered_at = monotonic()
        self._head = b""
        self.sent += self._client.tunnel(head, rest)

    def broken(self, reason: str, *, answered: bool, invalid: bool = False, unseen: bool = False) -> None:
        """The connection is of no more use before the response was complete.

        ``answered``: bytes of a response had come; ``invalid``: they were not a response; ``unseen``: the endpoint says
        that it has not looked at the request.
        """
        connection, self.connection = self.connection, None
        self.paused_upstream = False
        self._serving.traffic.counters[f"upstream-{'invalid' if invalid else reason}"] += 1
        if self.stored is not None:
            self.request_sent = False  # another endpoint gets all of it
        if self.answered_at:
            if self.relief is not None:
                self.relief.close()
            self._client.cut()
        elif connection is not None:
            self._lost(connection.pool, reason, answered, invalid, unseen)

    def pause_client(self) -> None:
        """The endpoint takes the body slower than it comes; how long it may take nothing is ``proxy-send-timeout``."""
        if self.connection is not None:
            self.connection.deadline = monotonic() + self._forward.proxying.send_timeout
        self._client.request_may_flow(False)

    def resume_client(self) -> None:
        """The endpoint takes more of the body."""
        connection = self.connection
        if connection is not None:
            waits = self.request_sent or self.status == 101
            connection.deadline = monotonic() + connection.read_timeout if waits else NEVER
            if not waits and self.stored is not None:
                self._send_stored(connection)
                return
        self._client.request_may_flow(True)
