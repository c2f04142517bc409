"""What one request over HTTP/2 costs the engine alone: no sockets, no TLS, no endpoint; beside the h2 library.

A client with sixteen streams under way asks for 1 500 paths; its bytes are made beforehand, the engine reads them,
answers each request with a head of six fields and a small body, and hands over what is to be written once per sixteen
requests. Clients compress in three ways: most keep the path out of the dynamic table (browsers, curl, h2load), some put
every field in it (Go), and some ask for the same thing again and again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from time import perf_counter

import h2.config
import h2.connection
import h2.events
import hpack

from bench.figures import Results, arguments, median
from services.edge.core.http2 import (
    CLIENT_LIMITS,
    ENDPOINT_LIMITS,
    ClientConnection,
    ServerConnection,
    encode_fields,
    encode_request,
    encode_response,
)
from services.edge.core.http2.events import DataReceived, RequestReceived, ResponseReceived, TrailersReceived
from services.edge.core.http2.frames import PREFACE, SETTINGS_ACK, pack_header, settings, window_update
from services.edge.core.http2.huffman import encode

_AT_ONCE = 16
_BODY = b'{"items": [], "next": null}'
_RESPONSE = [
    (b"server", b"nginx"),
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
]
_REQUEST = [
    (":method", "GET"),
    (":scheme", "https"),
    (":authority", "app-17.apps.example.com"),
    (":path", ""),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "de,en-US;q=0.7,en;q=0.3"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("cookie", "session=4f2a9c; theme=dark"),
]


def _paths(number: int) -> list[str]:
    return [f"/api/v1/users/{at * 7919 % 100_000}/orders?page={at % 50}" for at in range(number)]


def _blocks(paths: Iterable[str], indexed: bool) -> list[bytes]:
    """Header blocks as a client with one connection makes them."""
    encoder = hpack.Encoder()
    blocks = []
    for path in paths:
        if indexed:
            blocks.append(encoder.encode([(name, value or path) for name, value in _REQUEST]))
            continue
        coded = encode(path.encode())
        literal = b"\x04%c%b" % (0x80 | len(coded), coded)
        blocks.append(encoder.encode(_REQUEST[:3]) + literal + encoder.encode(_REQUEST[4:]))
    return blocks


def _client_bytes(blocks: list[bytes]) -> list[bytes]:
    """What a client sends: the first piece opens the connection, then come sixteen requests at a time."""
    frames = [pack_header(len(block) << 8 | 1, 5, 2 * at + 1) + block for at, block in enumerate(blocks)]
    opening = PREFACE + settings({4: 2**20}) + window_update(0, 2**30) + SETTINGS_ACK
    return [opening, *(b"".join(frames[at : at + _AT_ONCE]) for at in range(0, len(frames), _AT_ONCE))]


def _length(number: int) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % number


def engine(pieces: list[bytes]) -> int:
    """Serve them with the engine; returns how many requests there were."""
    connection = ServerConnection(CLIENT_LIMITS)
    served = 0
    for piece in pieces:
        for event in connection.receive(piece, 0.0):
            if event.__class__ is RequestReceived:
                served += 1
                block = encode_response(200, [*_RESPONSE, _length(len(_BODY)), (b"x-number", b"%d" % (served % 100))])
                connection.send_head(event.stream_id, block, _BODY, True)  # type: ignore[union-attr]
        connection.data_to_send()
    return served


def h2_library(pieces: list[bytes]) -> int:
    """The same with the h2 library, its checks of what we send left out."""
    configuration = h2.config.H2Configuration(
        client_side=False, header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
    )
    connection = h2.connection.H2Connection(configuration)
    connection.initiate_connection()
    served = 0
    for piece in pieces:
        for event in connection.receive_data(piece):
            if event.__class__ is h2.events.RequestReceived:
                served += 1
                fields = [*_RESPONSE, _length(len(_BODY)), (b"x-number", b"%d" % (served % 100))]
                connection.send_headers(event.stream_id, [(b":status", b"200"), *fields])
                connection.send_data(event.stream_id, _BODY, end_stream=True)
        connection.data_to_send()
    return served


def call_and_answer(number: int) -> int:
    """Unary gRPC through both halves: what a proxy does with a call, without what it decides; returns the calls."""
    caller, front = ClientConnection(ENDPOINT_LIMITS), ServerConnection(CLIENT_LIMITS)
    back, endpoint = ClientConnection(ENDPOINT_LIMITS), ServerConnection(CLIENT_LIMITS)
    fields = [(b"te", b"trailers"), (b"content-type", b"application/grpc")]
    request = encode_request(b"POST", b"https", b"grpc.example.com", b"/echo.Echo/Unary", fields)
    head, trailers = encode_response(200, [(b"content-type", b"a/grpc")]), encode_fields([(b"grpc-status", b"0")])
    message = b"\0\0\0\0\x20" + bytes(32)
    done = 0
    while done < number:
        for _ in range(_AT_ONCE):
            caller.request(request, message, True)
        sent = {}
        for event in front.receive(caller.data_to_send(), 0.0):
            if event.__class__ is RequestReceived:
                waits = event.stream_id  # type: ignore[union-attr]
            elif event.__class__ is DataReceived:
                sent[back.request(request, event.data, True)] = waits  # type: ignore[union-attr]
        for event in endpoint.receive(back.data_to_send(), 0.0):
            if event.__class__ is DataReceived:
                endpoint.send_head(event.stream_id, head, message)  # type: ignore[union-attr]
                endpoint.send_trailers(event.stream_id, trailers)  # type: ignore[union-attr]
        for event in back.receive(endpoint.data_to_send(), 0.0):
            if event.__class__ is ResponseReceived:
                front.send_head(sent[event.stream_id], head)  # type: ignore[union-attr]
            elif event.__class__ is DataReceived:
                front.send_data(sent[event.stream_id], event.data)  # type: ignore[union-attr]
                back.took(event.stream_id, event.length)  # type: ignore[union-attr]
            elif event.__class__ is TrailersReceived:
                front.send_trailers(sent[event.stream_id], trailers)  # type: ignore[union-attr]
        caller.receive(front.data_to_send(), 0.0)
        done += _AT_ONCE
    return done


def main() -> int:
    """Measure and print."""
    options = arguments(__doc__).parse_args()
    rounds = 3 if options.quick else 9
    results = Results("http2_engine")
    clients = {
        "1 500 paths, kept out of the table": _client_bytes(_blocks(_paths(1_500), False)),
        "1 500 paths, put in the table": _client_bytes(_blocks(_paths(1_500), True)),
        "one path": _client_bytes(_blocks(_paths(1) * 1_500, False)),
    }
    for what, pieces in clients.items():
        ours, theirs = _in_turn(rounds, lambda: engine(pieces), lambda: h2_library(pieces))  # noqa: B023
        results.add(what, ours, "µs/request", note=f"h2 library: {theirs:.1f} µs")
        goal = 11.8 if "out of" in what else None  # 6.5 µs where the library took 77
        results.add(f"{what}: the library takes", theirs / ours, "times as long", goal, better="more")
    (call,) = _in_turn(rounds, lambda: call_and_answer(1_600))
    results.add("gRPC call, all four ends", call, "µs/call", note="a proxy is two of the four")
    return results.print(as_json=options.json)


def _in_turn(rounds: int, *serve: Callable[[], int]) -> list[float]:
    """Median µs per request of each way to serve, in turn so that all see the same machine."""
    times: list[list[float]] = [[] for _ in serve]
    for _ in range(rounds):
        for serve_one, taken in zip(serve, times, strict=True):
            started = perf_counter()
            served = serve_one()
            taken.append((perf_counter() - started) / served * 1e6)
    return [median(taken) for taken in times]


if __name__ == "__main__":
    sys.exit(main())
