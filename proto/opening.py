"""A signed delta, opened: the one order of checks in which every reader comes to believe it (docs/bus.md section 6).

Size, envelope, schema, signature, and only then the content, so that a stranger reaches no more of a decoder than the
envelope's. Pure. Must not know what a reader holds already.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from proto.codec import DecodeError, decode
from proto.signing import AuthenticationError, Verifier
from proto.snapshots import CHUNK_SIZE, SCHEMA, Delta, HeadProof, Position, SignedDelta

MAX_MESSAGE: Final = CHUNK_SIZE + 64 * 1024
"""The largest signed delta that is looked at: a delta of the greatest size with room for its envelope."""


class NotBelievedError(ValueError):
    """A message that is no delta of ours. ``reason``: one word for metrics (docs/bus.md section 9). ``trusted``: the
    compiler did write it, so that more is wrong than a stranger's message."""

    def __init__(
        self,
        reason: Literal["oversized", "malformed", "schema", "signature", "mismatch"],
        message: str,
        *,
        trusted: bool = False,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.trusted = trusted


class _SchemaOnly(Struct, frozen=True, array_like=True):
    schema: int


def open_signed(data: bytes, verifier: Verifier) -> tuple[HeadProof, Delta]:
    """The delta in ``data`` (a SignedDelta as stored or republished), and the proof of it. Raises NotBelievedError."""
    if len(data) > MAX_MESSAGE:
        raise NotBelievedError("oversized", f"message of {len(data)} bytes, at most {MAX_MESSAGE} are read")
    signed = _envelope(data)
    try:
        verifier.check(signed.proof, signed.body)
    except AuthenticationError as error:
        raise NotBelievedError("signature", str(error)) from None
    delta = _body(signed)
    if signed.schema > SCHEMA:  # the one thing that is not signed: anybody may have written it there
        _refuse_newer_schema(data, "message", trusted=False)
    return signed.proof, delta


def _envelope(data: bytes) -> SignedDelta:
    try:
        return decode(data, SignedDelta, "signed delta")
    except DecodeError as error:
        _refuse_newer_schema(data, "message", trusted=False)
        raise NotBelievedError("malformed", str(error)) from None


def _body(signed: SignedDelta) -> Delta:
    proof = signed.proof
    version = Position(proof.epoch, proof.version)
    _refuse_newer_schema(signed.body, f"version {version}", trusted=True)
    try:
        delta = decode(signed.body, Delta, f"delta of version {version}")
    except DecodeError as error:
        raise NotBelievedError("malformed", str(error), trusted=True) from None
    said = (delta.instance, delta.epoch, delta.version, delta.digest)
    if said != (proof.instance, proof.epoch, proof.version, proof.digest):
        raise NotBelievedError("mismatch", f"content of version {version} contradicts its proof", trusted=True)
    base = delta.base
    if base.epoch != delta.epoch or not 0 < base.version <= delta.version:
        raise NotBelievedError("mismatch", f"version {version} names base {base.epoch}.{base.version}", trusted=True)
    return delta


def _refuse_newer_schema(data: bytes, what: str, *, trusted: bool) -> None:
    try:
        schema = decode(data, _SchemaOnly).schema
    except DecodeError:
        return
    if schema > SCHEMA:
        known = f"only up to {SCHEMA} is known here: upgrade edges and standbys before the compiler that writes"
        raise NotBelievedError("schema", f"{what} has schema {schema}, {known}", trusted=trusted)
