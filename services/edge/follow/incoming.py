"""What arrives from the bus, and why it may move nothing.

Owns the reasons. Pure: bytes in, a verified delta or a rejection out; whether it is to be believed, ``proto.opening``
says. Must not know what is served at present.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from proto.opening import NotBelievedError, open_signed
from proto.signing import Verifier
from proto.snapshots import Delta, HeadProof, Position

Reason = Literal["oversized", "malformed", "schema", "signature", "mismatch", "old", "conflict", "digest", "build"]
"""Why a message moved nothing; the values of the label ``reason``."""

REASONS: Final[tuple[Reason, ...]] = (
    "oversized",
    "malformed",
    "schema",
    "signature",
    "mismatch",
    "old",
    "conflict",
    "digest",
    "build",
)


NOWHERE: Final = Position()


class RejectedError(ValueError):
    """A message that moves nothing. ``trusted``: the compiler did write it, so its rejection is worth a report."""

    def __init__(self, reason: Reason, message: str, *, trusted: bool = False) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.trusted = trusted


class Opened(Struct, frozen=True):
    """A delta whose signature was checked, with the proof of it."""

    proof: HeadProof
    delta: Delta

    @property
    def position(self) -> Position:
        """Where the log stands after this delta."""
        return Position(self.delta.epoch, self.delta.version)


def open_delta(data: bytes, verifier: Verifier) -> Opened:
    """The delta in ``data`` (a SignedDelta as stored or republished). Raises RejectedError."""
    try:
        return Opened(*open_signed(data, verifier))
    except NotBelievedError as error:
        raise RejectedError(error.reason, str(error), trusted=error.trusted) from None
