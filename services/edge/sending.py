"""A request's way to the endpoint that was chosen: its head, its body as it comes or as it was collected, a tunnel.

Owns back-pressure of the endpoint on the request. Who is tried is its base's; must not know what becomes of the
response: ``services.edge.exchange`` adds that. A body that was collected before goes to the endpoint as fast as that
takes it.
"""

from __future__ import annotations

from abc import abstractmethod
from time import monotonic
from typing import TYPE_CHECKING, Final

from services.edge.attempts import Attempts
from services.edge.clients import Client
from services.edge.core.plan import Forward
from services.edge.deadlines import NEVER

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
LOOKS: Final = 4
"""How often within ``proxy-send-timeout`` it is seen whether a slow endpoint has taken something."""


class Sending(Attempts):
    """See the module. ``stored``: a body that waits in a file, whole; whoever put it here takes it away before it is
    closed. ``_untaken``: bytes that a slow endpoint had not taken at the last look; ``_taken_at``: when it last took
    some. What is known of the response is begun anew with each request."""

    __slots__ = (
        "_stored_at",
        "_taken_at",
        "_untaken",
        "answer",
        "head_sent",
        "sent",
        "started",
        "status",
        "stored",
        "upstream_status",
    )

    def __init__(self, serving: Serving, client: Client) -> None:
        super().__init__(serving, client)
        self.stored: Collected | None = None
        self._stored_at = 0
        self._untaken = -1
        self._taken_at = 0.0
        self.started = 0.0
        self.status = 0
        self.upstream_status = 0
        self.sent = 0
        self.head_sent = 0
        self.answer = b""

    @abstractmethod
    def abort(self) -> None:
        """The client is gone, or was told otherwise: nothing more is wanted of the endpoint."""

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
        self._untaken = -1
        self.earlier = ()
        self.answer = b""
        self.labels = forward.labels
        self._start(now or self.started)

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
        try:
            self._send_pieces(connection)
        except Exception as error:  # nobody else would hear of it when the loop called
            self.defect(error)

    def _send_pieces(self, connection: UpstreamConnection | EndpointStream) -> None:
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

    def defect(self, error: Exception) -> None:
        """A defect of ours was met on this request's way: it is told, and the request comes to its end."""
        defects = self._serving.defects
        defects.note(error)
        try:
            self.abort()
            if not self.sent:
                self._client.fail(500)
                return
        except Exception as another:  # the answer cannot be made either
            defects.note(another)
        try:
            self._client.cut()
        except Exception as another:
            defects.note(another)

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

    def pause_client(self) -> None:
        """The endpoint takes the body slower than it comes; how long it may take nothing is ``proxy-send-timeout``."""
        connection = self.connection
        if connection is not None:
            self._untaken = connection.untaken()
            self._taken_at = now = monotonic()
            connection.deadline = now + self._forward.proxying.send_timeout / LOOKS
        self._client.request_may_flow(False)

    def is_still_taken(self, connection: UpstreamConnection | EndpointStream, now: float) -> bool:
        """Whether the endpoint gets more time, though its deadline is over: the request is not all written, and it took
        some of it since the last look (nginx counts the time between two writes). Then there is another deadline."""
        untaken = connection.untaken()
        if not untaken or connection is not self.connection:
            return False
        if untaken < self._untaken or self._untaken < 0:
            self._taken_at = now
        timeout = self._forward.proxying.send_timeout
        self._untaken = untaken
        if now - self._taken_at >= timeout:
            return False
        connection.deadline = min(now + timeout / LOOKS, self._taken_at + timeout)
        return True

    def resume_client(self) -> None:
        """The endpoint takes more of the body."""
        self._untaken = -1
        connection = self.connection
        if connection is not None:
            waits = self.request_sent or self.status == 101
            connection.deadline = monotonic() + connection.read_timeout if waits else NEVER
            if not waits and self.stored is not None:
                self._send_stored(connection)
                return
        self._client.request_may_flow(True)
