"""A packed base, a slice at a time, so that the requests of a serving edge wait a millisecond and not a second.

Pure. Finds where records end by reading MessagePack headers only; each slice is then decoded by the codec.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from proto.codec import MAX_BASE_SIZE, DecodeError, decode
from proto.resources import ResourceRecord

SLICE: Final = 400
"""Records to a slice: about half a millisecond to decode, hash and compare."""


def inflate(packed: bytes) -> bytes:
    """The bytes that were deflated. Raises DecodeError when truncated, damaged, or larger than a base may be."""
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(packed, MAX_BASE_SIZE)
    except zlib.error as error:
        raise DecodeError(f"base: {error}") from None
    if not inflater.eof or inflater.unused_data:
        raise DecodeError("base: truncated, followed by other bytes, or larger than allowed")
    return data


def slices(data: bytes) -> Iterator[list[ResourceRecord]]:
    """The records of an inflated base (a MessagePack array of them), in lists of at most SLICE. Raises DecodeError."""
    count, position = _array_header(data)
    while count:
        taken = min(count, SLICE)
        end = _end_of_records(data, position, taken)
        head = b"\xdc" + taken.to_bytes(2, "big")
        yield decode(head + data[position:end], list[ResourceRecord], "base")
        position = end
        count -= taken
    if position != len(data):
        raise DecodeError(f"base: {len(data) - position} bytes after the last record")


def _array_header(data: bytes) -> tuple[int, int]:
    first = data[0] if data else 0xC0
    if first & 0xF0 == 0x90:
        return first & 0x0F, 1
    if first == 0xDC and len(data) >= 3:
        return int.from_bytes(data[1:3], "big"), 3
    if first == 0xDD and len(data) >= 5:
        return int.from_bytes(data[1:5], "big"), 5
    raise DecodeError("base: not a list of records")


_LENGTH_BYTES: Final = {0xD9: 1, 0xDA: 2, 0xDB: 4, 0xC4: 1, 0xC5: 2, 0xC6: 4}
"""MessagePack's str and bin types with the number of bytes that give their length."""


def _end_of_records(data: bytes, position: int, count: int) -> int:
    """Where ``count`` records that start at ``position`` end: each an array of three, of str or bin."""
    try:
        for _ in range(count):
            if data[position] != 0x93:
                raise DecodeError(f"base: no record at byte {position}")
            position += 1
            for _ in range(3):
                first = data[position]
                if first & 0xE0 == 0xA0:
                    position += 1 + (first & 0x1F)
                else:
                    width = _LENGTH_BYTES[first]
                    position += 1 + width + int.from_bytes(data[position + 1 : position + 1 + width], "big")
    except (IndexError, KeyError):
        raise DecodeError(f"base: no record at byte {position}") from None
    if position > len(data):
        raise DecodeError("base: ends within a record")
    return position
