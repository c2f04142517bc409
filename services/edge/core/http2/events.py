"""What a connection tells its consumer: heads and events, frozen values without a reference to the connection.

A head that repeats is the same object again (as long as the peer's compression lets us see that it repeats), and heads
compare by identity: what a consumer derives from one, it may keep in a dictionary under that object.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

Fields = tuple[tuple[bytes, bytes], ...]
"""(lower-case name, value) in order. Syntax is checked: names are tokens, values hold no control bytes."""

NO_LENGTH = -1
"""``length`` of a message whose head does not tell it."""


class RequestHead(Struct, frozen=True, gc=False, eq=False):
    """A request without its path, valid by RFC 9113 sections 8.2 and 8.3.

    ``scheme``: ``http`` or ``https``, empty for CONNECT. ``authority``: of ``:authority``, else of Host; the two agree
    if both came; empty if none did. ``length``: Content-Length. ``takes_trailers``: ``te: trailers`` came. ``fields``:
    all but host, content-length and te; crumbs of Cookie are one field (RFC 9113 section 8.2.3).
    """

    method: bytes
    scheme: bytes
    authority: bytes
    length: int
    takes_trailers: bool
    fields: Fields


class ResponseHead(Struct, frozen=True, gc=False, eq=False):
    """A response, valid by RFC 9113 sections 8.2 and 8.3. ``fields``: all but content-length, which is ``length``."""

    status: int
    length: int
    fields: Fields


class RequestReceived(Struct, frozen=True, gc=False):
    """Server: a request. ``path``: of visible ASCII; begins with ``/``, or is ``*`` (OPTIONS), or empty (CONNECT).

    ``ended``: it has no body.
    """

    stream_id: int
    head: RequestHead
    path: bytes
    ended: bool


class HeadTooLarge(Struct, frozen=True, gc=False):
    """Server: a request of more fields or bytes than allowed, to be answered with 431 and then reset (NO_ERROR) unless
    ``ended``. What its body brings is thrown away by the engine."""

    stream_id: int
    ended: bool


class ResponseReceived(Struct, frozen=True, gc=False):
    """Client: the final response. ``ended``: it has no body."""

    stream_id: int
    head: ResponseHead
    ended: bool


class InformationReceived(Struct, frozen=True, gc=False):
    """Client: a response with status 1xx; the final one follows."""

    stream_id: int
    head: ResponseHead


class DataReceived(Struct, frozen=True, gc=False):
    """A piece of a body. ``length``: what it takes of the window (padding included): hand it to ``took`` when the bytes
    have been passed on. ``ended``: the message is complete, and agrees with its Content-Length."""

    stream_id: int
    data: bytes
    length: int
    ended: bool


class TrailersReceived(Struct, frozen=True, gc=False):
    """Fields after a body; the message is complete. None of them is about framing or routing."""

    stream_id: int
    fields: Fields


class StreamReset(Struct, frozen=True, gc=False):
    """A stream ended before its time; commands for it do nothing from now on.

    ``remote``: the peer did it; otherwise the peer was wrong and the engine has reset the stream for ``reason`` (one
    word for a counter); then there may have been no earlier event of this stream. Client: code REFUSED_STREAM means
    that the endpoint has not looked at the request, which may be sent again elsewhere.
    """

    stream_id: int
    code: int
    remote: bool
    reason: str = ""


class WindowOpened(Struct, frozen=True, gc=False):
    """All that waited on this stream has been framed: the consumer may send more."""

    stream_id: int


class SettingsReceived(Struct, frozen=True, gc=False):
    """The peer's settings came or changed. ``streams``: how many it lets us open at once."""

    streams: int


class PingAnswered(Struct, frozen=True, gc=False):
    """The answer to a ``ping`` with these eight bytes."""

    payload: bytes


class GoAwayReceived(Struct, frozen=True, gc=False):
    """The peer takes no new streams. Client: streams above ``last_stream_id`` get a StreamReset of their own, the
    others go on; no further request may be sent here."""

    last_stream_id: int
    code: int


class ConnectionFailed(Struct, frozen=True, gc=False):
    """The peer broke a rule or a limit: always the last event. GOAWAY is among the bytes to send; then close.

    No stream lives on, and none gets an event of its own. ``reason``: one word for a counter.
    """

    code: int
    reason: str


Event = (
    RequestReceived
    | HeadTooLarge
    | ResponseReceived
    | InformationReceived
    | DataReceived
    | TrailersReceived
    | StreamReset
    | WindowOpened
    | SettingsReceived
    | PingAnswered
    | GoAwayReceived
    | ConnectionFailed
)

PIECES: Final = 32
"""From so many events on it is worth looking for pieces of one body among them."""


def joined(events: list[Event]) -> list[Event]:
    """The events with all pieces of a body as one, where nothing else happened on its stream between them: who sends a
    body a byte at a time makes no more work with it than others. Streams have no order among each other."""
    made: list[Event | list[DataReceived]] = []
    runs: dict[int, list[DataReceived]] = {}
    for event in events:
        if event.__class__ is DataReceived:
            assert isinstance(event, DataReceived)
            run = runs.get(event.stream_id)
            if run is None:
                run = runs[event.stream_id] = []
                made.append(run)
            run.append(event)
        else:
            runs.pop(getattr(event, "stream_id", 0), None)
            made.append(event)
    return [_one(each) if isinstance(each, list) else each for each in made]


def _one(run: list[DataReceived]) -> DataReceived:
    last = run[-1]
    if len(run) == 1:
        return last
    data = b"".join([piece.data for piece in run])
    return DataReceived(last.stream_id, data, sum([piece.length for piece in run]), last.ended)
