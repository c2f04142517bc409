"""Payloads with padding, and header blocks in several frames (RFC 9113 sections 6.1 and 4.3) and their bounds."""

from __future__ import annotations

from services.edge.core.http2.errors import ENHANCE_YOUR_CALM, ConnectionFaultError, misplaced
from services.edge.core.http2.limits import Limits


class Block:
    """A header block that is not complete. ``ended``: its HEADERS frame ended the stream. ``itself``: it claimed to
    depend on that very stream."""

    __slots__ = ("_continuations", "_limits", "_pieces", "_size", "ended", "itself", "stream_id")

    def __init__(self, stream_id: int, ended: bool, itself: bool, piece: bytes, limits: Limits) -> None:
        self.stream_id = stream_id
        self.ended = ended
        self.itself = itself
        self._limits = limits
        self._pieces = [piece]
        self._size = len(piece)
        self._continuations = 0

    def add(self, piece: bytes) -> None:
        """One CONTINUATION frame more. Raises ConnectionFaultError if that is too much, in frames or bytes."""
        self._pieces.append(piece)
        self._size += len(piece)
        self._continuations += 1
        if self._continuations > self._limits.continuations:
            raise ConnectionFaultError(ENHANCE_YOUR_CALM, "continuations")
        if self._size > self._limits.block_bytes:
            raise ConnectionFaultError(ENHANCE_YOUR_CALM, "header-block-too-large")

    def whole(self) -> bytes:
        """The block."""
        return b"".join(self._pieces)


def unpad(payload: bytes) -> bytes:
    """What is in a padded payload (RFC 9113 section 6.1). Raises ConnectionFaultError."""
    if not payload or payload[0] >= len(payload):
        raise misplaced("padding")
    return payload[1 : len(payload) - payload[0]]
