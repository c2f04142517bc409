"""What leaves and when: windows both ways, bodies in turn, the end of streams and connections."""

from __future__ import annotations

import pytest

from services.edge.core.http2 import (
    CLIENT_LIMITS,
    ENDPOINT_LIMITS,
    ClientConnection,
    MisuseError,
    ServerConnection,
    encode_fields,
    encode_response,
)
from services.edge.core.http2.events import (
    DataReceived,
    PingAnswered,
    RequestReceived,
    SettingsReceived,
    StreamReset,
    WindowOpened,
)
from services.edge.core.http2.frames import PREFACE, settings
from tests.unit.edge.http2_engine.peer import (
    POST,
    Frame,
    Peer,
    client_of,
    data,
    frame,
    frames_of,
    headers,
    number,
)

OK = encode_response(200, [])


def requested(streams: int = 1, **values: int) -> Peer:
    """A client with requests that wait for their responses; ``window``: its initial one."""
    peer = client_of(values={4: values["window"]} if values else {})
    peer.send(*(headers(2 * at + 1) for at in range(streams)))
    return peer


def lengths(frames: list[Frame]) -> list[tuple[int, int, int]]:
    """(stream, length, flags) of DATA frames."""
    return [(frame.stream_id, len(frame.payload), frame.flags) for frame in frames if frame.kind == 0]


def test_the_opening() -> None:
    server, client = ServerConnection(CLIENT_LIMITS).data_to_send(), ClientConnection(ENDPOINT_LIMITS).data_to_send()
    said = [(frame.kind, frame.stream_id, frame.payload) for frame in frames_of(server)]
    assert said == [
        (4, 0, b"\0\3\0\0\0\x64\0\4\0\0\xff\xff\0\6\0\0\x80\0"),
        (8, 0, (2**20 - 65535).to_bytes(4, "big")),
    ]
    assert client.startswith(PREFACE)
    said = [(frame.kind, frame.stream_id, frame.payload) for frame in frames_of(client[len(PREFACE) :])]
    assert said == [
        (4, 0, b"\0\2\0\0\0\0\0\4\0\4\0\0\0\6\0\0\x80\0"),
        (8, 0, (2**22 - 65535).to_bytes(4, "big")),
    ]


def test_head_and_body_go_as_one_piece_where_the_window_allows() -> None:
    peer = requested()
    assert peer.connection.send_head(1, OK, b"hello", True) == 0
    assert peer.got() == [Frame(1, 4, 1, OK), Frame(0, 1, 1, b"hello")]
    assert peer.connection.open_streams == 0


def test_a_body_waits_for_the_stream_s_window() -> None:
    peer = requested(window=10)
    assert peer.connection.send_head(1, OK, b"0123456789abcdef", True) == 6
    assert lengths(peer.got()) == [(1, 10, 0)]
    assert peer.send(number(8, 1, 4)) == []
    assert lengths(peer.got()) == [(1, 4, 0)]
    assert peer.send(number(8, 1, 4)) == [WindowOpened(1)]
    assert lengths(peer.got()) == [(1, 2, 1)]
    assert peer.connection.open_streams == 0


def test_bodies_share_the_connection_s_window_a_frame_each() -> None:
    peer = requested(2, window=2**20)
    assert peer.connection.send_head(1, OK, bytes(100_000), True) == 100_000 - 65_535
    assert peer.connection.send_head(3, OK, bytes(40_000), True) == 40_000
    peer.got()
    assert peer.send(number(8, 0, 50_000)) == []
    assert [stream for stream, _, _ in lengths(peer.got())] == [1, 3, 1, 3]
    assert peer.send(number(8, 0, 2**20)) == [WindowOpened(1), WindowOpened(3)]
    assert sum(length for _, length, _ in lengths(peer.got())) == 140_000 - 65_535 - 50_000


def test_trailers_without_fields_end_the_stream_all_the_same() -> None:
    peer = requested(window=3)
    peer.connection.send_head(1, OK, b"abcde")
    assert peer.connection.send_trailers(1, b"") == 2
    assert lengths(peer.got()) == [(1, 3, 0)]
    assert peer.send(number(8, 1, 100)) == [WindowOpened(1)]
    assert lengths(peer.got()) == [(1, 2, 1)]
    assert not peer.connection.open_streams


def test_trailers_wait_for_the_body() -> None:
    peer = requested(window=3)
    peer.connection.send_head(1, OK, b"abcdef")
    assert peer.connection.send_data(1, b"gh") == 5
    assert peer.connection.send_trailers(1, encode_fields([(b"grpc-status", b"0")])) == 5
    assert peer.connection.send_data(1, b"") == 5
    assert lengths(peer.got()) == [(1, 3, 0)]
    assert peer.send(number(8, 1, 100)) == [WindowOpened(1)]
    assert [(frame.kind, frame.flags) for frame in peer.got()] == [(0, 0), (0, 0), (1, 5)]


def test_an_end_without_data_needs_no_window() -> None:
    peer = requested(window=3)
    peer.connection.send_head(1, OK, b"abc")
    assert peer.connection.send_data(1, b"", True) == 0
    assert lengths(peer.got()) == [(1, 3, 0), (1, 0, 1)]


def test_the_end_may_come_while_data_waits() -> None:
    peer = requested(window=3)
    assert peer.connection.send_head(1, OK, b"abcd") == 1
    assert peer.connection.send_data(1, b"", True) == 1
    peer.send(number(8, 1, 1))
    assert lengths(peer.got()) == [(1, 3, 0), (1, 1, 1)]


def test_settings_change_the_windows_of_open_streams_also_to_less_than_nothing() -> None:
    peer = requested(window=10)
    peer.connection.send_head(1, OK, b"0123456789")
    peer.send(settings({4: 3}))
    assert peer.connection.send_data(1, b"ab") == 2
    assert peer.send(number(8, 1, 8)) == []
    assert lengths(peer.got()) == [(1, 10, 0), (1, 1, 0)]
    assert peer.send(settings({4: 4})) == [WindowOpened(1), SettingsReceived(100)]
    acknowledgement, piece = peer.got()
    assert (acknowledgement.kind, acknowledgement.flags) == (4, 1), "which tells by whose window the data came"
    assert lengths([piece]) == [(1, 1, 0)]


def test_frames_are_as_large_as_the_peer_takes() -> None:
    peer = client_of(values={4: 2**20, 5: 20_000})
    peer.send(number(8, 0, 2**20), headers(1))
    peer.connection.send_head(1, OK, bytes(45_000), True)
    assert lengths(peer.got()) == [(1, 20_000, 0), (1, 20_000, 0), (1, 5_000, 1)]


def test_a_large_head_goes_in_pieces() -> None:
    peer = requested()
    block = encode_response(200, [(b"x-%d" % at, bytes(97 for _ in range(5_000))) for at in range(8)])
    peer.connection.send_head(1, block, b"body", True)
    sent = peer.got()
    assert [(frame.kind, frame.flags) for frame in sent] == [(1, 0), (9, 0), (9, 4), (0, 1)]
    assert b"".join(frame.payload for frame in sent[:3]) == block


def test_a_large_head_alone_ends_the_stream_with_its_first_piece() -> None:
    peer = requested()
    peer.connection.send_head(1, b"\x88" * 17_000, ended=True)
    assert [(frame.kind, frame.flags) for frame in peer.got()] == [(1, 1), (9, 4)]
    assert peer.connection.open_streams == 0


def test_a_smaller_table_is_acknowledged_in_the_next_block() -> None:
    peer = client_of(values={1: 0})
    peer.send(headers(1), headers(3))
    peer.connection.send_head(1, OK, ended=True)
    peer.connection.send_head(3, OK, ended=True)
    assert [frame.payload for frame in peer.got()] == [b"\x20" + OK, OK]


def test_credit_comes_when_bytes_were_taken_and_not_before() -> None:
    peer = client_of()
    peer.send(headers(1, POST, 4))
    peer.send(*(data(1, bytes(16_000)) for _ in range(4)))
    assert peer.got() == []
    for event in peer.events:
        assert isinstance(event, DataReceived)
        peer.connection.took(1, event.length)
    (update,) = peer.got()
    assert (update.kind, update.stream_id, int.from_bytes(update.payload, "big")) == (8, 1, 48_000)
    peer.send(data(1, bytes(1_535)), *(data(1, bytes(16_000)) for _ in range(3)))
    assert peer.reset() is None
    peer.send(data(1, b"x"))
    assert peer.reset() == (3, "stream-window")


@pytest.mark.parametrize("end", ["taken", "reset by the peer", "reset by us"])
def test_what_is_set_aside_stops_its_stream_alone(end: str) -> None:
    """The connection's window is given back at once, and once only."""
    peer = client_of()
    given = 0
    for at in range(60):
        stream_id = 2 * at + 1
        peer.send(headers(stream_id, POST, 4), *(data(stream_id, bytes(16_000)) for _ in range(4)))
        assert len(peer.events) == 5
        for _ in range(3):
            peer.connection.set_aside(stream_id, 16_000)
        frames = peer.got()
        if end == "taken":
            peer.connection.took(stream_id, 64_000)
            frames += peer.got()
            assert [each.kind for each in frames if each.stream_id == stream_id] == [8]
            peer.connection.reset(stream_id, 8)
        elif end == "reset by us":
            peer.connection.reset(stream_id, 8)
        else:
            peer.send(number(3, stream_id, 8))
        frames += peer.got()
        given += sum(int.from_bytes(each.payload, "big") for each in frames if each.kind == 8 and not each.stream_id)
        assert at * 64_000 - 1024 * 1024 < given <= (at + 1) * 64_000
        peer.now += 0.1
    assert not peer.connection.closed
    peer.send(headers(121, POST, 4), *(data(121, bytes(16_000)) for _ in range(3)))
    peer.connection.set_aside(121, 48_000)
    peer.send(data(121, bytes(16_000)), data(121, bytes(1_535)), data(121, b"x"))
    assert peer.reset() == (3, "stream-window")


def test_what_waits_and_whether_there_is_a_window_is_told() -> None:
    peer = requested(2, window=2**20)
    peer.connection.send_head(1, OK, bytes(100_000), True)
    peer.connection.send_head(3, OK, bytes(40_000), True)
    assert (peer.connection.waiting, peer.connection.exhausted) == (140_000 - 65_535, True)
    peer.send(number(3, 3, 8))
    assert peer.connection.waiting == 100_000 - 65_535
    peer.send(number(8, 0, 2**20))
    assert (peer.connection.waiting, peer.connection.exhausted) == (0, False)


def test_padding_counts_in_the_window_and_is_not_data() -> None:
    peer = client_of()
    peer.send(headers(1, POST, 4))
    (event,) = peer.send(frame(0, 9, 1, b"\x03abc\0\0\0"))
    assert event == DataReceived(1, b"abc", 7, True)


def test_the_connection_s_window_is_given_back_for_streams_that_are_gone() -> None:
    peer = client_of()
    for at in range(200):
        stream_id = 2 * at + 1
        peer.now += 0.1
        peer.send(headers(stream_id, POST, 4), *(data(stream_id, bytes(16_000)) for _ in range(4)))
        assert len(peer.events) == 5
        if at % 3 == 0:
            peer.send(number(3, stream_id, 8))
        elif at % 3 == 1:
            peer.connection.reset(stream_id, 8)
            peer.send(data(stream_id, b"late"))
        else:
            peer.connection.send_head(stream_id, OK, ended=True)
            peer.send(data(stream_id, b"", 1))
        assert peer.connection.open_streams == 0
        peer.connection.took(stream_id, 16_000)
    assert not peer.connection.closed


def test_the_connection_s_window_has_an_end() -> None:
    peer = client_of()
    for at in range(17):
        peer.send(headers(2 * at + 1, POST, 4), *(data(2 * at + 1, bytes(16_000)) for _ in range(4)))
    assert peer.failure() == (3, "connection-window")


def test_nothing_is_sent_for_a_stream_that_is_gone() -> None:
    peer = requested()
    assert peer.send(number(3, 1, 8)) == [StreamReset(1, 8, True)]
    connection = peer.connection
    assert connection.send_head(1, OK, b"x", True) == 0
    assert connection.send_data(1, b"x", True) == 0
    assert connection.send_trailers(1, OK) == 0
    connection.took(1, 100)
    connection.reset(1, 8)
    assert peer.got() == []


def test_a_reset_takes_what_waits_with_it() -> None:
    peer = requested(window=1)
    peer.connection.send_head(1, OK, b"abc", True)
    peer.connection.reset(1, 2)
    assert peer.send(number(8, 0, 100)) == []
    assert [frame.kind for frame in peer.got()] == [1, 0, 3]


def test_misuse_is_told() -> None:
    peer = requested(2, window=1)
    peer.connection.send_head(1, OK, b"abc", True)
    for order in (
        lambda: peer.connection.send_head(1, OK),
        lambda: peer.connection.send_data(1, b"x"),
        lambda: peer.connection.send_trailers(1, OK),
        lambda: peer.connection.took(3, 1),
    ):
        with pytest.raises(MisuseError):
            order()


def test_information_comes_before_the_head() -> None:
    peer = requested()
    peer.connection.send_head(1, encode_response(103, [(b"link", b"</a>")]))
    peer.connection.send_head(1, OK, ended=True)
    assert [(frame.kind, frame.flags) for frame in peer.got()] == [(1, 4), (1, 5)]


def test_a_connection_ends_in_two_steps() -> None:
    peer = requested()
    server = peer.connection
    assert isinstance(server, ServerConnection)
    server.announce_shutdown()
    server.announce_shutdown()
    server.ping(b"01234567")
    assert [(frame.kind, frame.payload[:4]) for frame in peer.got()] == [(7, b"\x7f\xff\xff\xff"), (6, b"0123")]
    late, pong = peer.send(headers(3), frame(6, 1, 0, b"01234567"))
    assert isinstance(late, RequestReceived)
    assert pong == PingAnswered(b"01234567")
    server.shutdown()
    assert [(frame.kind, frame.payload) for frame in peer.got()] == [(7, b"\0\0\0\3\0\0\0\0")]
    assert peer.send(headers(5)) == [StreamReset(5, 7, False, "shutdown")]
    peer.got()
    server.send_head(1, OK, b"x", True)
    server.send_head(3, OK, b"x", True)
    assert server.open_streams == 0


def test_a_large_piece_is_not_copied_for_each_of_its_frames() -> None:
    peer = requested(window=2**30)
    peer.send(number(8, 0, 2**30))
    body = bytes(range(256)) * 40_000
    peer.connection.send_head(1, OK, body, True)
    assert b"".join(frame.payload for frame in peer.got()[1:]) == body


def test_queued_is_what_there_is_to_send() -> None:
    peer = requested()
    peer.connection.send_head(1, OK, b"hello", True)
    assert peer.connection.queued == len(peer.connection.data_to_send()) == 9 + len(OK) + 9 + 5
    assert peer.connection.queued == 0
