"""A base read slice by slice is the base that was packed, or an error that says what is wrong with it."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proto.codec import DecodeError, encode, inflate_base, pack_base
from proto.resources import ResourceRecord
from services.edge.follow.unpack import SLICE, slices


def read(packed: bytes) -> list[ResourceRecord]:
    return [record for piece in slices(inflate_base(packed)) for record in piece]


@pytest.mark.parametrize("count", [0, 1, 15, 16, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE + 7, 70_000])
def test_every_number_of_records(count: int) -> None:
    records = [ResourceRecord("upstream", f"n/{number:06}:80", b"x" * (number % 300)) for number in range(count)]
    assert read(pack_base(records)) == records


def test_records_of_every_length_class() -> None:
    records = [ResourceRecord("virtualhost", "h" * size, bytes(size)) for size in (0, 31, 32, 255, 256, 65535, 65536)]
    assert sorted(read(pack_base(records)), key=lambda record: len(record.name)) == records


@pytest.mark.parametrize("more", ["text", b"bytes", 7, -(2**40), 1.5, None, True, {"a": [1, {}]}, ["x", ["y"]]])
def test_what_a_newer_compiler_says_of_a_record_is_passed_over(more: object) -> None:
    packed = zlib.compress(encode([("upstream", "a", b"1", more, more), ("upstream", "b", b"2")]))
    assert read(packed) == [ResourceRecord("upstream", "a", b"1"), ResourceRecord("upstream", "b", b"2")]


def test_no_slice_is_longer_than_said() -> None:
    data = inflate_base(pack_base([ResourceRecord("upstream", str(number), b"") for number in range(1000)]))
    assert [len(piece) for piece in slices(data)] == [SLICE, SLICE, 1000 - 2 * SLICE]


def test_a_truncated_base_is_refused_wherever_it_ends() -> None:
    packed = pack_base([ResourceRecord("upstream", str(number), b"body") for number in range(20)])
    for length in range(len(packed)):
        with pytest.raises(DecodeError):
            read(packed[:length])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xc0",
        encode({"a": 1}),
        encode([1, 2]),
        encode([("upstream", "a")]),
        encode([(1, "a", b"")]),
        encode([("upstream", "a", b"")]) + b"\x00",
        b"\xdd\xff\xff\xff\xff",
        b"\x91\x93\xdb\xff\xff\xff\xff",
    ],
)
def test_other_content_is_refused(content: bytes) -> None:
    with pytest.raises(DecodeError, match="base"):
        read(zlib.compress(content))


@given(st.binary(max_size=200))
def test_arbitrary_content_never_raises_anything_else(content: bytes) -> None:
    try:
        list(slices(content))
    except DecodeError:
        return


def test_bytes_after_the_end_are_refused() -> None:
    with pytest.raises(DecodeError):
        inflate_base(pack_base([]) + b"x")
