"""One request on its way: from the decision to the last byte of the response, over one endpoint or several in turn.

Owns tries, what may be sent again, back-pressure between the two sides and the record of what happened. Must not know
how the client speaks (HTTP/1.1 today): it talks to a Client. Bytes of the response go to the client as they come;
nothing is buffered but what one read brought.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from services.edge.core.fallback import for_fallback
from services.edge.core.plan import NO_LABELS, Forward, RouteLabels
from services.edge.core.response_head import ResponseHead
from services.edge.deadlines import NEVER
from services.edge.pools import Balancer, ConnectTimeoutError, EndpointPool, open_connection
from services.edge.traffic import BATCH
from services.edge.upstream import UpstreamConnection

if TYPE_CHECKING:
    from services.edge.core.generation import Generation
    from services.edge.serving import Serving

TRIES: Final = 3
"""How many endpoints a request is offered to (nginx: proxy_next_upstream_tries)."""

SENT_ONCE: Final = frozenset((b"POST", b"LOCK", b"PATCH"))
"""Methods that are never sent again once they were sent (nginx: non_idempotent)."""


class Client(Protocol):
    """Where responses go. Exactly one of ``finish``, ``fail`` and ``cut`` ends an exchange."""

    def respond(self, head: ResponseHead, body: bytes, complete: bool) -> int:
        """The response's head with what there is of its body; returns the bytes that were written."""

    def body(self, data: bytes) -> int:
        """More of the body."""

    def finish(self, now: float) -> None:
        """The body is complete."""

    def fail(self, status: int) -> None:
        """Nothing came that can be passed on: answer ``status``."""

    def cut(self) -> None:
        """The response broke off: the client must not take it for complete."""

    def tunnel(self, head: ResponseHead, rest: bytes) -> int:
        """101: bytes go both ways from now on."""

    def request_may_flow(self, flows: bool) -> None:
        """Whether more of the request's body can be taken."""


class Exchange:
    """See the module. A client that sends one request after the other uses one Exchange again and again."""

    __slots__ = (
        "_attempt",
        "_client",
        "_fell_back",
        "_forward",
        "_generation",
        "_head",
        "_reused",
        "_serving",
        "_tries",
        "address",
        "answered_at",
        "block",
        "bodiless",
        "connected_at",
        "connection",
        "endpoint",
        "labels",
        "method",
        "minor",
        "paused_upstream",
        "received",
        "request_id",
        "request_sent",
        "sent",
        "started",
        "status",
        "target",
        "upstream_length",
        "upstream_status",
        "wants_upgrade",
    )

    def __init__(self, serving: Serving, client: Client) -> None:
        self._serving = serving
        self._client = client
        self._attempt = 0
        self.connection: UpstreamConnection | None = None
        self._generation: Generation
        self._forward: Forward
        self._head: bytes
        self._tries = 0
        self._reused = False
        self._fell_back = False
        self.paused_upstream = False
        self.wants_upgrade = False
        self.address = ""
        self.labels: RouteLabels = NO_LABELS
        self.method = b""
        self.target = b""
        self.minor = 1
        self.block = b""
        self.request_id = b""
        self.bodiless = False
        self.request_sent = True
        self.started = 0.0
        self.connected_at = 0.0
        self.answered_at = 0.0
        self.endpoint = ""
        self.status = 0
        self.upstream_status = 0
        self.upstream_length = 0
        self.received = 0
        self.sent = 0

    # --- from the client ----------------------------------------------------------------------------------------

    def begin(self, forward: Forward, generation: Generation, head: bytes, request_sent: bool) -> None:
        """Forward a request: ``head`` with what there is of its body; ``request_sent``: that is all of it."""
        self._forward = forward
        self._generation = generation
        self._head = head
        self._fell_back = False
        self.request_sent = request_sent
        self.connected_at = self.answered_at = 0.0
        self.status = self.upstream_status = self.upstream_length = 0
        self.sent = 0
        self.labels = forward.labels
        balancer = self._serving.pools.balancers.get(forward.upstream)
        if balancer is None or not balancer.pools:
            balancer = self._balancer()
        if balancer is None:
            self.endpoint = ""
            self._client.fail(503)
            return
        pool = balancer.next()
        self.endpoint = pool.name
        self._tries = 1
        if pool.idle:
            self._reuse(pool, self.started)
        else:
            self._connect(pool)

    def send_body(self, data: bytes, last: bool) -> None:
        """More of the request's body, already framed; what has gone cannot be sent again."""
        self.request_sent = last
        connection = self.connection
        if connection is None:
            self._head += data
        else:
            self._head = b""
            if not self.answered_at:
                connection.deadline = monotonic() + connection.read_timeout if last else NEVER
            connection.transport.write(data)

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
        if connection is not None:
            connection.drop()

    def pause_upstream(self) -> None:
        """The client takes bytes slower than the endpoint sends them."""
        if self.connection is not None and not self.paused_upstream:
            self.paused_upstream = True
            self.connection.deadline = NEVER
            self.connection.transport.pause_reading()

    def resume_upstream(self) -> None:
        """The client takes bytes again."""
        if self.paused_upstream:
            self.paused_upstream = False
            if self.connection is not None:
                self.connection.deadline = monotonic() + self.connection.read_timeout
                self.connection.transport.resume_reading()

    def forget(self) -> None:
        """The request at hand reaches no endpoint."""
        self.labels = NO_LABELS
        self.endpoint = ""
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
            )
        )
        if len(buffer) >= BATCH:
            traffic.flush()

    # --- endpoints ----------------------------------------------------------------------------------------------

    def _balancer(self) -> Balancer | None:
        """Who may serve: the upstream, or the fallback while it has no endpoints; None: nobody."""
        forward = self._forward
        balancer = self._balancer_of(forward.upstream)
        if balancer is None and forward.fallback:
            balancer = self._balancer_of(forward.fallback)
            if balancer is not None and not self._fell_back:
                self._fell_back = True
                self._head = for_fallback(self._head, self.target, forward.labels)
        return balancer

    def _balancer_of(self, name: str) -> Balancer | None:
        upstream = self._generation.upstream(name)
        if upstream is None:
            return None
        balancer = self._serving.pools.balancer(name, upstream)
        return balancer if balancer.pools else None

    def _send(self, balancer: Balancer) -> None:
        pool = balancer.next()
        self.endpoint = pool.name
        self._tries += 1
        if pool.idle:
            self._client.request_may_flow(True)  # it may have been stopped while another endpoint was tried
            self._reuse(pool, monotonic())
        else:
            self._connect(pool)

    def _reuse(self, pool: EndpointPool, now: float) -> None:
        """Send on the connection that was used last."""
        connection = pool.idle.pop()
        del self._serving.pools.resting[connection]
        self._reused = True
        self._attach(connection, now)

    def _attach(self, connection: UpstreamConnection, now: float) -> None:
        self.connection = connection
        self.connected_at = now
        connection.exchange = self
        connection.requests += 1
        connection.read_timeout = timeout = self._generation.settings.proxy_read_timeout
        connection.deadline = now + timeout if self.request_sent else NEVER
        connection.transport.write(self._head)

    def _connect(self, pool: EndpointPool) -> None:
        """Open a connection for this request."""
        self._attempt += 1
        self._client.request_may_flow(False)
        self._serving.spawn(self._open(pool, self._attempt))

    async def _open(self, pool: EndpointPool, attempt: int) -> None:
        serving = self._serving
        settings = self._generation.settings
        connection = UpstreamConnection(pool, serving.pools, serving.deadlines)
        try:
            await open_connection(serving.loop, connection, settings.proxy_connect_timeout)
        except (OSError, ConnectTimeoutError) as error:
            connection.drop()
            if attempt == self._attempt:
                self._connect_failed(isinstance(error, ConnectTimeoutError))
            return
        if connection.transport.is_closing():  # taken and ended at once: nothing more will be heard of it
            connection.drop()
            if attempt == self._attempt:
                self._connect_failed(False)
            return
        if attempt != self._attempt:  # the client left meanwhile: the connection serves the next one
            serving.pools.keep(connection, monotonic())
            return
        self._reused = False
        self._client.request_may_flow(True)  # before the first bytes, which may already be more than is taken
        self._attach(connection, monotonic())

    def _connect_failed(self, timed_out: bool) -> None:
        self._serving.traffic.counters["connect-timeout" if timed_out else "connect-error"] += 1
        if not self._try_next():
            self._client.fail(504 if timed_out else 502)

    def _try_next(self) -> bool:
        """Offer the request to another endpoint of what is served now; False when there were enough tries."""
        if self._tries >= TRIES:
            return False
        current = self._serving.generation
        if current is not None:
            self._generation = current
        balancer = self._balancer()
        if balancer is None:
            return False
        self._serving.traffic.counters["retry"] += 1
        self._send(balancer)
        return True

    # --- from the endpoint's connection -------------------------------------------------------------------------

    def answered(self, head: ResponseHead, body: bytes, complete: bool, now: float) -> None:
        """The response's head, with what there is of its body."""
        self.answered_at = now
        self.upstream_status = head.status
        self.upstream_length = len(body)
        self.status = head.status
        self._head = b""
        if complete:
            self.connection = None
            self.paused_upstream = False
            self.sent = self._client.respond(head, body, True)
            self._client.finish(now)
        else:
            self.sent = self._client.respond(head, body, False)

    def body(self, data: bytes) -> None:
        """More of the response's body."""
        self.upstream_length += len(data)
        self.sent += self._client.body(data)

    def ended(self, now: float) -> None:
        """The response is complete; its connection needs us no more."""
        self.connection = None
        self.paused_upstream = False
        self._client.finish(now)

    def upgraded(self, head: ResponseHead, rest: bytes) -> None:
        """The endpoint changes protocols as it was asked to."""
        self.status = self.upstream_status = 101
        self.answered_at = monotonic()
        self._head = b""
        self.sent += self._client.tunnel(head, rest)

    def broken(self, reason: str, *, answered: bool, invalid: bool = False) -> None:
        """The connection is of no more use before the response was complete.

        ``answered``: bytes of a response had come; ``invalid``: they were not a response. A connection that had been
        used before may simply have been closed by the endpoint meanwhile: that is not a try.
        """
        self.connection = None
        self.paused_upstream = False
        counters = self._serving.traffic.counters
        counters[f"upstream-{'invalid' if invalid else reason}"] += 1
        if self.answered_at:
            self._client.cut()
            return
        resendable = bool(self._head) and self.method not in SENT_ONCE and not answered and not invalid
        if resendable and self._reused and reason == "reset":
            self._resend()
        elif not (resendable and self._try_next()):
            self._client.fail(504 if reason == "timeout" else 502)

    def _resend(self) -> None:
        """Send the request again on a fresh connection: the one it went out on had been closed already."""
        balancer = self._balancer()
        if balancer is None:
            self._client.fail(502)
            return
        pool = balancer.next()
        self.endpoint = pool.name
        self._connect(pool)

    def pause_client(self) -> None:
        """The endpoint takes the body slower than it comes; how long it may take nothing is ``proxy-send-timeout``."""
        if self.connection is not None:
            self.connection.deadline = monotonic() + self._generation.settings.proxy_send_timeout
        self._client.request_may_flow(False)

    def resume_client(self) -> None:
        """The endpoint takes more of the body."""
        connection = self.connection
        if connection is not None:
            waits = self.request_sent or self.status == 101
            connection.deadline = monotonic() + connection.read_timeout if waits else NEVER
        self._client.request_may_flow(True)
