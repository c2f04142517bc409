"""Deltas as they stand in the log: written, and opened again. Pure."""

from __future__ import annotations

from msgspec import Struct

from proto.codec import encode
from proto.opening import NotBelievedError, open_signed
from proto.signing import Signer, Verifier
from proto.snapshots import SCHEMA, Delta, HeadProof, Position, SignedDelta
from services.compiler.table import Change


class RefusedError(ValueError):
    """A message that is not what it claims to be. ``reason`` is one word for the metric; ``trusted``: a compiler did
    write it."""

    def __init__(self, reason: str, message: str, *, trusted: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.trusted = trusted


class Entry(Struct, frozen=True):
    """A verified delta of the log. ``sequence``: where the stream holds it (0: unknown)."""

    proof: HeadProof
    delta: Delta
    sequence: int = 0
    size: int = 0

    @property
    def position(self) -> Position:
        """Where the log stands after it."""
        return Position(self.delta.epoch, self.delta.version)

    @property
    def change(self) -> Change:
        """What it changes (nothing that could be read here if it is ``rebased``)."""
        return Change(self.delta.upserts, self.delta.removals)


def sign(delta: Delta, signer: Signer) -> tuple[HeadProof, bytes]:
    """``delta`` signed: its proof, and the bytes to store."""
    body = encode(delta)
    proof = signer.prove(delta.instance, delta.epoch, delta.version, delta.digest, body)
    return proof, encode(SignedDelta(SCHEMA, proof, body))


def open_entry(data: bytes, verifier: Verifier, sequence: int = 0) -> Entry:
    """The delta in ``data``. Raises RefusedError."""
    try:
        proof, delta = open_signed(data, verifier)
    except NotBelievedError as error:
        raise RefusedError(error.reason, str(error), trusted=error.trusted) from None
    return Entry(proof, delta, sequence, len(data))
