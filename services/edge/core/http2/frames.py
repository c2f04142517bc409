"""Frames (RFC 9113 sections 4 and 6): their header, types, flags, and those that are written whole."""

from __future__ import annotations

from struct import Struct
from typing import Final

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITISED: Final = 0x20

HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends first."""

HEADER_LENGTH: Final = 9
DEFAULT_WINDOW: Final = 65_535
DEFAULT_FRAME: Final = 16_384
"""The longest payload that everybody takes, and the longest that we take."""

MAX_FRAME: Final = 2**24 - 1
MAX_WINDOW: Final = 2**31 - 1
MAX_STREAM: Final = 2**31 - 1

_header = Struct(">IBI")
pack_header = _header.pack
"""(length << 8 | type, flags, stream) → the nine bytes in front of a payload."""
unpack_header = _header.unpack_from

_two_numbers = Struct(">II")
_one_number = Struct(">I")
_setting = Struct(">HI")
unpack_number = _one_number.unpack_from
unpack_two = _two_numbers.unpack_from
each_setting = _setting.iter_unpack

SETTINGS_ACK: Final = pack_header(SETTINGS, ACK, 0)


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    payload = b"".join([_setting.pack(name, value) for name, value in values.items()])
    return pack_header(len(payload) << 8 | SETTINGS, 0, 0) + payload


def window_update(stream_id: int, increment: int) -> bytes:
    """A WINDOW_UPDATE frame; stream 0 is the connection."""
    return pack_header(4 << 8 | WINDOW_UPDATE, 0, stream_id) + _one_number.pack(increment)


def rst_stream(stream_id: int, code: int) -> bytes:
    """A RST_STREAM frame."""
    return pack_header(4 << 8 | RST_STREAM, 0, stream_id) + _one_number.pack(code)


def ping(payload: bytes, flags: int = 0) -> bytes:
    """A PING frame with eight bytes."""
    return pack_header(8 << 8 | PING, flags, 0) + payload


def goaway(last_stream_id: int, code: int, reason: str = "") -> bytes:
    """A GOAWAY frame; ``reason`` goes along for whoever looks at the other end."""
    debug = reason.encode()
    return pack_header(8 + len(debug) << 8 | GOAWAY, 0, 0) + _two_numbers.pack(last_stream_id, code) + debug
