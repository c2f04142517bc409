"""The digest of a set of named things: order-free and incremental.

A table's digest is the sum, modulo 2^256, of the BLAKE2b-256 hashes of its entries, so that both ends update it in
time proportional to a change: subtract what went, add what came.
"""

from __future__ import annotations

from hashlib import blake2b

EMPTY = bytes(32)
"""The digest of the empty set."""

_MODULUS = 1 << 256


def entry_hash(kind: str, name: str, body: bytes) -> int:
    """The hash of one entry as an integer below 2^256. Lengths are hashed too, so that parts cannot be shifted."""
    head = f"{len(kind)}:{kind}{len(name.encode())}:{name}".encode()
    return int.from_bytes(blake2b(head + body, digest_size=32).digest(), "big")


def combine(digest: bytes, *, added: int = 0, removed: int = 0) -> bytes:
    """``digest`` with the sum of hashes ``added`` put in and ``removed`` taken out."""
    return ((int.from_bytes(digest, "big") + added - removed) % _MODULUS).to_bytes(32, "big")
