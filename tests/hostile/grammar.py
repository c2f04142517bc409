"""Messages by the grammar of RFC 9112, with all its liberties that an edge grants, and mutations of them.

``EXAMPLES``: how many are tried in a test; FUZZ_EXAMPLES in the environment says it for long runs (``make fuzz``),
which are other ones each time, while those of the suite are always the same.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.support.edge import HOST

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "120"))
fuzz = settings(
    max_examples=EXAMPLES,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)

_HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: t.example\r\n\r\n"
_BYTES = st.binary(max_size=30) | st.sampled_from(
    [_HIDDEN, b"0\r\n\r\n" + _HIDDEN, b"\r\n", b"5\r\nHello\r\n0\r\n\r\n"]
)
_TOKEN_BYTES = b"!#$%&'*+-.^`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_VALUE_BYTES = bytes([*range(0x21, 0x7F), *range(0x80, 0x100), 0x20, 0x09])


def _of(alphabet: bytes, least: int, most: int) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(alphabet), min_size=least, max_size=most).map(bytes)


_SPACE = st.sampled_from([b"", b" ", b"\t", b" \t "])
_NAMES = st.sampled_from([b"X-A", b"Cookie", b"accept", b"User-Agent", b"Range", b"Hosts", b"Content-Lengths"]) | _of(
    _TOKEN_BYTES, 1, 8
).map(b"X-".__add__)
_VALUES = _of(_VALUE_BYTES, 0, 12).map(lambda value: value.strip(b" \t"))
_FIELDS = st.builds(lambda *parts: b"%b:%b%b%b\r\n" % parts, _NAMES, _SPACE, _VALUES, _SPACE)
_KNOWN = st.sampled_from(
    [
        b"Connection: keep-alive\r\n",
        b"Connection: X-A, te\r\n",
        b"TE: trailers\r\n",
        b"Keep-Alive: 5\r\n",
        b"X-Forwarded-For: 6.6.6.6\r\n",
        b"X-Forwarded-Host: evil.example\r\n",
        b"X-Request-ID: mine\r\n",
        b"X_Real_IP: 6.6.6.6\r\n",
        b"Content_Length: 7\r\n",
        b"Upgrade: foo\r\nConnection: upgrade\r\n",
        b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAAA\r\n",
        b"Trailer: X\r\n",
        b"Proxy-Connection: keep-alive\r\n",
        b"Forwarded: for=6.6.6.6\r\n",
    ]
)
_HOSTS = st.sampled_from([HOST, HOST.upper(), f"{HOST}:80", f"{HOST}.", f"{HOST}:"]).map(str.encode)
_METHODS = st.sampled_from([b"GET", b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"PATCH", b"OPTIONS", b"M-SEARCH"])
_PIECES = st.sampled_from(
    [b"a", b"B", b"%41", b"%2e", b"%2F", b"/", b"//", b"-", b"~", b";", b"\\", b"|", b'"', b"{", b":", b"@"]
)
_PATHS = st.lists(_PIECES, max_size=6).map(lambda parts: b"/x" + b"".join(parts))
_QUERIES = st.just(b"") | _of(bytes([0x21, 0x22, *range(0x24, 0x7F)]), 0, 8).map(b"?".__add__)
_TARGETS = st.builds(lambda path, query: path + query, _PATHS, _QUERIES)
_EXTENSIONS = st.sampled_from([b"", b"", b";", b";a", b";a=b", b';a="b;c"'])
_TRAILERS = st.sampled_from([b"", b"", b"X: y\r\n", b"Grpc-Status: 0\r\nHost: evil.example\r\n"])


@dataclass(frozen=True)
class Framed:
    """A body: the lines that announce it, the bytes on the wire, and what they carry. ``closes``: its end is the
    connection's."""

    lines: bytes
    wire: bytes
    payload: bytes
    closes: bool = False


def _chunked(pieces: list[tuple[bytes, bytes, bool]], last: bytes, trailers: bytes) -> Framed:
    chunks = [
        b"%b%b\r\n%b\r\n" % (b"%X" % len(data) if upper else b"0%x" % len(data), extension, data)
        for data, extension, upper in pieces
        if data
    ]
    wire = b"".join([*chunks, b"0", last, b"\r\n", trailers, b"\r\n"])
    return Framed(b"Transfer-Encoding: chunked\r\n", wire, b"".join(data for data, _, _ in pieces))


_NOTHING = st.just(Framed(b"", b"", b""))
_LENGTHS = st.builds(lambda body: Framed(b"Content-Length: %d\r\n" % len(body), body, body), _BYTES)
_CHUNKED = st.builds(
    _chunked, st.lists(st.tuples(_BYTES, _EXTENSIONS, st.booleans()), max_size=3), _EXTENSIONS, _TRAILERS
)
_TO_THE_END = st.builds(lambda body: Framed(b"", body, body, closes=True), _BYTES)


@dataclass(frozen=True)
class Sent:
    """A message's bytes, and what it is: ``start`` (method and target, or status) and body."""

    data: bytes
    start: tuple[bytes, ...]
    body: bytes
    closes: bool = False


@st.composite
def requests(draw: st.DrawFn) -> Sent:
    """A request that must pass."""
    method, target = draw(_METHODS), draw(_TARGETS)
    body = draw(_NOTHING | _LENGTHS | _CHUNKED)
    host = b"%b:%b%b\r\n" % (draw(st.sampled_from([b"Host", b"host", b"HOST"])), draw(_SPACE), draw(_HOSTS))
    lines = draw(st.permutations([host, body.lines, *draw(st.lists(_FIELDS | _KNOWN, max_size=4))]))
    head = b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, b"".join(lines))
    return Sent(head + body.wire, (method, target), body.payload)


@st.composite
def responses(draw: st.DrawFn) -> Sent:
    """A response to GET that must pass."""
    status = draw(st.sampled_from([b"200", b"200", b"201", b"404", b"500", b"301", b"299", b"599"]))
    reason = draw(st.sampled_from([b" OK", b" ", b"", b" Not \xfcblich"]))
    body = draw(_LENGTHS | _CHUNKED | _TO_THE_END)
    known = st.sampled_from(
        [b"Server: x\r\n", b"Date: now\r\n", b"Connection: keep-alive\r\n", b"Keep-Alive: timeout=5\r\n", b"X_y: z\r\n"]
    )
    lines = draw(st.permutations([body.lines, *draw(st.lists(_FIELDS | known, max_size=4))]))
    interim = draw(
        st.sampled_from([b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"])
    )
    head = b"%bHTTP/1.1 %b%b\r\n%b\r\n" % (interim, status, reason, b"".join(lines))
    return Sent(head + body.wire, (status,), body.payload, body.closes)


_MARKS = st.sampled_from(b"\r\n\0 \t:,;01-+_\x0b\x80\xff\x7f%#@").map(lambda mark: bytes((mark,)))
_WORDS = st.sampled_from(
    [
        b"\r\n",
        b"\r\n\r\n",
        b"\n\n",
        b"\r\n ",
        b"\r\n\t",
        b"0\r\n\r\n",
        b"chunked",
        b"http://",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Host: t.example\r\n",
        b" HTTP/1.1\r\n",
        _HIDDEN,
    ]
)
_NASTY = _MARKS | _WORDS


def _mutate(data: bytes, operation: str, at: int, size: int, nasty: bytes) -> bytes:
    at %= len(data) + 1
    match operation:
        case "insert":
            return data[:at] + nasty + data[at:]
        case "replace":
            return data[:at] + nasty + data[at + size :]
        case "delete":
            return data[:at] + data[at + size :]
        case "double":
            return data[: at + size] + data[at:]
        case _:
            return data[:at]


_OPERATIONS = st.sampled_from(["insert", "insert", "replace", "delete", "double", "cut"])


@st.composite
def mutated(draw: st.DrawFn, messages: st.SearchStrategy[bytes]) -> bytes:
    """Bytes of ``messages`` with one to three changes."""
    data = draw(messages)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(len(data), 1)))
        data = _mutate(data, draw(_OPERATIONS), place, draw(st.integers(1, 6)), draw(_NASTY))
    return data


@st.composite
def in_pieces(draw: st.DrawFn, messages: st.SearchStrategy[bytes]) -> list[bytes]:
    """Bytes of ``messages`` as they might come."""
    data = draw(messages)
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=4)))
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return [piece for piece in pieces if piece]
