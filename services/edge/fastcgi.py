"""FastCGI under a connection to an endpoint: whoever is above it speaks HTTP/1.1 and cannot tell.

Owns which bytes that are written are a head, and which its body; what becomes of them is
``services.edge.core.fastcgi``'s. A connection carries one request: its response says that it ends then.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final, cast

from services.edge.core.fastcgi import STDIN, FastCGIError, ResponseReader, record, request, stream

_DONE_BY_THE_REAL_ONE: Final = (
    "abort",
    "close",
    "get_write_buffer_size",
    "is_closing",
    "is_reading",
    "pause_reading",
    "resume_reading",
    "set_write_buffer_limits",
)


class FastCGI(asyncio.Transport, asyncio.Protocol):
    """See the module. The protocol of the endpoint's connection, and the transport of ``inner``."""

    def __init__(self, inner: asyncio.Protocol, counters: Counter[str]) -> None:
        super().__init__()
        self._inner = inner
        self._counters = counters
        self._real: asyncio.Transport = cast(asyncio.Transport, None)
        self._response: ResponseReader | None = None
        self._left = 0

    # --- from the event loop ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The endpoint took the connection."""
        self._real = cast(asyncio.Transport, transport)
        for name in _DONE_BY_THE_REAL_ONE:
            setattr(self, name, getattr(transport, name))
        self._inner.connection_made(self)

    def data_received(self, data: bytes) -> None:
        """Records of the response."""
        try:
            if self._response is None:
                raise FastCGIError("it was not asked")
            said = self._response.feed(data)
        except FastCGIError as error:
            self._counters[f"upstream-fastcgi-{str(error).replace(' ', '-')}"] += 1
            self._real.abort()
            return
        if said:
            self._inner.data_received(said)

    def eof_received(self) -> bool | None:
        """Nothing more comes: what was not ended before is broken off."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self._inner.connection_lost(error or ConnectionResetError("it ended"))

    def pause_writing(self) -> None:
        """The endpoint takes bytes slower than they come."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """It takes bytes again."""
        self._inner.resume_writing()

    # --- to the endpoint ----------------------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As the real transport has it."""
        return self._real.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """First a whole head, and then the body that it announces."""
        text = bytes(data)
        begun = b""
        if self._response is None:
            end = text.index(b"\r\n\r\n") + 4
            begun, self._left = request(text[:end])
            self._response = ResponseReader(text.startswith(b"HEAD "))
            text = text[end:]
            if not self._left:
                self._real.write(begun + record(STDIN, b""))
                return
        self._left -= len(text)
        self._real.write(begun + stream(STDIN, text) + (b"" if self._left > 0 else record(STDIN, b"")))
