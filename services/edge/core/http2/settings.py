"""The peer's settings (RFC 9113 section 6.5.2): which values there may be, and what they mean for us."""

from __future__ import annotations

from msgspec import Struct

from services.edge.core.http2.errors import (
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    PROTOCOL_ERROR,
    ConnectionFaultError,
)
from services.edge.core.http2.frames import (
    DEFAULT_FRAME,
    DEFAULT_WINDOW,
    ENABLE_PUSH,
    HEADER_TABLE_SIZE,
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    MAX_FRAME,
    MAX_FRAME_SIZE,
    MAX_WINDOW,
    each_setting,
)
from services.edge.core.http2.hpack_decoder import TABLE_SIZE


class PeerSettings(Struct, frozen=True, gc=False):
    """What the peer lets us do. ``streams``: open at once; until it says otherwise we think of a hundred.

    ``small_table``: it keeps a smaller dynamic table than encoders assume, so the next block must acknowledge that.
    """

    streams: int = 100
    initial_window: int = DEFAULT_WINDOW
    max_frame: int = DEFAULT_FRAME
    small_table: bool = False


def read_settings(payload: bytes, before: PeerSettings, may_push: bool) -> PeerSettings:
    """``before`` as a SETTINGS frame changes it; the last value of each setting counts, but none may be one that there
    must not be; unknown ones say nothing.

    ``may_push``: ENABLE_PUSH may be 1, as clients may say. Raises ConnectionFaultError.
    """
    if len(payload) % 6:
        raise ConnectionFaultError(FRAME_SIZE_ERROR, "settings-size")
    values: dict[int, int] = {}
    small_table = False
    for name, value in each_setting(payload):
        values[name] = value
        if name == ENABLE_PUSH and value > may_push:
            raise ConnectionFaultError(PROTOCOL_ERROR, "enable-push")
        if name == INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
            raise ConnectionFaultError(FLOW_CONTROL_ERROR, "initial-window-size")
        if name == MAX_FRAME_SIZE and not DEFAULT_FRAME <= value <= MAX_FRAME:
            raise ConnectionFaultError(PROTOCOL_ERROR, "max-frame-size")
        if name == HEADER_TABLE_SIZE and value < TABLE_SIZE:
            small_table = True  # also where it grows again: encoders say the smallest there was (RFC 7541 section 4.2)
    window = values.get(INITIAL_WINDOW_SIZE, before.initial_window)
    max_frame = values.get(MAX_FRAME_SIZE, before.max_frame)
    return PeerSettings(values.get(MAX_CONCURRENT_STREAMS, before.streams), window, max_frame, small_table)
