"""The other end of a connection, frame by frame: what it sends is bytes, what it got is frames."""

from __future__ import annotations

from typing import NamedTuple

from services.edge.core.http2 import CLIENT_LIMITS, ENDPOINT_LIMITS, ClientConnection, Limits, ServerConnection
from services.edge.core.http2.events import ConnectionFailed, Event, SettingsReceived, StreamReset
from services.edge.core.http2.frames import PREFACE, SETTINGS_ACK, pack_header, settings, unpack_header, unpack_number
from services.edge.core.http2.hpack_encoder import encode_fields

GET = ((b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/"))
POST = ((b":method", b"POST"), *GET[1:])
OK = ((b":status", b"200"),)


class Frame(NamedTuple):
    """A frame as it lies on the wire."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """A frame with any content."""
    return pack_header(len(payload) << 8 | kind, flags, stream_id) + payload


def headers(stream_id: int, fields: tuple[tuple[bytes, bytes], ...] = GET, flags: int = 5) -> bytes:
    """HEADERS; by default they are complete and end the stream."""
    return frame(1, flags, stream_id, encode_fields(fields))


def data(stream_id: int, payload: bytes, flags: int = 0) -> bytes:
    """DATA."""
    return frame(0, flags, stream_id, payload)


def number(kind: int, stream_id: int, value: int, flags: int = 0) -> bytes:
    """A frame with one number: RST_STREAM or WINDOW_UPDATE."""
    return frame(kind, flags, stream_id, value.to_bytes(4, "big"))


def frames_of(sent: bytes) -> list[Frame]:
    """What ``sent`` consists of."""
    found = []
    while sent:
        word, flags, stream_id = unpack_header(sent)
        end = 9 + (word >> 8)
        found.append(Frame(word & 255, flags, stream_id, sent[9:end]))
        sent = sent[end:]
    return found


class Peer:
    """Talks to one of our halves; ``events`` and ``got`` are what came of the last ``send``."""

    def __init__(self, connection: ServerConnection | ClientConnection) -> None:
        self.connection = connection
        self.now = 1000.0
        self.events: list[Event] = []
        self.opening = connection.data_to_send()

    def send(self, *pieces: bytes) -> list[Event]:
        """Let the connection read; gives its events."""
        self.events = self.connection.receive(b"".join(pieces), self.now)
        return self.events

    def got(self) -> list[Frame]:
        """The frames that the connection has sent since."""
        return frames_of(self.connection.data_to_send())

    def failure(self) -> tuple[int, str] | None:
        """(code, reason) if the last event is the connection's end, told to the peer by GOAWAY."""
        last = self.events[-1] if self.events else None
        if not isinstance(last, ConnectionFailed):
            return None
        goaway = self.got()[-1]
        assert goaway.kind == 7
        assert unpack_number(goaway.payload, 4)[0] == last.code
        assert goaway.payload[8:] == last.reason.encode()
        assert self.connection.closed
        return last.code, last.reason

    def reset(self) -> tuple[int, str] | None:
        """(code, reason) if the last event is a stream that was reset by us, told to the peer by RST_STREAM."""
        last = self.events[-1] if self.events else None
        if not isinstance(last, StreamReset) or last.remote:
            return None
        rst = self.got()[-1]
        assert (rst.kind, rst.stream_id) == (3, last.stream_id)
        assert unpack_number(rst.payload)[0] == last.code
        return last.code, last.reason


def client_of(limits: Limits = CLIENT_LIMITS, values: dict[int, int] | None = None) -> Peer:
    """A client of our server half, past the exchange of settings."""
    peer = Peer(ServerConnection(limits))
    events = peer.send(PREFACE, settings(values or {}), SETTINGS_ACK)
    assert isinstance(events[0], SettingsReceived)
    peer.got()
    return peer


def endpoint_of(limits: Limits = ENDPOINT_LIMITS, values: dict[int, int] | None = None) -> Peer:
    """An endpoint of our client half, past the exchange of settings."""
    peer = Peer(ClientConnection(limits))
    peer.send(settings(values or {}), SETTINGS_ACK)
    peer.got()
    return peer
