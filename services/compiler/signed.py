"""Deltas as they stand in the log: written and opened, with the checks in one order.

Size, envelope, schema, signature, and only then the content, so that a stranger reaches no more of a decoder than the
envelope's. Pure.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from proto.codec import DecodeError, decode, encode
from proto.signing import AuthenticationError, Signer, Verifier
from proto.snapshots import CHUNK_SIZE, SCHEMA, Delta, HeadProof, SignedDelta
from services.compiler.table import Change, Position

MAX_MESSAGE: Final = CHUNK_SIZE + 64 * 1024
"""The largest signed delta that is read: a delta of the greatest size with room for its envelope."""


class RefusedError(ValueError):
    """A message that is not what it claims to be. ``reason`` is one word for the metric."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


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
    if len(data) > MAX_MESSAGE:
        raise RefusedError("oversized", f"delta message of {len(data)} bytes, at most {MAX_MESSAGE} are read")
    try:
        signed = decode(data, SignedDelta, "signed delta")
    except DecodeError as error:
        raise RefusedError("malformed", str(error)) from None
    if signed.schema > SCHEMA:
        raise RefusedError("schema", f"delta has schema {signed.schema}, this compiler knows up to {SCHEMA}")
    try:
        verifier.check(signed.proof, signed.body)
    except AuthenticationError as error:
        raise RefusedError("signature", str(error)) from None
    try:
        delta = decode(signed.body, Delta, f"delta {signed.proof.epoch}.{signed.proof.version}")
    except DecodeError as error:
        raise RefusedError("malformed", str(error)) from None
    proof = signed.proof
    if (delta.instance, delta.epoch, delta.version, delta.digest) != (
        proof.instance,
        proof.epoch,
        proof.version,
        proof.digest,
    ):
        raise RefusedError("mismatch", f"content of version {proof.epoch}.{proof.version} contradicts its proof")
    return Entry(proof, delta, sequence, len(data))
