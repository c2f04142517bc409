"""The client half: requests, responses, and endpoints that are wrong or leave."""

from __future__ import annotations

import pytest

from services.edge.core.http2 import (
    ENDPOINT_LIMITS,
    ClientConnection,
    MisuseError,
    encode_request,
)
from services.edge.core.http2.errors import PROTOCOL_ERROR, REFUSED_STREAM, STREAM_CLOSED
from services.edge.core.http2.events import (
    DataReceived,
    GoAwayReceived,
    InformationReceived,
    ResponseReceived,
    SettingsReceived,
    StreamReset,
    TrailersReceived,
)
from services.edge.core.http2.frames import SETTINGS_ACK, settings
from tests.unit.edge.http2_engine.peer import OK, Peer, data, endpoint_of, frame, headers, number

REQUEST = encode_request(b"GET", b"https", b"a.example", b"/", [])


def asked(requests: int = 1, **more: bool) -> tuple[Peer, ClientConnection]:
    """An endpoint that was sent complete requests."""
    peer = endpoint_of()
    connection = peer.connection
    assert isinstance(connection, ClientConnection)
    for at in range(requests):
        assert connection.request(REQUEST, ended=True, **more) == 2 * at + 1
    peer.got()
    return peer, connection


def test_a_response() -> None:
    peer, connection = asked()
    fields = ((b"content-type", b"text/plain"), (b"content-length", b"5"), (b"set-cookie", b"a"), (b"set-cookie", b"b"))
    information, response, body, trailers = peer.send(
        headers(1, ((b":status", b"103"), (b"link", b"</a>")), 4),
        headers(1, OK + fields, 4),
        data(1, b"hello"),
        headers(1, ((b"x-sum", b"1"),)),
    )
    assert isinstance(information, InformationReceived)
    assert information.head.status == 103
    assert isinstance(response, ResponseReceived)
    assert (response.head.status, response.head.length, response.ended) == (200, 5, False)
    assert response.head.fields == (fields[0], *fields[2:])
    assert (body, trailers) == (DataReceived(1, b"hello", 5, False), TrailersReceived(1, ((b"x-sum", b"1"),)))
    assert connection.open_streams == 0


def test_a_response_that_repeats_is_the_same_object() -> None:
    peer, _ = asked(2)
    first, second = peer.send(headers(1, (*OK, (b"a", b"b"))), headers(3, (*OK, (b"a", b"b"))))
    assert isinstance(first, ResponseReceived)
    assert isinstance(second, ResponseReceived)
    assert first.head is second.head


@pytest.mark.parametrize("status", [b"", b"abc", b"099", b"1000", b"20", b"2 0", b"101"])
def test_a_bad_status(status: bytes) -> None:
    peer, _ = asked()
    (event,) = peer.send(headers(1, ((b":status", status),)))
    assert isinstance(event, StreamReset)
    assert (event.code, event.remote) == (PROTOCOL_ERROR, False)
    assert event.reason in ("status-value", "status-101")


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (headers(1, ((b"a", b"b"),)), "no-status"),
        (headers(1, OK + OK), "pseudo-header-twice"),
        (headers(1, ((b"a", b"b"), *OK)), "pseudo-header-order"),
        (headers(1, (*OK, (b":path", b"/"))), "misplaced-path"),
        (headers(1, (*OK, (b"connection", b"close"))), "connection-header"),
        (headers(1, (*OK, (b"x", b"a\r\nb"))), "value"),
        (headers(1, (*OK, (b"content-length", b"x"))), "content-length"),
        (headers(1, (*OK, (b"content-length", b"5"))), "content-length-differs"),
        (headers(1, (*OK, (b"content-length", b"1")), 4) + data(1, b"ab", 1), "content-length-differs"),
        (headers(1, (*OK, *((b"x-%d" % at, b"v") for at in range(101)))), "head-too-large"),
        (headers(1, ((b":status", b"103"),)), "information-with-end"),
        (data(1, b"x"), "data-before-head"),
    ],
)
def test_a_bad_response_costs_its_stream(sent: bytes, reason: str) -> None:
    peer, connection = asked(2)
    event = peer.send(sent)[-1]
    assert event == StreamReset(1, PROTOCOL_ERROR, False, reason)
    assert isinstance(peer.send(headers(3, OK))[0], ResponseReceived)
    assert connection.open_streams == 0


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (frame(5, 4, 1, b"\0\0\0\2\x88"), "push"),
        (settings({2: 1}), "enable-push"),
        (headers(2, OK), "headers-on-idle-stream"),
        (headers(5, OK), "headers-on-idle-stream"),
        (data(3, b"x"), "data-on-idle-stream"),
    ],
)
def test_what_costs_the_connection(sent: bytes, reason: str) -> None:
    peer, connection = asked()
    peer.send(sent)
    assert peer.failure() == (PROTOCOL_ERROR, reason)
    assert connection.capacity == 0


def test_headers_on_a_stream_that_is_over() -> None:
    peer, _ = asked(2)
    peer.send(headers(1, OK), headers(1, OK))
    assert peer.reset() == (STREAM_CLOSED, "headers-on-closed-stream")


def test_a_response_to_head_has_no_body_whatever_its_length() -> None:
    peer, connection = asked(2, bodiless=True)
    (event,) = peer.send(headers(1, (*OK, (b"content-length", b"500"))))
    assert isinstance(event, ResponseReceived)
    assert (event.head.length, event.ended) == (500, True)
    peer.send(headers(3, OK, 4), data(3, b"x", 1))
    assert peer.reset() == (PROTOCOL_ERROR, "content-length-differs")
    assert connection.open_streams == 0


def test_not_modified_may_tell_a_length() -> None:
    peer, _ = asked()
    (event,) = peer.send(headers(1, ((b":status", b"304"), (b"content-length", b"500"))))
    assert isinstance(event, ResponseReceived)


def test_capacity_is_what_the_endpoint_lets_us_open() -> None:
    peer = Peer(ClientConnection(ENDPOINT_LIMITS))
    connection = peer.connection
    assert isinstance(connection, ClientConnection)
    assert connection.capacity == 100
    assert peer.send(settings({3: 2}), SETTINGS_ACK) == [SettingsReceived(2)]
    connection.request(REQUEST, ended=True)
    connection.request(REQUEST, ended=True)
    assert connection.capacity == 0
    with pytest.raises(MisuseError):
        connection.request(REQUEST)
    peer.send(settings({3: 1}), headers(1, OK))
    assert connection.capacity == 0
    peer.send(headers(3, OK))
    assert connection.capacity == 1


def test_goodbye_sends_back_what_was_not_looked_at() -> None:
    peer, connection = asked(3)
    events = peer.send(frame(7, 0, 0, b"\0\0\0\3\0\0\0\0"))
    assert events == [GoAwayReceived(3, 0), StreamReset(5, REFUSED_STREAM, True, "going-away")]
    assert connection.capacity == 0
    assert isinstance(peer.send(headers(1, OK))[0], ResponseReceived)
    assert isinstance(peer.send(headers(3, OK))[0], ResponseReceived)
    assert connection.open_streams == 0


def test_an_early_answer_leaves_the_request_open() -> None:
    """The endpoint answers before it has the body: the request can be ended or reset."""
    peer = endpoint_of()
    connection = peer.connection
    assert isinstance(connection, ClientConnection)
    stream_id = connection.request(REQUEST)
    (response,) = peer.send(headers(1, ((b":status", b"413"),)))
    assert isinstance(response, ResponseReceived)
    assert response.ended
    assert connection.open_streams == 1
    assert peer.send(number(3, 1, 0)) == [StreamReset(1, 0, True)]
    assert connection.send_data(stream_id, b"more") == 0
    assert connection.open_streams == 0


def test_endpoints_may_reset_more_than_clients() -> None:
    peer = endpoint_of()
    connection = peer.connection
    assert isinstance(connection, ClientConnection)
    for _ in range(1_000):
        stream_id = connection.request(REQUEST)
        peer.send(number(3, stream_id, 8))
    assert not connection.closed
