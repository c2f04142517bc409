"""What a connection keeps of each open stream."""

from __future__ import annotations

from collections import deque

from services.edge.core.http2.events import NO_LENGTH


class Stream:
    """One stream, from its head until both sides have ended or either reset it; then it is forgotten.

    ``send_window``, ``receive_window``: what may still be sent either way. ``expected``: what is still to come of the
    body by Content-Length, or NO_LENGTH. ``untaken``: bytes that the consumer was given and has not passed on;
    ``aside``: those of them for which the stream alone waits; ``credit``: those that it has, of which the peer does not
    know yet. ``discarded``: what comes is of no interest. ``queue``: pieces that wait for the window, ``queued`` bytes;
    then come ``trailers``, or the end if ``ends_after_queue``. ``headed``: the final head has come: now a body may.
    ``bodiless``: the response to HEAD.
    """

    __slots__ = (
        "aside",
        "bodiless",
        "credit",
        "discarded",
        "ends_after_queue",
        "expected",
        "headed",
        "id",
        "local_ended",
        "queue",
        "queued",
        "receive_window",
        "remote_ended",
        "send_window",
        "trailers",
        "untaken",
    )

    def __init__(self, stream_id: int, send_window: int, receive_window: int, headed: bool, remote_ended: bool) -> None:
        self.id = stream_id
        self.send_window = send_window
        self.receive_window = receive_window
        self.headed = headed
        self.remote_ended = remote_ended
        self.local_ended = False
        self.expected = NO_LENGTH
        self.untaken = self.aside = 0
        self.credit = 0
        self.queued = 0
        self.queue: deque[bytes | memoryview] | None = None
        self.trailers = b""
        self.ends_after_queue = False
        self.discarded = False
        self.bodiless = False
