"""Floods: each is bounded by a rate of its own, ends in GOAWAY ENHANCE_YOUR_CALM and has a name for a counter."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.edge.core.http2 import CLIENT_LIMITS, ServerConnection, encode_response
from services.edge.core.http2.errors import COMPRESSION_ERROR, ENHANCE_YOUR_CALM
from services.edge.core.http2.events import HeadTooLarge, RequestReceived
from services.edge.core.http2.frames import PREFACE, SETTINGS_ACK, settings
from services.edge.core.http2.hpack_encoder import encode_fields
from tests.unit.edge.http2_engine.peer import GET, POST, Peer, client_of, data, frame, headers, number

LARGE = (*GET, *((b"x-%d" % at, b"v" * 400) for at in range(90)))


def _made_invalid(at: int) -> bytes:
    return headers(2 * at + 1, POST, 4) + number(8, 2 * at + 1, 0)


FLOODS: dict[str, tuple[Callable[[int], bytes], int]] = {
    "resets": (lambda at: headers(2 * at + 1) + number(3, 2 * at + 1, 8), 100),
    "resets-provoked": (_made_invalid, 100),
    "heads-too-large": (
        lambda at: b"".join(
            (
                frame(1, 1, 2 * at + 1, encode_fields(LARGE)[:16384]),
                frame(9, 0, 2 * at + 1, encode_fields(LARGE)[16384:32768]),
                frame(9, 4, 2 * at + 1, encode_fields(LARGE)[32768:]),
                number(3, 2 * at + 1, 8),
            )
        ),
        100,
    ),
    "pings": (lambda _: frame(6, 0, 0, bytes(8)), 100),
    "settings": (lambda _: settings({}), 49),
    "empty-data": (lambda at: headers(1, POST, 4) if not at else data(1, b""), 101),
    "window-updates": (lambda _: number(8, 0, 1), 500),
    "priorities": (lambda _: frame(2, 0, 3, bytes(5)), 100),
    "unknown-frames": (lambda _: frame(77, 0, 3, bytes(5)), 100),
    "goaways": (lambda _: frame(7, 0, 0, bytes(8)), 100),
}


def _flood(peer: Peer, piece: Callable[[int], bytes], number_of_pieces: int, each: float = 0.0) -> int:
    """How many pieces the connection took before it ended."""
    for at in range(number_of_pieces):
        peer.now += each
        peer.send(piece(at))
        if peer.connection.closed:
            return at
    return number_of_pieces


@pytest.mark.parametrize("reason", FLOODS)
def test_a_flood_ends_the_connection(reason: str) -> None:
    piece, allowed = FLOODS[reason]
    peer = client_of()
    assert _flood(peer, piece, 1000) == allowed
    assert peer.failure() == (ENHANCE_YOUR_CALM, reason)


@pytest.mark.parametrize("reason", ["resets", "resets-provoked", "pings", "settings", "empty-data", "priorities"])
def test_the_same_over_time_does_not(reason: str) -> None:
    piece, allowed = FLOODS[reason]
    peer = client_of()
    assert _flood(peer, piece, 400, 1.1 / allowed) == 400


def test_answers_are_bounded_while_nothing_is_written() -> None:
    """Who never reads gets no more than the rates allow into memory."""
    peer = client_of()
    _flood(peer, lambda _: frame(6, 0, 0, bytes(8)), 100_000)
    assert peer.connection.queued < 2_500


def test_pings_that_measure_what_we_send_are_welcome() -> None:
    peer = client_of(values={4: 2**30})
    peer.send(number(8, 0, 2**30), headers(1))
    peer.connection.send_head(1, encode_response(200, []))
    for _ in range(500):
        peer.connection.send_data(1, bytes(1000))
        peer.send(frame(6, 0, 0, bytes(8)))
    assert not peer.connection.closed


def test_too_many_continuations() -> None:
    peer = client_of()
    block = encode_fields((*GET, (b"x", b"y" * 20)))

    def begun(stream_id: int) -> bytes:
        pieces = b"".join(frame(9, 0, stream_id, block[at : at + 1]) for at in range(1, 20))
        return frame(1, 1, stream_id, block[:1]) + pieces

    (event,) = peer.send(begun(1), frame(9, 4, 1, block[20:]))
    assert isinstance(event, RequestReceived)
    peer.send(begun(3), frame(9, 0, 3, b""))
    assert peer.connection.reading_head
    peer.send(frame(9, 4, 3, block[20:]))
    assert peer.failure() == (ENHANCE_YOUR_CALM, "continuations")


@pytest.mark.parametrize(
    ("fields", "passes"),
    [
        pytest.param([(b"x", b"1")] * 99, True, id="a hundred lines with the Host"),
        pytest.param([(b"x", b"1")] * 100, False, id="one more"),
        pytest.param([(b"x", b"1")] * 98 + [(b"cookie", b"a=b")] * 300, True, id="the crumbs of a cookie are one line"),
        pytest.param([(b"x", b"1")] * 99 + [(b"cookie", b"a=b")] * 2, False, id="which counts"),
    ],
)
def test_fields_are_counted_as_the_lines_of_http1(fields: list[tuple[bytes, bytes]], passes: bool) -> None:
    peer = client_of()
    (event,) = peer.send(headers(1, (*GET, *fields)))
    assert isinstance(event, RequestReceived if passes else HeadTooLarge)


def test_too_large_a_block() -> None:
    peer = client_of()
    peer.send(frame(1, 1, 1, bytes(16384)), *(frame(9, 0, 1, bytes(16384)) for _ in range(4)))
    assert peer.failure() == (ENHANCE_YOUR_CALM, "header-block-too-large")


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(encode_fields(GET) + b"\x40\x01a\x7f\xa1\x1e%b" % (b"v" * 4000) + b"\xbe" * 90, id="one again"),
        pytest.param(encode_fields(GET) + b"\x40\x01a\x7f\xa1\x1e%b" % (b"v" * 4000) + b"\xbe" * 2000, id="and again"),
        pytest.param(encode_fields(GET) + b"\x90" * 200, id="count"),
        pytest.param(encode_fields((*GET[:3], (b":path", b"/" + b"p" * 33000))), id="path"),
    ],
)
def test_a_bomb_is_a_head_too_large_and_takes_little(block: bytes) -> None:
    peer = client_of()
    pieces = [block[at : at + 16384] for at in range(0, len(block), 16384)]
    sent = [
        frame(9 if at else 1, (0 if at else 1) | (4 if at == len(pieces) - 1 else 0), 1, piece)
        for at, piece in enumerate(pieces)
    ]
    assert peer.send(*sent) == [HeadTooLarge(1, True)]
    assert peer.connection.send_head(1, encode_response(431, []), b"too large", True) == 0
    assert peer.connection.open_streams == 0
    assert isinstance(peer.send(headers(3))[0], RequestReceived)


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(b"\x82", id="of the table"),
        pytest.param(b"\x00\x01a\x00", id="literal"),
        pytest.param(b"\x40\x01a\x00", id="for the table"),
    ],
)
def test_fields_without_end_are_not_read_to_the_end(field: bytes) -> None:
    peer = client_of()
    peer.send(frame(1, 5, 1, encode_fields(GET) + field * 2050))
    assert peer.failure() == (ENHANCE_YOUR_CALM, "fields-without-end")


def test_a_table_whose_size_changes_without_end() -> None:
    peer = client_of()
    assert isinstance(peer.send(frame(1, 5, 1, b"\x20\x3f\xe1\x1f" * 8 + encode_fields(GET)))[0], RequestReceived)
    peer.send(frame(1, 5, 3, b"\x20" * 17 + encode_fields(GET)))
    assert peer.failure() == (COMPRESSION_ERROR, "size-updates")


def test_what_a_head_too_large_would_bring_is_thrown_away() -> None:
    peer = client_of()
    peer.send(frame(1, 4, 1, encode_fields(POST) + b"\x90" * 200))
    assert peer.send(data(1, b"abc"), data(1, b"def"), headers(1, ((b"a", b"b"),))) == []
    peer.connection.send_head(1, encode_response(431, []), ended=True)
    assert peer.connection.open_streams == 0


def test_who_has_not_read_our_settings_may_open_too_many_streams() -> None:
    peer = Peer(ServerConnection(CLIENT_LIMITS))
    peer.send(PREFACE, settings({}), *(headers(2 * at + 1) for at in range(400)))
    assert not peer.connection.closed
    peer.send(SETTINGS_ACK, *(headers(2 * at + 1) for at in range(400, 501)))
    assert peer.failure() == (ENHANCE_YOUR_CALM, "resets-provoked")


def test_an_unfinished_frame_is_all_that_is_kept() -> None:
    peer = client_of()
    peer.send(headers(1, POST, 4), data(1, bytes(16000))[:-1])
    for _ in range(10):
        peer.send(b"")
    assert peer.events == []
    assert peer.send(b"\0")[0].length == 16000  # type: ignore[union-attr]
