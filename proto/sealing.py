"""Sealing of secrets: AES-SIV (RFC 5297), deterministic, so that an unchanged Secret gives unchanged bytes.

Sealed by the watcher, opened by the edge alone. The associated data bind a sealed value to its place
(``secret/<namespace>/<name>/<key>``) and instance, so that it cannot be moved to another object.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from proto.signing import AuthenticationError, KeyFileError


class Sealer:
    """Seals with the first key, opens with any of them (rotation). Keys have 32, 48 or 64 bytes."""

    def __init__(self, instance: str, keys: list[tuple[str, bytes]]) -> None:
        try:
            self._ciphers = {bytes.fromhex(key_id): AESSIV(key) for key_id, key in keys}
        except ValueError as error:
            raise KeyFileError(f"not a sealing key: {error}") from None
        self._first = bytes.fromhex(keys[0][0])
        self._instance = instance.encode()

    def seal(self, place: str, plaintext: bytes) -> bytes:
        """The 8-byte key id followed by the AES-SIV ciphertext of ``plaintext``, bound to ``place``."""
        return self._first + self._ciphers[self._first].encrypt(plaintext, [self._instance, place.encode()])

    def derived(self, purpose: str) -> bytes:
        """32 bytes that all who have the first key know, and nobody else: a key for ``purpose``."""
        cipher = self._ciphers[self._first]
        return cipher.encrypt(bytes(32), [self._instance, b"derived", purpose.encode()])[16:48]

    def open(self, place: str, sealed: bytes) -> bytes:
        """The plaintext. Raises AuthenticationError when the key is unknown or the value belongs elsewhere."""
        cipher = self._ciphers.get(sealed[:8])
        if cipher is None:
            raise AuthenticationError(f"{place} is sealed with unknown key {sealed[:8].hex()!r}")
        try:
            return cipher.decrypt(sealed[8:], [self._instance, place.encode()])
        except (InvalidTag, ValueError):
            raise AuthenticationError(
                f"{place}: sealed value does not open (other place or instance, or damaged)"
            ) from None


def secret_place(namespace: str, name: str, key: str) -> str:
    """The place of one entry of a Secret."""
    return f"secret/{namespace}/{name}/{key}"
