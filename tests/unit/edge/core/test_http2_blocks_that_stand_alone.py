"""Heads whose blocks say everything by themselves: found again as they are, with the same effect on the table."""

from __future__ import annotations

import pytest

from services.edge.core.http2.head_reader import HeadReader
from services.edge.core.http2.hpack_decoder import Decoder, inserted_by
from services.edge.core.http2.limits import ENDPOINT_LIMITS


def literal(name: bytes, value: bytes, first: int = 0x40) -> bytes:
    """A literal with a new name; by default one that goes to the table."""
    return bytes((first, len(name))) + name + bytes((len(value),)) + value


RESPONSE = b"\x88" + literal(b"x-one", b"1") + literal(b"x-two", b"2") + literal(b"x-three", b"3", 0)
"""``:status: 200`` and three more, two of which go to the table."""


def test_the_second_time_is_the_same_head() -> None:
    reader = HeadReader(ENDPOINT_LIMITS)
    head = reader.response(RESPONSE)
    assert head.fields == ((b"x-one", b"1"), (b"x-two", b"2"), (b"x-three", b"3"))
    assert all(reader.response(RESPONSE) is head for _ in range(200))


@pytest.mark.parametrize("times", [1, 2, 3, 60, 300])
def test_the_table_is_as_if_it_had_been_read(times: int) -> None:
    reader, plain = HeadReader(ENDPOINT_LIMITS), Decoder()
    for number in range(times):
        reader.response(RESPONSE)
        plain.decode(RESPONSE)
        other = b"\x88" + literal(b"x-number", b"%03d" % number)
        reader.response(other)
        plain.decode(other)
    for index in range(62, 62 + min(3 * times, 60)):
        block = b"\x88" + bytes((0x80 | index,))
        assert reader.response(block).fields == (plain.decode(block)[1].pair,)


def test_what_refers_to_the_table_is_read_anew_when_that_changed() -> None:
    reader = HeadReader(ENDPOINT_LIMITS)
    newest = b"\x88\xbe"
    reader.response(b"\x88" + literal(b"a", b"1"))
    assert reader.response(newest).fields == ((b"a", b"1"),)
    reader.response(b"\x88" + literal(b"b", b"2"))
    assert reader.response(newest).fields == ((b"b", b"2"),)
    reader.response(b"\x88" + literal(b"a", b"1"))
    assert reader.response(newest).fields == ((b"a", b"1"),)
    assert reader.trailers(literal(b"grpc-status", b"0")) == ((b"grpc-status", b"0"),)
    assert reader.trailers(literal(b"grpc-status", b"0")) == ((b"grpc-status", b"0"),)
    assert reader.response(newest).fields == ((b"grpc-status", b"0"),)


@pytest.mark.parametrize(
    "block",
    [
        b"\x88\xbe",  # a field of the table
        b"\x88\x7e\x011",  # a name of the table
        b"\x20\x88" + literal(b"a", b"1"),  # the table gets another size
    ],
)
def test_what_depends_on_the_table_does_not_stand_alone(block: bytes) -> None:
    decoder = Decoder()
    decoder.decode(literal(b"x", b"0"))
    assert inserted_by(block, decoder.decode(block)) is None
