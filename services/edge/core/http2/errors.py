"""Error codes of HTTP/2 (RFC 9113 section 7) and the two ways in which a peer can be wrong."""

from __future__ import annotations

from typing import Final

NO_ERROR: Final = 0x0
PROTOCOL_ERROR: Final = 0x1
INTERNAL_ERROR: Final = 0x2
FLOW_CONTROL_ERROR: Final = 0x3
SETTINGS_TIMEOUT: Final = 0x4
STREAM_CLOSED: Final = 0x5
FRAME_SIZE_ERROR: Final = 0x6
REFUSED_STREAM: Final = 0x7
CANCEL: Final = 0x8
COMPRESSION_ERROR: Final = 0x9
CONNECT_ERROR: Final = 0xA
ENHANCE_YOUR_CALM: Final = 0xB
INADEQUATE_SECURITY: Final = 0xC
HTTP_1_1_REQUIRED: Final = 0xD


class ConnectionFaultError(Exception):
    """The connection cannot go on (RFC 9113 section 5.4.1). ``reason``: one word for a counter."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class StreamFaultError(Exception):
    """One stream cannot go on, the others are unharmed (RFC 9113 section 5.4.2)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


def misplaced(reason: str) -> ConnectionFaultError:
    """For a frame that may not be there, or not be so."""
    return ConnectionFaultError(PROTOCOL_ERROR, reason)


def bad_size(reason: str) -> ConnectionFaultError:
    """For a frame whose length cannot be right."""
    return ConnectionFaultError(FRAME_SIZE_ERROR, reason)
