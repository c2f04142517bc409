"""Bytes as three parsers read them: h11, llhttp (by httptools), and one written here that is as strict as can be.

Each gives the messages it found and how the bytes ended. Names of headers are in lower case, so that readings compare.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import h11
import httptools

Ending = Literal["clean", "partial", "error"]


@dataclass(frozen=True)
class Message:
    """A request (``start``: method and target) or a response (``start``: the status)."""

    start: tuple[bytes, ...]
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def essence(self) -> tuple[tuple[bytes, ...], bytes]:
        """What must be the same before and behind an edge."""
        return self.start, self.body

    @property
    def framed(self) -> bool:
        """Whether a header announces a body."""
        return self.values(b"content-length") not in ([], [b"0"]) or bool(self.values(b"transfer-encoding"))

    def values(self, name: bytes) -> list[bytes]:
        """The values of a header."""
        return [value for key, value in self.headers if key == name]


@dataclass
class Reading:
    """What a parser made of bytes. ``partial``: a message has begun and is not complete."""

    messages: list[Message] = field(default_factory=list)
    ending: Ending = "clean"


Parser = Callable[[bytes], Reading]


# --- strictly ---------------------------------------------------------------------------------------------------

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(%b) ((?:/|\*$)[\x21\x22\x24-\x7e]*) HTTP/1\.1" % _TOKEN)
_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-9][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?")
_FIELD = re.compile(rb"(%b):[\t ]*([\t\x20-\x7e\x80-\xff]*?)[\t ]*" % _TOKEN)
_SIZE = re.compile(rb"[1-9a-f][0-9a-f]{0,7}|0")


class MalformedError(Exception):
    """Not as strict as can be."""


def read_one(data: bytes, at: int = 0, *, response: bool = False) -> tuple[Message, int] | None:
    """The message that begins at ``at`` and where it ends; None: it is not complete. Raises MalformedError."""
    end = data.find(b"\r\n\r\n", at)
    if end < 0:
        return None
    first, *lines = data[at:end].split(b"\r\n")
    match = (_STATUS_LINE if response else _REQUEST_LINE).fullmatch(first)
    if match is None:
        raise MalformedError(first)
    fields = [_FIELD.fullmatch(line) for line in lines]
    if None in fields:
        raise MalformedError(lines)
    headers = tuple((found[1].lower(), found[2]) for found in fields if found is not None)
    bodiless = response and (match[1] in (b"204", b"304") or match[1].startswith(b"1"))
    read = _body(data, end + 4, headers, bodiless=bodiless)
    if read is None:
        return None
    start = (match[1],) if response else (match[1], match[2])
    message = Message(start, headers, read[0])
    if not response and len(message.values(b"host")) != 1:
        raise MalformedError("hosts")
    return message, read[1]


def _body(
    data: bytes, at: int, headers: tuple[tuple[bytes, bytes], ...], *, bodiless: bool
) -> tuple[bytes, int] | None:
    lengths = [value for name, value in headers if name == b"content-length"]
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise MalformedError(lengths, codings)
    if bodiless:
        return b"", at
    if lengths:
        if re.fullmatch(rb"0|[1-9][0-9]{0,14}", lengths[0]) is None:
            raise MalformedError(lengths)
        end = at + int(lengths[0])
        return (data[at:end], end) if end <= len(data) else None
    if codings:
        if codings != [b"chunked"]:
            raise MalformedError(codings)
        return _chunks(data, at)
    return b"", at


def _chunks(data: bytes, at: int) -> tuple[bytes, int] | None:
    body = b""
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        if _SIZE.fullmatch(data[at:end]) is None:
            raise MalformedError(data[at:end])
        size = int(data[at:end], 16)
        at = end + 2
        if len(data) < at + size + 2:
            return None
        if data[at + size : at + size + 2] != b"\r\n":  # also where trailers would stand
            raise MalformedError("end of a chunk")
        body += data[at : at + size]
        at += size + 2
        if not size:
            return body, at


def strictly(data: bytes) -> Reading:
    """Requests, read by what stands above."""
    return _in_turn(data, response=False)


def strictly_responses(data: bytes) -> Reading:
    """Responses, likewise."""
    return _in_turn(data, response=True)


def _in_turn(data: bytes, *, response: bool) -> Reading:
    reading = Reading()
    at = 0
    try:
        while at < len(data):
            read = read_one(data, at, response=response)
            if read is None:
                reading.ending = "partial"
                break
            message, at = read
            reading.messages.append(message)
    except MalformedError:
        reading.ending = "error"
    return reading


# --- h11 --------------------------------------------------------------------------------------------------------


def by_h11(data: bytes) -> Reading:
    """Requests, each answered with 200 so that the next is looked at, until one ends the connection."""
    reading = Reading()
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data.removeprefix(b"\r\n"))  # an empty line is no error, but for h11
    head: h11.Request | None = None
    body = b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                head, body = event, b""
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                reading.messages.append(Message((head.method, head.target), _lower(head.headers), body))
                if head.method == b"CONNECT":
                    return reading
                if head.http_version == b"1.0":
                    reading.ending = "error" if connection.trailing_data[0] else "clean"
                    return reading  # it keeps no connection of HTTP/1.0
                head = None
                bodiless = [(b"Content-Length", b"0")]
                connection.send(h11.Response(status_code=200, headers=bodiless))
                connection.send(h11.EndOfMessage())
                if connection.our_state is h11.MUST_CLOSE:
                    return reading
                connection.start_next_cycle()
            else:
                break
    except h11.RemoteProtocolError:
        reading.ending = "error"
        return reading
    if head is not None or connection.trailing_data[0]:
        reading.ending = "partial"
    return reading


def by_h11_responses(data: bytes, *, ended: bool = False) -> Reading:
    """Responses to GET. ``ended``: nothing comes behind ``data``."""
    reading = Reading()
    ask = h11.Request(method="GET", target="/", headers=[("Host", "h")])
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    connection.send(ask)
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    if ended:
        connection.receive_data(b"")
    head: h11.Response | None = None
    body = b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                head, body = event, b""
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                reading.messages.append(Message((b"%d" % head.status_code,), _lower(head.headers), body))
                head = None
                if connection.their_state is not h11.DONE:
                    return reading
                connection.start_next_cycle()
                if not connection.trailing_data[0]:
                    return reading
                connection.send(ask)
                connection.send(h11.EndOfMessage())
            elif not isinstance(event, h11.InformationalResponse):
                break
    except h11.RemoteProtocolError:
        reading.ending = "error"
        return reading
    reading.ending = "partial" if head is not None or data else "clean"
    return reading


def _lower(headers: h11.Headers) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.lower(), value) for name, value in headers)


# --- llhttp -----------------------------------------------------------------------------------------------------


class _Events:
    """What llhttp calls back."""

    def __init__(self) -> None:
        self.reading = Reading()
        self.open = False
        self.parser: httptools.HttpRequestParser | httptools.HttpResponseParser
        self._url = self._body = b""
        self._headers: list[tuple[bytes, bytes]] = []

    def on_message_begin(self) -> None:
        self.open = True
        self._url = self._body = b""
        self._headers = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.open = False
        parser = self.parser
        if isinstance(parser, httptools.HttpRequestParser):
            start: tuple[bytes, ...] = (parser.get_method(), self._url)
        else:
            start = (b"%d" % parser.get_status_code(),)
            if start[0][:1] == b"1":
                return
        self.reading.messages.append(Message(start, tuple(self._headers), self._body))


def by_llhttp(data: bytes) -> Reading:
    """Requests."""
    return _llhttp(data, httptools.HttpRequestParser)


def by_llhttp_responses(data: bytes) -> Reading:
    """Responses, none of them to HEAD."""
    return _llhttp(data, httptools.HttpResponseParser)


def _llhttp(data: bytes, kind: type[httptools.HttpRequestParser] | type[httptools.HttpResponseParser]) -> Reading:
    events = _Events()
    while True:
        events.parser = kind(events)
        try:
            events.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:  # an endpoint that does not take it reads on behind the request
            data = data[upgrade.args[0] :]
            if data and events.reading.messages[-1].framed:  # it takes the body for the other protocol
                events.reading.messages.pop()
                events.reading.ending = "error"
                break
            if data:
                continue
        except httptools.HttpParserError:
            events.reading.ending = "error"
            return events.reading
        break
    if events.open:
        events.reading.ending = "partial"
    return events.reading


LLHTTP_METHODS = frozenset(
    b"DELETE GET HEAD POST PUT OPTIONS COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND REBIND UNBIND ACL "
    b"REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PATCH PURGE MKCALENDAR LINK UNLINK "
    b"SOURCE QUERY".split()
)
"""Methods that llhttp knows: others it does not read at all."""


def requests_alike(data: bytes) -> Reading:
    """What all three read in ``data``, which left an edge. Raises AssertionError where they differ."""
    ours, h11s = strictly(data), by_h11(data)
    assert ours.ending != "error", data
    assert h11s == ours, (ours, h11s)
    if all(message.start[0] in LLHTTP_METHODS for message in ours.messages) and ours.ending == "clean":
        assert by_llhttp(data) == ours, (ours, by_llhttp(data))
    return ours


def responses_alike(data: bytes) -> Reading:
    """The same for responses (none of them to HEAD)."""
    ours, h11s, llhttps = strictly_responses(data), by_h11_responses(data), by_llhttp_responses(data)
    assert ours.ending != "error", data
    assert [message.essence for message in h11s.messages] == [message.essence for message in ours.messages]
    assert [message.essence for message in llhttps.messages] == [message.essence for message in ours.messages]
    return ours
