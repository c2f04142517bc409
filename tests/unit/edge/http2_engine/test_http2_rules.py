"""What a client may not do, and what it costs: the stream or the connection (RFC 9113, section by section)."""

from __future__ import annotations

import pytest

from services.edge.core.http2 import CLIENT_LIMITS, ServerConnection
from services.edge.core.http2.errors import (
    COMPRESSION_ERROR,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
)
from services.edge.core.http2.events import ConnectionFailed, RequestReceived, StreamReset
from services.edge.core.http2.frames import PREFACE, SETTINGS_ACK, settings
from services.edge.core.http2.hpack_encoder import encode_fields
from tests.unit.edge.http2_engine.peer import GET, POST, Peer, client_of, data, frame, headers, number

BLOCK = encode_fields(GET)
OPEN = headers(1, POST, 4)
PRIORITY_ITSELF = (1).to_bytes(4, "big") + b"\x10"

CONNECTION_FAULTS = {
    "4.2 a frame larger than we take": (frame(0, 0, 1, bytes(16385)), FRAME_SIZE_ERROR, "frame-too-large"),
    "4.3 another frame amid a block": (
        frame(1, 1, 1, BLOCK) + frame(2, 0, 1, bytes(5)),
        PROTOCOL_ERROR,
        "interleaved",
    ),
    "4.3 an unknown frame amid a block": (frame(1, 1, 1, BLOCK) + frame(99, 0, 1), PROTOCOL_ERROR, "interleaved"),
    "4.3 a block that is no HPACK": (frame(1, 5, 1, b"\x40"), COMPRESSION_ERROR, "truncated"),
    "5.1 data on an idle stream": (data(3, b"x"), PROTOCOL_ERROR, "data-on-idle-stream"),
    "5.1 a reset of an idle stream": (number(3, 3, 8), PROTOCOL_ERROR, "reset-of-idle-stream"),
    "5.1 a window for an idle stream": (number(8, 3, 8), PROTOCOL_ERROR, "window-update-on-idle-stream"),
    "5.1.1 a stream with an even number": (headers(2), PROTOCOL_ERROR, "even-stream"),
    "5.1.1 a stream that was passed over": (headers(5) + headers(3), PROTOCOL_ERROR, "stream-order"),
    "6.1 data on no stream": (data(0, b"x"), PROTOCOL_ERROR, "data-on-stream-0"),
    "6.1 more padding than payload": (OPEN + frame(0, 8, 1, b"\x05abcd"), PROTOCOL_ERROR, "padding"),
    "6.1 padding that is not there": (OPEN + frame(0, 8, 1), PROTOCOL_ERROR, "padding"),
    "6.2 headers on no stream": (headers(0), PROTOCOL_ERROR, "headers-on-stream-0"),
    "6.2 padding over the block": (frame(1, 13, 1, b"\xff" + BLOCK), PROTOCOL_ERROR, "padding"),
    "6.2 a priority that is cut off": (frame(1, 0x25, 1, b"abc"), FRAME_SIZE_ERROR, "headers-size"),
    "6.3 a priority on no stream": (frame(2, 0, 0, bytes(5)), PROTOCOL_ERROR, "priority-on-stream-0"),
    "6.4 a reset of no stream": (number(3, 0, 8), PROTOCOL_ERROR, "reset-of-idle-stream"),
    "6.4 a reset without its code": (OPEN + frame(3, 0, 1, b"abc"), FRAME_SIZE_ERROR, "rst-stream-size"),
    "6.5 settings on a stream": (frame(4, 0, 1), PROTOCOL_ERROR, "settings-on-stream"),
    "6.5 an acknowledgement with settings": (frame(4, 1, 0, bytes(6)), FRAME_SIZE_ERROR, "settings-size"),
    "6.5 half a setting": (frame(4, 0, 0, bytes(3)), FRAME_SIZE_ERROR, "settings-size"),
    "6.5.2 push neither on nor off": (settings({2: 2}), PROTOCOL_ERROR, "enable-push"),
    "6.5.2 a window that is too large": (settings({4: 2**31}), FLOW_CONTROL_ERROR, "initial-window-size"),
    "6.5.2 frames that are too small": (settings({5: 16383}), PROTOCOL_ERROR, "max-frame-size"),
    "6.5.2 frames that are too large": (settings({5: 2**24}), PROTOCOL_ERROR, "max-frame-size"),
    "6.5.2 push neither on nor off, then off": (
        frame(4, 0, 0, b"\0\x02\0\0\0\x02" + b"\0\x02\0\0\0\0"),
        PROTOCOL_ERROR,
        "enable-push",
    ),
    "6.5.2 a window that is too large, then one that is not": (
        frame(4, 0, 0, b"\0\x04\x80\0\0\0" + b"\0\x04\0\0\0\0"),
        FLOW_CONTROL_ERROR,
        "initial-window-size",
    ),
    "6.5.2 frames that are too small, then some that are not": (
        frame(4, 0, 0, b"\0\x05\0\0\0\x01" + b"\0\x05\0\0\x40\0"),
        PROTOCOL_ERROR,
        "max-frame-size",
    ),
    "6.6 a push by a client": (frame(5, 4, 1, bytes(4) + BLOCK), PROTOCOL_ERROR, "push"),
    "6.7 a ping on a stream": (frame(6, 0, 1, bytes(8)), PROTOCOL_ERROR, "ping-on-stream"),
    "6.7 a ping that is too short": (frame(6, 0, 0, bytes(7)), FRAME_SIZE_ERROR, "ping-size"),
    "6.8 a goodbye on a stream": (frame(7, 0, 1, bytes(8)), PROTOCOL_ERROR, "goaway-on-stream"),
    "6.8 a goodbye that is too short": (frame(7, 0, 0, bytes(7)), FRAME_SIZE_ERROR, "goaway-size"),
    "6.9 no more window for the connection": (number(8, 0, 0), PROTOCOL_ERROR, "window-update-0"),
    "6.9 a window update that is too short": (frame(8, 0, 0, bytes(3)), FRAME_SIZE_ERROR, "window-update-size"),
    "6.9.1 too much window for the connection": (number(8, 0, 2**31 - 1), FLOW_CONTROL_ERROR, "window"),
    "6.9.2 settings that overflow a window": (
        OPEN + number(8, 1, 2**31 - 65536) + settings({4: 65536}),
        FLOW_CONTROL_ERROR,
        "window",
    ),
    "6.10 a continuation of nothing": (frame(9, 4, 1, BLOCK), PROTOCOL_ERROR, "continuation"),
    "6.10 a continuation after the end": (headers(1) + frame(9, 4, 1, BLOCK), PROTOCOL_ERROR, "continuation"),
    "6.10 a continuation of another block": (
        frame(1, 1, 1, BLOCK[:3]) + frame(9, 4, 3, BLOCK[3:]),
        PROTOCOL_ERROR,
        "continuation",
    ),
}

STREAM_FAULTS = {
    "5.1 data after the end": (headers(1) + data(1, b"x"), STREAM_CLOSED, "data-after-end"),
    "5.1 headers after the end": (headers(1) + headers(1), STREAM_CLOSED, "headers-after-end"),
    "5.1 data after a reset": (OPEN + number(3, 1, 8) + data(1, b"x"), STREAM_CLOSED, "data-on-closed-stream"),
    "5.3.1 a priority that depends on itself": (frame(2, 0, 1, PRIORITY_ITSELF), PROTOCOL_ERROR, "depends-on-itself"),
    "5.3.1 a head that depends on itself": (
        frame(1, 0x25, 1, PRIORITY_ITSELF + BLOCK),
        PROTOCOL_ERROR,
        "depends-on-itself",
    ),
    "5.3.1 a head in pieces that depends on itself": (
        frame(1, 0x21, 1, PRIORITY_ITSELF + BLOCK[:4]) + frame(9, 4, 1, BLOCK[4:]),
        PROTOCOL_ERROR,
        "depends-on-itself",
    ),
    "6.3 a priority that is too long": (frame(2, 0, 1, bytes(6)), FRAME_SIZE_ERROR, "priority-size"),
    "6.9 no more window for a stream": (OPEN + number(8, 1, 0), PROTOCOL_ERROR, "window-update-0"),
    "6.9.1 too much window for a stream": (OPEN + number(8, 1, 2**31 - 1), FLOW_CONTROL_ERROR, "window"),
    "8.1 a second head": (OPEN + headers(1, ((b"a", b"b"),), 4), PROTOCOL_ERROR, "trailers-without-end"),
    "8.1 a pseudo header at the end": (OPEN + headers(1, ((b":path", b"/"),)), PROTOCOL_ERROR, "misplaced-path"),
    "8.1.1 less body than was said": (
        headers(1, (*POST, (b"content-length", b"3")), 4) + data(1, b"ab", 1),
        PROTOCOL_ERROR,
        "content-length-differs",
    ),
    "8.1.1 more body than was said": (
        headers(1, (*POST, (b"content-length", b"3")), 4) + data(1, b"ab") + data(1, b"cd"),
        PROTOCOL_ERROR,
        "content-length-differs",
    ),
    "8.1.1 less body than was said, and trailers": (
        headers(1, (*POST, (b"content-length", b"3")), 4) + headers(1, ((b"a", b"b"),)),
        PROTOCOL_ERROR,
        "content-length-differs",
    ),
    "8.1.1 no body though one was said": (
        headers(1, (*POST, (b"content-length", b"3"))),
        PROTOCOL_ERROR,
        "content-length-differs",
    ),
}


@pytest.mark.parametrize("case", CONNECTION_FAULTS)
def test_costs_the_connection(case: str) -> None:
    sent, code, reason = CONNECTION_FAULTS[case]
    peer = client_of()
    peer.send(sent)
    assert peer.failure() == (code, reason)
    assert peer.send(headers(7)) == []


@pytest.mark.parametrize("case", STREAM_FAULTS)
def test_costs_the_stream(case: str) -> None:
    sent, code, reason = STREAM_FAULTS[case]
    peer = client_of()
    peer.send(sent)
    assert peer.reset() == (code, reason)
    (request,) = peer.send(headers(7))
    assert isinstance(request, RequestReceived), "the others go on"


def test_what_followed_the_fault_is_not_read_but_what_came_before_is() -> None:
    peer = client_of()
    events = peer.send(headers(1), headers(2), headers(3))
    assert [type(event) for event in events] == [RequestReceived, ConnectionFailed]


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", PREFACE[:-1] + b"X", b"\x16\x03"])
def test_another_preface(sent: bytes) -> None:
    peer = Peer(ServerConnection(CLIENT_LIMITS))
    peer.send(sent)
    assert peer.failure() == (PROTOCOL_ERROR, "preface")


@pytest.mark.parametrize("first", [headers(1), SETTINGS_ACK, frame(6, 0, 0, bytes(8)), frame(99, 0, 0)])
def test_settings_come_first(first: bytes) -> None:
    peer = Peer(ServerConnection(CLIENT_LIMITS))
    peer.send(PREFACE, first)
    assert peer.failure() == (PROTOCOL_ERROR, "no-settings")


def test_headers_on_a_stream_that_is_over_cost_the_connection() -> None:
    peer = client_of()
    peer.send(headers(1))
    peer.connection.send_head(1, b"\x88", ended=True)
    peer.send(headers(1))
    assert peer.failure() == (STREAM_CLOSED, "headers-on-closed-stream")


def test_what_was_on_its_way_to_a_stream_that_we_reset_is_ignored() -> None:
    peer = client_of()
    peer.send(OPEN)
    peer.connection.reset(1, 8)
    assert peer.send(data(1, b"x"), number(8, 1, 5), headers(1, ((b"a", b"b"),))) == []
    assert [frame.kind for frame in peer.got()] == [3]


def test_the_table_is_kept_for_what_is_ignored_or_refused() -> None:
    """A block that adds to the table does so whatever becomes of its stream."""
    adds, refers = b"\x40\x01a\x01b", b"\xbe"
    peer = client_of()
    peer.send(OPEN)
    peer.connection.reset(1, 8)
    peer.send(frame(1, 5, 1, adds))
    (request,) = peer.send(frame(1, 5, 3, BLOCK + refers))
    assert isinstance(request, RequestReceived)
    assert request.head.fields == ((b"a", b"b"),)


def test_more_streams_than_allowed_are_refused_and_the_others_finish() -> None:
    peer = client_of()
    peer.send(*(headers(2 * at + 1) for at in range(100)))
    (refused,) = peer.send(headers(201))
    assert refused == StreamReset(201, REFUSED_STREAM, False, "streams")
    for at in range(100):
        peer.connection.send_head(2 * at + 1, b"\x88", ended=True)
    assert peer.connection.open_streams == 0
    assert isinstance(peer.send(headers(203))[0], RequestReceived)


@pytest.mark.parametrize(
    "harmless",
    [
        settings({0xFF: 1}),
        frame(99, 255, 1, b"grease"),
        number(3, 1, 0xFF),
        frame(7, 0, 0, bytes(4) + b"\0\0\0\xff" + b"debug"),
        frame(2, 0, 9, bytes(4) + b"\x10"),
        frame(6, 1, 0, b"answered"),
    ],
)
def test_harmless(harmless: bytes) -> None:
    peer = client_of()
    peer.send(headers(1))
    peer.send(harmless)
    assert not peer.connection.closed
    assert isinstance(peer.send(headers(3))[0], RequestReceived)


def test_a_client_that_runs_out_of_streams_is_told_to_leave_in_time() -> None:
    peer = client_of()
    assert isinstance(peer.send(headers(2**31 - 1001))[0], RequestReceived)
    (goaway,) = peer.got()
    assert (goaway.kind, goaway.payload) == (7, (2**31 - 1).to_bytes(4, "big") + bytes(4))
    assert isinstance(peer.send(headers(2**31 - 1))[0], RequestReceived)
    assert peer.got() == []
