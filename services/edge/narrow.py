"""An endpoint's connection read in small pieces: while the budget for slow clients is short, each holds no more.

Owns the buffer that is read into, one for the process. Must not know what is read.
"""

from __future__ import annotations

import asyncio
from typing import Final

PIECE: Final = 16 * 1024
"""Bytes that are read at a time. The event loops read up to 256 KB."""

_buffer: Final = memoryview(bytearray(PIECE))


class Narrow(asyncio.BufferedProtocol):
    """Stands between a transport and its protocol until the transport is given that one back."""

    __slots__ = ("_inner",)

    def __init__(self, inner: asyncio.Protocol) -> None:
        self._inner = inner

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where to read to."""
        return _buffer

    def buffer_updated(self, count: int) -> None:
        """Bytes came."""
        self._inner.data_received(bytes(_buffer[:count]))

    def eof_received(self) -> bool | None:
        """The endpoint sends no more."""
        return self._inner.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self._inner.connection_lost(error)

    def pause_writing(self) -> None:
        """The endpoint takes bytes slower than they come."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """The endpoint takes bytes again."""
        self._inner.resume_writing()
