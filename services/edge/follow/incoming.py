"""What arrives from the bus, and whether it is to be believed.

Owns the order of the checks: size, envelope, schema, signature, and only then the content. Pure: bytes in, a verified
delta or a rejection out. Must not know what is served at present.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from proto.codec import DecodeError, decode
from proto.signing import AuthenticationError, Verifier
from proto.snapshots import CHUNK_SIZE, SCHEMA, Delta, HeadProof, SignedDelta

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

MAX_MESSAGE: Final = CHUNK_SIZE + 64 * 1024
"""The largest signed delta that is looked at: a delta of the greatest size with room for its envelope."""


class Position(Struct, frozen=True, order=True):
    """A place in the log. Order and fencing rest on this alone, never on stream sequences or clocks."""

    epoch: int = 0
    version: int = 0

    def __str__(self) -> str:
        return f"{self.epoch}.{self.version}"


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


class _SchemaOnly(Struct, frozen=True, array_like=True):
    schema: int


def open_delta(data: bytes, verifier: Verifier) -> Opened:
    """The delta in ``data`` (a SignedDelta as stored or republished).

    Raises RejectedError. The body is not decoded before its signature was found good, so that a stranger reaches no
    more of the decoder than the envelope's.
    """
    if len(data) > MAX_MESSAGE:
        raise RejectedError("oversized", f"message of {len(data)} bytes, at most {MAX_MESSAGE} are read")
    signed = _envelope(data)
    try:
        verifier.check(signed.proof, signed.body)
    except AuthenticationError as error:
        raise RejectedError("signature", str(error)) from None
    position = Position(signed.proof.epoch, signed.proof.version)
    return Opened(signed.proof, _body(signed, position))


def _envelope(data: bytes) -> SignedDelta:
    try:
        signed = decode(data, SignedDelta, "signed delta")
    except DecodeError as error:
        _refuse_newer_schema(data, "message", trusted=False)
        raise RejectedError("malformed", str(error)) from None
    if signed.schema > SCHEMA:
        _refuse_newer_schema(data, "message", trusted=False)
    return signed


def _body(signed: SignedDelta, position: Position) -> Delta:
    _refuse_newer_schema(signed.body, f"version {position}", trusted=True)
    try:
        delta = decode(signed.body, Delta, f"delta of version {position}")
    except DecodeError as error:
        raise RejectedError("malformed", str(error), trusted=True) from None
    proof = signed.proof
    said = (delta.instance, delta.epoch, delta.version, delta.digest)
    if said != (proof.instance, proof.epoch, proof.version, proof.digest):
        raise RejectedError("mismatch", f"content of version {position} contradicts its proof", trusted=True)
    if delta.base.epoch != delta.epoch or not 0 < delta.base.version <= delta.version:
        raise RejectedError(
            "mismatch", f"version {position} names base {delta.base.epoch}.{delta.base.version}", trusted=True
        )
    return delta


def _refuse_newer_schema(data: bytes, what: str, *, trusted: bool) -> None:
    try:
        schema = decode(data, _SchemaOnly).schema
    except DecodeError:
        return
    if schema > SCHEMA:
        message = f"{what} has schema {schema}, this edge knows up to {SCHEMA}: upgrade edges before the compiler"
        raise RejectedError("schema", message, trusted=trusted)
