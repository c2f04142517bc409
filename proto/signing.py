"""Who wrote a message: Ed25519 for the compiler's deltas, keyed BLAKE2b for the watcher's objects.

Key files hold one line, ``limen-<purpose>-v1 <key id> <base64>``, so that a key in the wrong place is refused by name.
"""

from __future__ import annotations

import base64
import binascii
import re
from hashlib import blake2b
from hmac import compare_digest

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from proto.codec import encode
from proto.snapshots import HeadProof

MAC_SIZE = 16


class KeyFileError(ValueError):
    """A key file that does not hold the key it should; the message says what was found."""


class AuthenticationError(ValueError):
    """A message that was not written by the holder of the key; the message says which check failed."""


def key_id_of(material: bytes) -> str:
    """The short public name of a key: 16 hex digits of its hash."""
    return blake2b(material, digest_size=8, person=b"limen-key-id").hexdigest()


def format_key(purpose: str, material: bytes, key_id: str) -> str:
    """The text of a key file. ``purpose``: sealing, signing, verify or objects."""
    return f"limen-{purpose}-v1 {key_id} {base64.b64encode(material).decode()}\n"


def parse_keys(purpose: str, text: str) -> list[tuple[str, bytes]]:
    """(key id, key bytes) for each line of a key file; blank lines and lines that start with ``#`` are passed over.

    The first key is the one to write with; all are accepted when reading (rotation). Raises KeyFileError.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split()
        if len(words) != 3 or words[0] != f"limen-{purpose}-v1":
            raise KeyFileError(f"line {number}: expected 'limen-{purpose}-v1 <key id> <base64>', found {_kind(words)}")
        try:
            found.append((words[1], base64.b64decode(words[2], validate=True)))
        except binascii.Error as error:
            raise KeyFileError(f"line {number}: key is not base64: {error}") from None
    if not found:
        raise KeyFileError(f"holds no limen-{purpose}-v1 key")
    return found


def _kind(words: list[str]) -> str:
    """What a line seems to be, without a word of it that may be secret."""
    if re.fullmatch(r"limen-[a-z]+-v[0-9]+", words[0]):
        return repr(words[0]) + ("" if len(words) == 3 else f" and {len(words) - 1} more words")
    return "something else"


class Signer(Struct, frozen=True):
    """The compiler's signing key: 32 bytes of Ed25519 seed."""

    key_id: str
    seed: bytes

    def public(self) -> bytes:
        """The 32 bytes of the public key."""
        return Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()

    def prove(self, instance: str, epoch: int, version: int, digest: bytes, body: bytes) -> HeadProof:
        """Sign that ``body`` (a delta's MessagePack) leads to (epoch, version) with ``digest``."""
        body_hash = blake2b(body, digest_size=32).digest()
        message = _signed_bytes(instance, epoch, version, digest, body_hash)
        signature = Ed25519PrivateKey.from_private_bytes(self.seed).sign(message)
        return HeadProof(instance, epoch, version, digest, body_hash, self.key_id, signature)


class Verifier:
    """Checks proofs against the public keys that are trusted (several while a key is rotated)."""

    def __init__(self, instance: str, keys: list[tuple[str, bytes]]) -> None:
        self._instance = instance
        try:
            self._keys = {key_id: Ed25519PublicKey.from_public_bytes(key) for key_id, key in keys}
        except ValueError as error:
            raise KeyFileError(f"not an Ed25519 public key: {error}") from None

    def check(self, proof: HeadProof, body: bytes | None = None) -> None:
        """Raise AuthenticationError unless a trusted compiler of this instance made ``proof`` (and for ``body``)."""
        key = self._keys.get(proof.key_id)
        if key is None:
            raise AuthenticationError(f"signed with unknown key {proof.key_id!r}")
        if proof.instance != self._instance:
            raise AuthenticationError(f"belongs to instance {proof.instance!r}, not {self._instance!r}")
        try:
            message = _signed_bytes(proof.instance, proof.epoch, proof.version, proof.digest, proof.body_hash)
            key.verify(proof.signature, message)
        except (InvalidSignature, OverflowError):  # JSON carries numbers that nobody can have signed
            raise AuthenticationError(f"signature of version {proof.epoch}.{proof.version} does not fit") from None
        if body is not None and blake2b(body, digest_size=32).digest() != proof.body_hash:
            raise AuthenticationError(f"content of version {proof.epoch}.{proof.version} is not what was signed")


def _signed_bytes(instance: str, epoch: int, version: int, digest: bytes, body_hash: bytes) -> bytes:
    return b"limen delta v1\0" + encode((instance, epoch, version, digest, body_hash))


class ObjectAuthenticator:
    """The key that watcher and compiler share; authenticates object messages (Ed25519 would cost seconds at 60 000)."""

    def __init__(self, keys: list[tuple[str, bytes]]) -> None:
        if any(not 16 <= len(key) <= 64 for _, key in keys):
            raise KeyFileError("an objects key has 16 to 64 bytes")
        self._keys = [key for _, key in keys]

    def mac(self, purpose: str, body: bytes) -> bytes:
        """The authentication code of ``body`` (16 bytes) for one purpose: ``object`` or ``beacon``."""
        return self._compute(self._keys[0], purpose, body)

    def check(self, purpose: str, body: bytes, mac: bytes) -> None:
        """Raise AuthenticationError unless ``mac`` was made with one of the keys."""
        if not any(compare_digest(self._compute(key, purpose, body), mac) for key in self._keys):
            raise AuthenticationError(f"{purpose} message was not written by a watcher that holds the objects key")

    @staticmethod
    def _compute(key: bytes, purpose: str, body: bytes) -> bytes:
        return blake2b(body, key=key, digest_size=MAC_SIZE, person=purpose.encode()).digest()
