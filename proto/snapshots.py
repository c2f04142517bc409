"""Deltas and bases: how one version of the table becomes the next, and how an edge starts.

A *delta* leads from version ``version - 1`` to ``version``. The newest delta is the *head*; it names the newest
*base*, a packed snapshot in chunks. Deltas are signed (``proto.signing``); a base is trusted through its hash in a
signed delta. Order and fencing come from (epoch, version) alone.
"""

from __future__ import annotations

from msgspec import Struct

from proto.objects import ObjectKey
from proto.resources import ResourceKey, ResourceRecord

SCHEMA = 1
"""The number of this wire format; a reader refuses a greater one with a clear message."""

CHUNK_SIZE = 512 * 1024
"""The largest chunk of a base, and the largest delta, in bytes; anything greater goes as a new base."""


class Position(Struct, frozen=True, order=True):
    """A place in the log. Order and fencing rest on this alone, never on stream sequences or clocks."""

    epoch: int = 0
    version: int = 0

    def __str__(self) -> str:
        return f"{self.epoch}.{self.version}"


class BaseRef(Struct, frozen=True, array_like=True, gc=False):
    """Where a base stands and how to trust it.

    ``size`` and ``hash`` (BLAKE2b-256) are those of the packed bytes, ``digest`` is the table's. ``sequence`` is the
    sequence in the delta stream of the delta with this base's version (0: unknown), a hint for fetching what follows.
    """

    epoch: int
    version: int
    chunks: int
    size: int
    hash: bytes
    digest: bytes
    sequence: int = 0


class Cause(Struct, frozen=True, array_like=True):
    """What led to a delta: the objects whose change was folded into it (at most 16 are named, ``changes`` counts all).

    ``observed_at``: when the watcher saw the first of them, Unix seconds; ``trace``: that change's id (32 hex digits).
    ``reason``: ``change``, ``start``, ``approve``, ``rollback`` …, for people.
    """

    reason: str
    objects: tuple[ObjectKey, ...] = ()
    resource_version: str = ""
    observed_at: float = 0.0
    trace: str = ""
    changes: int = 0


class Delta(Struct, frozen=True, array_like=True):
    """One entry of the log. ``digest``: the table's after this delta. ``published_at``: Unix seconds, informational.

    With ``rebased`` the change is too large to travel here: ``base`` is this very version and upserts and removals
    are empty.
    """

    schema: int
    instance: str
    epoch: int
    version: int
    digest: bytes
    base: BaseRef
    cause: Cause
    published_at: float
    upserts: tuple[ResourceRecord, ...] = ()
    removals: tuple[ResourceKey, ...] = ()
    rebased: bool = False


class HeadProof(Struct, frozen=True, array_like=True):
    """That the compiler signed a delta: what the signature covers, and the signature.

    An edge returns it in its reports, so that a compiler that lost its log learns, without having to trust the edge,
    which (epoch, version) it had reached.
    """

    instance: str
    epoch: int
    version: int
    digest: bytes
    body_hash: bytes
    key_id: str
    signature: bytes


class SignedDelta(Struct, frozen=True, array_like=True):
    """What is stored and republished: the proof and the delta's MessagePack, whose hash the proof holds."""

    schema: int
    proof: HeadProof
    body: bytes
