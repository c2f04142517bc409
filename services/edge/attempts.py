"""A request's way to an endpoint: who is tried, over which connection, and who next when that came to nothing.

Owns tries and what may be sent again (nginx: ``proxy_next_upstream`` and its kin). Must not know what a response looks
like, nor how the client speaks: ``services.edge.exchange`` adds both.
"""

from __future__ import annotations

import select
from abc import abstractmethod
from asyncio import BaseTransport
from time import monotonic
from typing import TYPE_CHECKING

from services.edge.choosing import Chooser, chosen
from services.edge.clients import Client
from services.edge.connecting import connect
from services.edge.core.fallback import for_fallback
from services.edge.core.plan import NO_LABELS, Forward, RouteLabels
from services.edge.core.proxying import SENT_ONCE
from services.edge.core.tried import Tried
from services.edge.health import is_ours
from services.edge.http2_upstream.sessions import Sessions, TooManyConnectsError
from services.edge.http2_upstream.stream import EndpointStream
from services.edge.pools import ConnectTimeoutError, EndpointPool
from services.edge.upstream import UpstreamConnection

if TYPE_CHECKING:
    from proto.resources import Upstream
    from services.edge.core.generation import Generation
    from services.edge.serving import Serving


class Attempts:
    """See the module. ``_head``: what goes to the endpoint, as long as it can be sent again; ``_attempt`` tells a
    connection that was opened too late that nobody waits for it; ``_reused``: it has served others before."""

    __slots__ = (
        "_attempt",
        "_chosen_at",
        "_client",
        "_fell_back",
        "_first_at",
        "_forward",
        "_generation",
        "_head",
        "_reused",
        "_serving",
        "_tries",
        "answered_at",
        "connected_at",
        "connection",
        "earlier",
        "endpoint",
        "labels",
        "method",
        "request_sent",
        "target",
        "upstream_length",
    )

    def __init__(self, serving: Serving, client: Client) -> None:
        self._serving = serving
        self._client = client
        self._attempt = 0
        self.connection: UpstreamConnection | EndpointStream | None = None
        self._generation: Generation
        self._forward: Forward
        self._head: bytes
        self._tries = 0
        self._first_at = 0.0
        self._chosen_at = 0.0
        self._reused = False
        self._fell_back = False
        self.earlier: tuple[Tried, ...] = ()
        self.endpoint = ""
        self.labels: RouteLabels = NO_LABELS
        self.method = b""
        self.target = b""
        self.request_sent = True
        self.connected_at = 0.0
        self.answered_at = 0.0
        self.upstream_length = 0

    @abstractmethod
    def defect(self, error: Exception) -> None:
        """A defect of ours was met on this request's way: it is told, and the request comes to its end."""

    @abstractmethod
    def _attach(self, connection: UpstreamConnection | EndpointStream, now: float) -> None:
        """Send what there is of the request on ``connection``, which is this request's from now on."""

    def _start(self, now: float) -> None:
        """Offer the request to the first endpoint; the client is told where there is none."""
        forward = self._forward
        balancer: Chooser | None = self._serving.pools.balancers.get(forward.lane)
        if balancer is None or not balancer.pools:
            balancer = self._balancer()
        if balancer is None:
            self.endpoint = ""
            self._client.fail(503)
            return
        pool = balancer.next()
        self.endpoint = pool.name
        self._tries = 1
        self._first_at = self._chosen_at = now
        if pool.idle:
            self._reuse(pool, now)
        else:
            self._connect(pool)

    # --- who ----------------------------------------------------------------------------------------------------

    def _balancer(self) -> Chooser | None:
        """Who may serve: the upstream, or the fallback while it has no endpoints; None: nobody."""
        forward = self._forward
        balancer = self._balancer_of(forward.upstream)
        if balancer is None and forward.fallback:
            balancer = self._balancer_of(forward.fallback)
            if balancer is not None and not self._fell_back:
                self._fell_back = True
                self._head = for_fallback(self._head, self.target, forward.labels)
        return balancer

    def _balancer_of(self, name: str) -> Chooser | None:
        upstream = self._upstream(name)
        if upstream is None:
            return None
        balancer = self._serving.pools.balancer(name, upstream, self._forward.proxying.transport)
        if not balancer.pools:
            return None
        choice = self._forward.choice
        return balancer if choice is None else chosen(choice, balancer)

    def _upstream(self, name: str) -> Upstream | None:
        """The Upstream as it is now, whatever it was when the request came: balancers are everybody's. One that is gone
        serves those who began with it."""
        newest = self._serving.newest
        upstream = None if newest is None else newest.upstream(name)
        return self._generation.upstream(name) if upstream is None else upstream

    # --- connections --------------------------------------------------------------------------------------------

    def _reuse(self, pool: EndpointPool, now: float) -> None:
        """Send on the connection that was used last."""
        connection = pool.idle.pop()
        del self._serving.pools.resting[connection]
        if self.method in SENT_ONCE and has_ended(connection.transport):
            connection.drop()  # an end that is not read yet: sent once, this request could not be sent again
            self._connect(pool)
            return
        self._reused = True
        self._attach(connection, now)

    def _connect(self, pool: EndpointPool) -> None:
        """Open a connection for this request, or join others on one that is shared."""
        serving = self._serving
        self._attempt += 1
        if pool.transport.http2:
            self._share(pool)
            return
        self._client.request_may_flow(False)
        if serving.limits.connect():
            serving.spawn(self._open(pool, self._attempt))
        else:
            self._client.fail(503)

    def _share(self, pool: EndpointPool) -> None:
        """Send on a session that is shared with others."""
        sessions = pool.sessions
        if sessions is None:
            sessions = pool.sessions = Sessions(pool, self._serving)
        stream = sessions.stream()
        if stream is not None and stream.session.is_quiet and has_ended(stream.session.transport):
            stream.session.drop()
            stream = sessions.stream()
        if stream is None:
            self._client.request_may_flow(False)
            self._serving.spawn(self._join(sessions, self._attempt))
            return
        self._reused = True
        self._client.request_may_flow(True)
        self._attach(stream, monotonic())

    async def _join(self, sessions: Sessions, attempt: int) -> None:
        try:
            await self._join_one(sessions, attempt)
        except Exception as error:
            self._came_to_nothing(error, attempt)

    async def _join_one(self, sessions: Sessions, attempt: int) -> None:
        try:
            await sessions.ready(self._forward.proxying.connect_timeout)
        except TooManyConnectsError:
            if attempt == self._attempt:
                self._client.fail(503)
            return
        except (OSError, ConnectTimeoutError) as error:
            self._not_connected(sessions.pool, error, attempt)
            return
        if attempt != self._attempt:
            return
        stream = sessions.stream()
        if stream is None:  # others were faster, and it takes no more
            self._serving.spawn(self._join(sessions, attempt))
            return
        self._reused = False
        self._client.request_may_flow(True)
        self._attach(stream, monotonic())

    async def _open(self, pool: EndpointPool, attempt: int) -> None:
        serving = self._serving
        try:
            await self._open_one(serving, pool, attempt)
        except Exception as error:
            self._came_to_nothing(error, attempt)
        finally:
            serving.limits.connected()

    def _came_to_nothing(self, error: Exception, attempt: int) -> None:
        """A connection was not had for a reason that nobody thought of; the client is told, if it still waits."""
        if attempt == self._attempt:
            self.defect(error)
        else:
            self._serving.defects.note(error)

    async def _open_one(self, serving: Serving, pool: EndpointPool, attempt: int) -> None:
        connection = UpstreamConnection(pool, serving.pools, serving.deadlines)
        try:
            await connect(serving, connection, pool, self._forward.proxying.connect_timeout)
            connection.made_at = monotonic()
        except (OSError, ConnectTimeoutError) as error:
            connection.drop()
            self._not_connected(pool, error, attempt)
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

    # --- who next -----------------------------------------------------------------------------------------------

    def _not_connected(self, pool: EndpointPool, error: OSError | ConnectTimeoutError, attempt: int) -> None:
        """A connection could not be had; ``attempt``: what it was for, perhaps long given up."""
        serving = self._serving
        timed_out = isinstance(error, ConnectTimeoutError)
        if is_ours(error):
            serving.limits.exhausted()
            if attempt == self._attempt:
                self._client.fail(503)
            return
        if timed_out or (isinstance(error, OSError) and error.errno):  # not: TLS that came to nothing
            serving.health.took_no_connection(pool, timed_out=timed_out)
        if attempt == self._attempt:
            self._connect_failed(timed_out)

    def _connect_failed(self, timed_out: bool) -> None:
        proxying = self._forward.proxying
        self._serving.traffic.counters["connect-timeout" if timed_out else "connect-error"] += 1
        status = 504 if timed_out else 502
        if not (proxying.next_on_timeout if timed_out else proxying.next_on_error) or not self._try_next(status):
            self._client.fail(status)

    def _lost(self, pool: EndpointPool, reason: str, answered: bool, invalid: bool, unseen: bool) -> None:
        """The connection ended, or said nonsense (``invalid``), before it had sent a whole head; ``answered``: it had
        sent something; ``unseen``: the endpoint says that it has not looked at the request.

        A connection that had been used before may simply have been closed by the endpoint meanwhile: that is not a try.
        """
        proxying = self._forward.proxying
        timed_out = reason == "timeout"
        if timed_out:
            self._serving.health.timed_out(pool)
        if invalid:
            wanted = proxying.next_on_invalid
        else:
            wanted = proxying.next_on_timeout if timed_out else proxying.next_on_error
        wanted = wanted and self._may_be_sent_again(unseen)
        status = 504 if timed_out else 502
        if wanted and self._reused and reason == "reset" and not answered and not unseen:
            self._resend()
        elif not (wanted and self._try_next(status)):
            self._client.fail(status)

    def _may_be_sent_again(self, unseen: bool = False) -> bool:
        """Nothing of it is lost, and sending it twice does no harm, or was asked for; ``unseen``: it was not sent."""
        harmless = unseen or self._forward.proxying.next_non_idempotent or self.method not in SENT_ONCE
        return bool(self._head) and harmless

    def _pass_over(self, status: int, connection: UpstreamConnection | EndpointStream | None) -> bool:
        """Whether a response with ``status`` is not passed on, but another endpoint asked. One that came whole has
        given its ``connection`` back already; of any other the rest is not read."""
        if status not in self._forward.proxying.next_on_status or not self._may_be_sent_again():
            return False
        if not self._try_next(status):
            return False
        if connection is not None:
            connection.drop()
        return True

    def _try_next(self, status: int) -> bool:
        """Offer the request to another endpoint of what is served now; False when there were enough tries.

        ``status``: what the endpoint answered, or its failure would have been answered with.
        """
        proxying = self._forward.proxying
        now = monotonic()
        current = self._serving.generation
        if current is not None:
            self._generation = current
        balancer = self._balancer()
        if balancer is None or self._tries >= (proxying.tries or len(balancer.pools)):
            return False
        if proxying.next_upstream_timeout and now - self._first_at >= proxying.next_upstream_timeout:
            return False
        if not balancer.retries.take(now):
            self._serving.traffic.counters["retry-budget-spent"] += 1
            return False
        self._serving.traffic.counters["retry"] += 1
        self._put_down(status, now)
        self._tries += 1
        self._send(balancer, now)
        return True

    def _put_down(self, status: int, now: float) -> None:
        """Keep what became of the endpoint that is given up."""
        chosen = self._chosen_at
        tried = Tried(
            self.endpoint,
            status,
            self.connected_at - chosen if self.connected_at else -1.0,
            self.answered_at - chosen if self.answered_at else -1.0,
            now - chosen,
            self.upstream_length,
        )
        self.earlier = (*self.earlier, tried)
        self.connected_at = self.answered_at = 0.0
        self.upstream_length = 0

    def _send(self, balancer: Chooser, now: float) -> None:
        pool = balancer.other([tried.endpoint for tried in self.earlier])
        self.endpoint = pool.name
        self._chosen_at = now
        if pool.idle:
            self._client.request_may_flow(True)  # it may have been stopped while another endpoint was tried
            self._reuse(pool, now)
        else:
            self._connect(pool)

    def _resend(self) -> None:
        """Send the request again on a fresh connection: the one it went out on had been closed already."""
        balancer = self._balancer()
        if balancer is None:
            self._client.fail(502)
            return
        now = monotonic()
        self._put_down(502, now)
        pool = balancer.next()
        self.endpoint = pool.name
        self._chosen_at = now
        self._connect(pool)
        self._reused = False  # a session that is shared may be one that has served before: only once is no try


def has_ended(transport: BaseTransport) -> bool:
    """Whether the other side has ended the connection, though the loop has not come to reading that yet."""
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLRDHUP)
    return bool(poll.poll(0))
