"""Header compression beside the hpack library, both ways, on sound and on broken blocks."""

from __future__ import annotations

import hpack
from hypothesis import given
from hypothesis import strategies as st

from services.edge.core.http2 import encode_fields, encode_request, encode_response
from services.edge.core.http2.errors import ConnectionFaultError
from services.edge.core.http2.hpack_decoder import Decoder
from services.edge.core.http2.huffman import decode, encode

names = st.sampled_from(
    [b":path", b":authority", b"accept", b"cookie", b"set-cookie", b"x-a", b"x-b", b"etag", b"date", b"te"]
) | st.binary(min_size=1, max_size=12)
values = st.sampled_from([b"", b"/", b"*/*", b"gzip, deflate", b"a" * 100]) | st.binary(max_size=40)
fields = st.lists(st.tuples(names, values), max_size=12)


@given(st.binary(max_size=200))
def test_huffman(text: bytes) -> None:
    assert decode(encode(text)) == text
    assert hpack.huffman_table.decode_huffman(encode(text)) == text


@given(st.binary(max_size=40))
def test_huffman_of_anything(data: bytes) -> None:
    try:
        theirs: bytes | None = hpack.huffman_table.decode_huffman(data)
    except hpack.HPACKDecodingError:
        theirs = None
    try:
        ours: bytes | None = decode(data)
    except ConnectionFaultError:
        ours = None
    if theirs is None or encode(theirs) == data:  # it also takes padding of eight bits and more
        assert ours == theirs


@given(st.lists(st.tuples(fields, st.booleans(), st.none() | st.integers(0, 4096)), max_size=8))
def test_what_the_library_writes(blocks: list[tuple[list[tuple[bytes, bytes]], bool, int | None]]) -> None:
    encoder, decoder = hpack.Encoder(), Decoder()
    for written, huffman, table_size in blocks:
        if table_size is not None:
            encoder.header_table_size = table_size
        block = encoder.encode(written, huffman=huffman)
        assert [field.pair for field in decoder.decode(block)] == written


@given(st.lists(fields, max_size=5), st.integers(200, 599))
def test_what_we_write(blocks: list[list[tuple[bytes, bytes]]], status: int) -> None:
    decoder = hpack.Decoder()
    for written in blocks:
        assert decoder.decode(encode_fields(written), raw=True) == written
        assert decoder.decode(encode_response(status, written), raw=True) == [(b":status", b"%d" % status), *written]
        request = decoder.decode(encode_request(b"PUT", b"https", b"h", b"/p", written), raw=True)
        head = [(b":method", b"PUT"), (b":scheme", b"https"), (b":authority", b"h"), (b":path", b"/p")]
        assert request == [*head, *written]


@given(
    st.lists(fields, min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3),
    st.binary(max_size=20),
)
def test_broken_blocks(
    blocks: list[list[tuple[bytes, bytes]]], changes: list[tuple[int, int]], appended: bytes
) -> None:
    """What we take, the library takes for the same; what it refuses, so do we."""
    encoder, decoder, library = hpack.Encoder(), Decoder(), hpack.Decoder()
    for written in blocks:
        block = bytearray(encoder.encode(written))
        for at, byte in changes:
            if at < len(block):
                block[at] = byte
        block += appended
        try:
            theirs: list[tuple[bytes, bytes]] | None = library.decode(bytes(block), raw=True)
        except hpack.HPACKError:
            theirs = None
        ours = _read(decoder, bytes(block))
        if isinstance(ours, str):
            assert theirs is None or ours in ("integer", "huffman-padding")  # where we are stricter
            return
        assert ours == theirs


def _read(decoder: Decoder, block: bytes) -> list[tuple[bytes, bytes]] | str:
    """The fields of a block, or what is wrong with it."""
    try:
        return [field.pair for field in decoder.decode(block)]
    except ConnectionFaultError as fault:
        return fault.reason
