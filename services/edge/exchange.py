"""One request on its way: from the decision to the last byte of the response.

Owns the response's way to the client, its back-pressure and the record of what happened; who is tried and what they are
sent is its bases'. Must not know how the client speaks: it talks to a Client. Bytes of the response go to the client as
they come; nothing is buffered but what one read brought.
"""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from services.edge.clients import Client, Interceptor
from services.edge.core.http2.events import Fields
from services.edge.core.link import NO_LINK
from services.edge.core.plan import NO_LABELS
from services.edge.core.response_head import ResponseHead
from services.edge.deadlines import NEVER
from services.edge.relief import Relief
from services.edge.sending import Sending
from services.edge.traffic import BATCH

if TYPE_CHECKING:
    from services.edge.copies import Copy
    from services.edge.http2_upstream.stream import EndpointStream
    from services.edge.pace import Pace
    from services.edge.serving import Serving
    from services.edge.upstream import UpstreamConnection


class Exchange(Sending):
    """See the module. A client that sends one request after the other uses one Exchange again and again.

    ``relief``: what waits for a client that takes its response slowly, where the route says that the endpoint does not.
    ``copy``: one of the request that goes elsewhere, while its body is coming. ``pace``: how fast the response may go.
    """

    __slots__ = (
        "address",
        "block",
        "bodiless",
        "copy",
        "interceptor",
        "link",
        "minor",
        "pace",
        "paused_upstream",
        "received",
        "relief",
        "request_id",
        "wants_upgrade",
    )

    def __init__(self, serving: Serving, client: Client) -> None:
        super().__init__(serving, client)
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
        self.copy: Copy | None = None
        self.pace: Pace | None = None
        self.received = 0

    # --- from the client ----------------------------------------------------------------------------------------

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
        if self.pace is not None:
            self.pace.congested = True
        self.hold_upstream()

    def resume_upstream(self) -> None:
        """The client takes bytes again."""
        if self.pace is not None:
            self.pace.go_on()
        else:
            self.release_upstream()

    def hold_upstream(self) -> None:
        """What the endpoint sends cannot go on for now."""
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

    def release_upstream(self) -> None:
        """It can again."""
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
            if self._serving.outflow.pressed:
                self.connection.narrow()

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

    def rest(self) -> None:
        """There is no request, nor will there be one soon: keep nothing of the last one."""
        self.block = self.target = self.request_id = self.answer = self._head = b""
        self.labels = NO_LABELS
        self.earlier = ()
        self._unpin()
        with suppress(AttributeError):
            del self._forward

    def _unpin(self) -> None:
        with suppress(AttributeError):
            del self._generation

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
        try:
            self.answered_at = now
            self.upstream_status = self.status = status = head.status
            self.upstream_length = len(body)
            if status >= 400 and self._is_replaced(head, complete):
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
        except Exception as error:
            self.defect(error)

    def _is_replaced(self, head: ResponseHead, complete: bool) -> bool:
        """Whether the client gets another response, be it of another endpoint, instead of an error."""
        status = head.status
        if self._forward.proxying.next_on_status and self._passed_over(status, complete):
            return True
        interceptor = self.interceptor
        if interceptor is not None and status in interceptor.intercepted and self.request_sent:
            self._throw_away(status, complete)
            interceptor.intercept(head)
            return True
        return False

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
        try:
            self.upstream_length += len(data)
            if self.relief is None:
                self.sent += self._client.body(data)
            else:
                self.relief.put(data)
        except Exception as error:
            self.defect(error)

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
        try:
            self._client.trailers(fields)
        except Exception as error:
            self.defect(error)

    def ended(self, now: float) -> None:
        """The response is complete; its connection needs us no more."""
        try:
            self.connection = None
            self.paused_upstream = False
            if self.relief is None:
                self._client.finish(now)
            else:
                self.relief.end(now)
        except Exception as error:
            self.defect(error)

    def upgraded(self, head: ResponseHead, rest: bytes) -> None:
        """The endpoint changes protocols as it was asked to."""
        try:
            self.status = self.upstream_status = 101
            self.answered_at = monotonic()
            self._head = b""
            self._unpin()  # a tunnel may stand for days
            self.sent += self._client.tunnel(head, rest)
        except Exception as error:
            self.defect(error)

    def broken(self, reason: str, *, answered: bool, invalid: bool = False, unseen: bool = False) -> None:
        """The connection is of no more use before the response was complete.

        ``answered``: bytes of a response had come; ``invalid``: they were not a response; ``unseen``: the endpoint says
        that it has not looked at the request.
        """
        try:
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
        except Exception as error:
            self.defect(error)
