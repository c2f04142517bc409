"""Header compression: the examples of RFC 7541 appendix C, what no encoder may send, and what a table may hold."""

from __future__ import annotations

import pytest

from services.edge.core.http2 import encode_fields, encode_request, encode_response
from services.edge.core.http2.errors import COMPRESSION_ERROR, ConnectionFaultError
from services.edge.core.http2.hpack_decoder import Decoder, read_integer
from services.edge.core.http2.hpack_encoder import write_integer
from services.edge.core.http2.huffman import decode, encode
from services.edge.core.http2.memo import Memo


def decoded(decoder: Decoder, block: bytes) -> list[tuple[bytes, bytes]]:
    return [field.pair for field in decoder.decode(block)]


def test_the_examples_of_requests() -> None:
    """RFC 7541 appendix C.3 (plain) and C.4 (Huffman): one connection, three requests."""
    plain = (
        "828684410f7777772e6578616d706c652e636f6d",
        "828684be58086e6f2d6361636865",
        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    )
    huffman = (
        "828684418cf1e3c2e5f23a6ba0ab90f4ff",
        "828684be5886a8eb10649cbf",
        "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    )
    for blocks in (plain, huffman):
        decoder = Decoder()
        first, second, third = (decoded(decoder, bytes.fromhex(block)) for block in blocks)
        assert first == [
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":path", b"/"),
            (b":authority", b"www.example.com"),
        ]
        assert second == [*first, (b"cache-control", b"no-cache")]
        assert third[-1] == (b"custom-key", b"custom-value")
        assert third[1:4] == [(b":scheme", b"https"), (b":path", b"/index.html"), (b":authority", b"www.example.com")]


def test_what_is_too_much_for_the_table_falls_out_of_it() -> None:
    """As in RFC 7541 appendix C.5, with a table of 256 bytes."""
    decoder = Decoder()
    decoder.decode(b"\x3f\xe1\x01")
    blocks = (
        "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54"
        "6e1768747470733a2f2f7777772e6578616d706c652e636f6d",
        "4803333037c1c0bf",
        "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a"
        "584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
    )
    first, second, third = (decoded(decoder, bytes.fromhex(block)) for block in blocks)
    assert second == [(b":status", b"307"), *first[1:]]
    assert third[3] == (b"location", b"https://www.example.com")
    with pytest.raises(ConnectionFaultError, match="index"):
        decoder.decode(b"\xc1")
    assert len(decoded(decoder, b"\xbe\xbf\xc0")) == 3


def test_a_field_too_large_for_the_table_empties_it() -> None:
    decoder = Decoder()
    decoder.decode(b"\x40\x01a\x01b")
    decoder.decode(b"\x40\x01a\x7f\xa1\x1f" + bytes(4128))
    with pytest.raises(ConnectionFaultError, match="index"):
        decoder.decode(b"\xbe")


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (b"\x80", "index"),
        (b"\xbe", "index"),
        (b"\xff\x80\x01", "index"),
        (b"\x7f\x01\x01a", "index"),
        (b"\xff", "truncated"),
        (b"\xff\x80", "truncated"),
        (b"\xff\xff\xff\xff\xff\x0f", "integer"),
        (b"\x40", "truncated"),
        (b"\x40\x02a", "truncated"),
        (b"\x00\x01a", "truncated"),
        (b"\x00\x01a\x7f", "truncated"),
        (b"\x82\x20", "late-size-update"),
        (b"\x3f\xe2\x1f", "table-size"),
        (b"\x00\x01a\x82\xff\xff", "huffman-padding"),
        (b"\x00\x01a\x81\x1e", "huffman-padding"),
        (b"\x00\x01a\x84\xff\xff\xff\xfc", "huffman-end"),
    ],
)
def test_what_no_encoder_sends(block: bytes, reason: str) -> None:
    with pytest.raises(ConnectionFaultError) as caught:
        Decoder().decode(block)
    assert (caught.value.code, caught.value.reason) == (COMPRESSION_ERROR, reason)


def test_a_table_may_be_resized_at_the_beginning() -> None:
    decoder = Decoder()
    decoder.decode(b"\x40\x01a\x01b")
    assert decoded(decoder, b"\x20\x3f\xe1\x1f\x82") == [(b":method", b"GET")]
    with pytest.raises(ConnectionFaultError):
        decoder.decode(b"\xbe")


@pytest.mark.parametrize(("value", "prefix"), [(10, 5), (1337, 5), (42, 8), (30, 5), (31, 5), (127, 7), (16384, 4)])
def test_integers(value: int, prefix: int) -> None:
    written = write_integer(value, prefix, 0)
    assert read_integer(written, 0, prefix) == (value, len(written))


def test_secrets_are_never_indexed_and_what_the_static_table_holds_is() -> None:
    assert encode_response(404, []) == b"\x8d"
    assert encode_fields([(b"set-cookie", b"a")]) == b"\x1f\x28\x01a"
    assert encode_fields([(b"accept-encoding", b"gzip, deflate")]) == b"\x90"
    assert encode_request(b"GET", b"https", b"a", b"/", [])[:2] == b"\x82\x87"


def test_a_block_means_the_same_each_time() -> None:
    fields = [(b"x-a", b"1"), (b"location", b"/x"), (b"x-long", b"v" * 300), (b"x-a", b"1")]
    assert encode_response(302, fields) == encode_response(302, fields)
    assert decoded(Decoder(), encode_response(302, fields)) == [(b":status", b"302"), *fields]


def test_huffman_of_every_byte() -> None:
    every = bytes(range(256))
    assert decode(encode(every)) == every
    assert decode(encode(b"")) == b""
    assert encode(b"www.example.com").hex() == "f1e3c2e5f23a6ba0ab90f4ff"


def test_a_memo_is_bounded_and_keeps_no_failure() -> None:
    calls = []

    def make(key: int) -> int:
        calls.append(key)
        return 10 // key

    memo: Memo[int, int] = Memo(make, 3)
    assert [memo[1], memo[1], memo[2]] == [10, 10, 5]
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            memo[0]
    for key in range(1, 100):
        assert memo[key] == 10 // key
        assert len(memo) <= 3
    assert calls[:4] == [1, 2, 0, 0]
