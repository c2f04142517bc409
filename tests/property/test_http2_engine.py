"""The HTTP/2 engine with the h2 library as the other end, and as an oracle on broken frames."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from hypothesis import given, settings
from hypothesis import strategies as st

from services.edge.core.http2 import (
    CLIENT_LIMITS,
    ENDPOINT_LIMITS,
    ClientConnection,
    ServerConnection,
    encode_fields,
    encode_request,
    encode_response,
)
from services.edge.core.http2.events import (
    ConnectionFailed,
    DataReceived,
    Event,
    RequestReceived,
    ResponseReceived,
    StreamReset,
    TrailersReceived,
)
from services.edge.core.http2.frames import PREFACE
from tests.unit.edge.http2_engine.peer import frames_of

Pairs = tuple[tuple[bytes, bytes], ...]

names = st.sampled_from([b"accept", b"user-agent", b"x-a", b"x-b", b"grpc-timeout", b"etag"])
values = st.text("abcdefgh/=;, \t\x7e\u00e9", max_size=12).map(lambda text: text.strip().encode("latin-1"))
fields = st.lists(st.tuples(names, values), max_size=5).map(tuple)
paths = st.text("abc/?=%2F", max_size=30).map(lambda text: b"/" + text.encode())
bodies = st.lists(st.integers(0, 40_000), max_size=4)
messages = st.tuples(paths, fields, bodies, st.none() | fields.filter(bool))
"""(path of a request, its fields or those of a response, lengths of the pieces of the body, trailers)."""

Message = tuple[bytes, Pairs, list[int], Pairs | None]


def _library(client_side: bool) -> h2.connection.H2Connection:
    return h2.connection.H2Connection(h2.config.H2Configuration(client_side=client_side, header_encoding=None))


def _body(message: Message) -> list[bytes]:
    return [bytes((at + 65,)) * length for at, length in enumerate(message[2])]


def _expected(message: Message) -> tuple[Pairs, bytes, Pairs]:
    return message[1], b"".join(_body(message)), message[3] or ()


class _Library:
    """A half of the library that sends what it is given as its window allows, and notes what came."""

    def __init__(self, client_side: bool, window: int) -> None:
        self.connection = _library(client_side)
        self.connection.initiate_connection()
        self.connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.pending: dict[int, list[bytes]] = {}
        self.trailers: dict[int, Pairs | None] = {}
        self.heads: dict[int, list[tuple[bytes, bytes]]] = {}
        self.bodies: dict[int, bytes] = {}
        self.tails: dict[int, list[tuple[bytes, bytes]]] = {}
        self.ended: set[int] = set()

    def send(self, stream_id: int, head: list[tuple[bytes, bytes]], message: Message) -> None:
        self.connection.send_headers(stream_id, [*head, *message[1]])
        self.pending[stream_id], self.trailers[stream_id] = _body(message), message[3]

    def flush(self) -> bytes:
        for stream_id in list(self.pending):
            self._flush(stream_id)
        return self.connection.data_to_send()

    def _flush(self, stream_id: int) -> None:
        pending = self.pending[stream_id]
        while pending:
            room = min(self.connection.local_flow_control_window(stream_id), self.connection.max_outbound_frame_size)
            if room <= 0 and pending[0]:
                return
            piece, rest = pending[0][:room], pending[0][room:]
            self.connection.send_data(stream_id, piece)
            pending[:1] = [rest] if rest else []
        del self.pending[stream_id]
        trailers = self.trailers[stream_id]
        if trailers is None:
            self.connection.end_stream(stream_id)
        else:
            self.connection.send_headers(stream_id, trailers, end_stream=True)

    def receive(self, data: bytes) -> None:
        for event in self.connection.receive_data(data):
            if isinstance(event, h2.events.RequestReceived | h2.events.ResponseReceived):
                self.heads[event.stream_id] = list(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.TrailersReceived):
                self.tails[event.stream_id] = list(event.headers)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.add(event.stream_id)
            else:
                assert not isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated), event

    def message(self, stream_id: int) -> tuple[Pairs, bytes, Pairs]:
        regular = tuple(pair for pair in self.heads[stream_id] if not pair[0].startswith(b":"))
        return regular, self.bodies.get(stream_id, b""), tuple(self.tails.get(stream_id, ()))


class _Ours:
    """One of our halves that notes what came, and takes it at once."""

    def __init__(self, connection: ServerConnection | ClientConnection) -> None:
        self.connection = connection
        self.heads: dict[int, RequestReceived | ResponseReceived] = {}
        self.bodies: dict[int, bytes] = {}
        self.tails: dict[int, Pairs] = {}
        self.ended: set[int] = set()

    def receive(self, data: bytes) -> None:
        for event in self.connection.receive(data, 0.0):
            assert not isinstance(event, ConnectionFailed | StreamReset), event
            if isinstance(event, RequestReceived | ResponseReceived):
                self.heads[event.stream_id] = event
            elif isinstance(event, DataReceived):
                self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
                self.connection.took(event.stream_id, event.length)
            elif isinstance(event, TrailersReceived):
                self.tails[event.stream_id] = event.fields
            if isinstance(event, TrailersReceived) or getattr(event, "ended", False):
                self.ended.add(event.stream_id)  # type: ignore[union-attr]

    def send_rest(self, stream_id: int, message: Message) -> None:
        for piece in _body(message):
            self.connection.send_data(stream_id, piece)
        if message[3] is None:
            self.connection.send_data(stream_id, b"", True)
        else:
            self.connection.send_trailers(stream_id, encode_fields(message[3]))

    def message(self, stream_id: int) -> tuple[Pairs, bytes, Pairs]:
        return self.heads[stream_id].head.fields, self.bodies.get(stream_id, b""), self.tails.get(stream_id, ())


def _exchange(library: _Library, ours: _Ours, pieces: int) -> None:
    """Carry bytes both ways, in pieces of some size, until nobody has any."""
    quiet = False
    while not quiet:
        there, back = library.flush(), ours.connection.data_to_send()
        quiet = not there and not back
        for at in range(0, len(there), pieces):
            ours.receive(there[at : at + pieces])
        library.receive(back)


piece_sizes = st.sampled_from([1_000, 16_384, 65_536])
windows = st.sampled_from([100, 5_000, 65_535, 2**20])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(messages, messages), min_size=1, max_size=5), piece_sizes, windows)
def test_our_server_and_their_client(turns: list[tuple[Message, Message]], pieces: int, window: int) -> None:
    library, ours = _Library(True, window), _Ours(ServerConnection(CLIENT_LIMITS))
    _exchange(library, ours, pieces)
    for at, (request, _) in enumerate(turns):
        head = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", request[0])]
        library.send(2 * at + 1, head, request)
    _exchange(library, ours, pieces)
    for at, (_, response) in enumerate(turns):
        ours.connection.send_head(2 * at + 1, encode_response(200, response[1]))
        ours.send_rest(2 * at + 1, response)
    _exchange(library, ours, pieces)
    for at, (request, response) in enumerate(turns):
        stream_id = 2 * at + 1
        assert stream_id in ours.ended
        assert stream_id in library.ended
        assert ours.heads[stream_id].path == request[0]  # type: ignore[union-attr]
        assert ours.message(stream_id) == _expected(request)
        assert library.message(stream_id) == _expected(response)
    assert ours.connection.open_streams == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(messages, messages), min_size=1, max_size=5), piece_sizes, windows)
def test_our_client_and_their_server(turns: list[tuple[Message, Message]], pieces: int, window: int) -> None:
    client = ClientConnection(ENDPOINT_LIMITS)
    library, ours = _Library(False, window), _Ours(client)
    _exchange(library, ours, pieces)
    for request, _ in turns:
        stream_id = client.request(encode_request(b"POST", b"https", b"a", request[0], request[1]))
        ours.send_rest(stream_id, request)
    _exchange(library, ours, pieces)
    for at, (_, response) in enumerate(turns):
        library.send(2 * at + 1, [(b":status", b"200")], response)
    _exchange(library, ours, pieces)
    for at, (request, response) in enumerate(turns):
        assert dict(library.heads[2 * at + 1])[b":path"] == request[0]
        assert library.message(2 * at + 1) == _expected(request)
        assert ours.message(2 * at + 1) == _expected(response)
    assert client.open_streams == 0


# --- broken frames ------------------------------------------------------------------------------------------------


_MISTAKES = ("byte", "byte", "flags", "type", "stream", "twice", "without", "exchange", "foreign")


@st.composite
def streams_of_frames(draw: st.DrawFn) -> list[bytes]:
    """What a client of the library sends, frame by frame: some are changed, left out, sent twice or out of turn."""
    library = _library(True)
    library.initiate_connection()
    for at in range(draw(st.integers(1, 4))):
        path, pairs, lengths, trailers = draw(messages)
        head = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", path), *pairs]
        library.send_headers(2 * at + 1, head)
        for length in lengths:
            library.send_data(2 * at + 1, bytes(length % 500), pad_length=draw(st.none() | st.integers(0, 9)))
        if trailers is None:
            library.end_stream(2 * at + 1)
        else:
            library.send_headers(2 * at + 1, trailers, end_stream=True)
        if draw(st.booleans()):
            library.ping(b"01234567")
    data = library.data_to_send()[len(PREFACE) :]
    sent = [
        (len(frame.payload) << 8 | frame.kind).to_bytes(4, "big")
        + bytes((frame.flags,))
        + frame.stream_id.to_bytes(4, "big")
        + frame.payload
        for frame in frames_of(data)
    ]
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(sent) - 1))
        what = draw(st.sampled_from(_MISTAKES))
        frame = bytearray(sent[at])
        if what == "byte" and len(frame) > 9:
            frame[draw(st.integers(9, len(frame) - 1))] = draw(st.integers(0, 255))
        elif what == "flags":
            frame[4] = draw(st.sampled_from([0, 1, 4, 5, 8, 9, 0x20, 0x2D]))
        elif what == "type":
            frame[3] = draw(st.integers(0, 11))
        elif what == "stream":
            frame[8] = draw(st.integers(0, 9))
        sent[at] = bytes(frame)
        if what == "twice":
            sent.insert(at, sent[at])
        elif what == "without" and len(sent) > 1:
            del sent[at]
        elif what == "exchange":
            other = draw(st.integers(0, len(sent) - 1))
            sent[at], sent[other] = sent[other], sent[at]
        elif what == "foreign":
            payload = draw(st.binary(max_size=12))
            kind, flags, stream_id = draw(st.integers(0, 10)), draw(st.integers(0, 63)), draw(st.integers(0, 9))
            foreign = (len(payload) << 8 | kind).to_bytes(4, "big") + bytes((flags,)) + stream_id.to_bytes(4, "big")
            sent.insert(at, foreign + payload)
    return sent


def _serve(pieces: list[bytes]) -> tuple[list[Event], bytes]:
    """What a server of ours makes of ``pieces``, answering each request that is complete."""
    connection = ServerConnection(CLIENT_LIMITS)
    events: list[Event] = []
    for piece in [PREFACE, *pieces]:
        new = connection.receive(piece, 0.0)
        for event in new:
            if isinstance(event, DataReceived):
                connection.took(event.stream_id, event.length)
        events += new
    return events, connection.data_to_send()


@settings(max_examples=80, deadline=None)
@given(streams_of_frames(), st.data())
def test_pieces_make_no_difference(sent: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(sent)
    events, answer = _serve(sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert [_comparable(event) for event in _serve(pieces)[0]] == [_comparable(event) for event in events]
    if len(whole) < 2_000:
        single, same = _serve([whole[at : at + 1] for at in range(len(whole))])
        assert [_comparable(event) for event in single] == [_comparable(event) for event in events]
        assert frames_of(same) == frames_of(answer)


def _comparable(event: Event) -> object:
    if isinstance(event, RequestReceived):
        head = event.head
        return event.stream_id, event.path, event.ended, head.method, head.authority, head.length, head.fields
    return event


@settings(max_examples=150, deadline=None)
@given(streams_of_frames())
def test_what_we_take_the_library_takes_for_the_same(sent: list[bytes]) -> None:
    """Frame by frame, until either ends the connection or resets a stream: from there each goes its own way."""
    ours, library = ServerConnection(CLIENT_LIMITS), _library(False)
    library.initiate_connection()
    ours.receive(PREFACE, 0.0)
    library.receive_data(PREFACE)
    for frame in sent:
        events = ours.receive(frame, 0.0)
        if any(isinstance(event, ConnectionFailed | StreamReset) for event in events):
            return
        theirs = _read(library, frame)
        if isinstance(theirs, Exception):
            assert _may_be_stricter(frame, theirs), (frame, theirs, events)
            return
        if any(isinstance(event, h2.events.StreamReset) for event in theirs):
            return
        assert list(filter(None, map(_ours, events))) == list(filter(None, map(_theirs, theirs)))


def _read(library: h2.connection.H2Connection, frame: bytes) -> list[h2.events.Event] | Exception:
    try:
        return library.receive_data(frame)
    except h2.exceptions.ProtocolError as error:
        return error


def _may_be_stricter(frame: bytes, error: Exception) -> bool:
    """Where the library refuses what the RFC lets us ignore: broken ALTSVC, values of setting 8, anything after GOAWAY,
    and the reserved bit of a window update."""
    kind, said = frame[3], str(error)
    return kind == 10 or "Setting 8 " in said or "ConnectionState.CLOSED" in said or (kind == 8 and frame[9] >= 0x80)


def _ours(event: Event) -> object:
    if isinstance(event, RequestReceived):
        pairs = [(name, value) for name, value in event.head.fields]
        return "request", event.stream_id, event.path, event.head.method, sorted(pairs)
    if isinstance(event, DataReceived):
        return "data", event.stream_id, event.data
    if isinstance(event, TrailersReceived):
        return "trailers", event.stream_id, list(event.fields)
    return None


def _theirs(event: h2.events.Event) -> object:
    if isinstance(event, h2.events.RequestReceived):
        pseudo = dict(event.headers)
        pairs = [(name, value) for name, value in event.headers if not name.startswith(b":")]
        return "request", event.stream_id, pseudo[b":path"], pseudo[b":method"], sorted(pairs)
    if isinstance(event, h2.events.DataReceived):
        return "data", event.stream_id, event.data
    if isinstance(event, h2.events.TrailersReceived):
        return "trailers", event.stream_id, list(event.headers)
    return None
