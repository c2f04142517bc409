"""Bodies in chunks: read strictly, the same in any pieces, written anew."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge.core.chunked import LAST, ChunkedDecoder, FramingError, frame
from services.edge.core.request_body import RequestBody


def decode(*pieces: bytes) -> tuple[bytes, bool, bytes]:
    """(payload, whether done, what follows)."""
    decoder = ChunkedDecoder()
    payload = b""
    for number, piece in enumerate(pieces):
        payload += decoder.feed(piece)
        if decoder.done:
            return payload, True, decoder.rest + b"".join(pieces[number + 1 :])
    return payload, False, b""


@pytest.mark.parametrize(
    ("data", "payload"),
    [
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"A\r\n0123456789\r\n000\r\n\r\n", b"0123456789"),
        (b"2;a=b\r\nhi\r\n0;x\r\nTrailer: y\r\n\r\n", b"hi"),
        (b"0\r\n\r\n", b""),
    ],
)
def test_valid(data: bytes, payload: bytes) -> None:
    assert decode(data + b"next") == (payload, True, b"next")
    assert decode(*(data[at : at + 1] for at in range(len(data)))) == (payload, True, b"")


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"0_2e\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n",
        b"-1\r\n",
        b"5\nhello\n0\n\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"10\x00\r\nx",
        b"1\r0\n",
        b"Z",
        b";\r\n",
        b"f" * 17,
        b"5;a=" + b"b" * 2000,
        b"".join(b"1;" + b"e" * 600 + b"\r\nx\r\n" for _ in range(2)),
        b"0\r\nno colon\r\n\r\n",
        b"0\r\n: x\r\n\r\n",
        b"0\r\n" + b"X: " + b"a" * 9000,
        b"0\r\n" + b"X: y\r\n" * 3000,
    ],
)
def test_refused(data: bytes) -> None:
    with pytest.raises(FramingError):
        decode(data)
    with pytest.raises(FramingError):
        decode(*(data[at : at + 1] for at in range(len(data))))


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5), st.binary(max_size=5), st.lists(st.integers(0, 300)))
def test_frame_and_read_again(parts: list[bytes], rest: bytes, cuts: list[int]) -> None:
    data = b"".join(map(frame, parts)) + LAST + rest
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    assert decode(*pieces) == (b"".join(parts), True, rest)


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=4))
def test_what_was_taken_apart_and_framed_anew_is_well_framed_whatever_came(data: bytes, cuts: list[int]) -> None:
    """Nothing, or frames that a strict reader takes: never bytes of the sender's framing."""
    body = RequestBody(-1)
    out = b""
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    try:
        for start, end in itertools.pairwise(edges):
            payload, last = body.take(data[start:end])
            out += frame(payload) if payload else b""
            if last:
                break
    except FramingError:
        pass
    decode(out)


def test_what_came_is_counted_with_its_framing() -> None:
    body = RequestBody(-1)
    assert body.take(b"1\r\na\r\n" * 10) == (b"a" * 10, False)
    assert body.received == 60


def test_a_body_of_known_length_ends_where_it_says() -> None:
    body = RequestBody(5)
    assert body.take(b"hel") == (b"hel", False)
    assert body.take(b"lo GET") == (b"lo", True)
    assert (body.rest, body.received) == (b" GET", 5)
