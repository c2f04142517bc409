"""Request ids: 32 hexadecimal digits from the system's randomness, fetched in bulk."""

from __future__ import annotations

import os
from typing import Final

_AT_ONCE: Final = 256


class NoRequestIds:
    """Where ``generate-request-id`` is off: no request gets an id that did not bring one."""

    __slots__ = ()

    def take(self) -> bytes:
        """No id."""
        return b""


class RequestIds:
    """An endless supply; ``take`` costs a list's pop."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: list[bytes] = []

    def take(self) -> bytes:
        """A fresh id."""
        if not self._left:
            digits = os.urandom(16 * _AT_ONCE).hex().encode()
            self._left = [digits[at : at + 32] for at in range(0, len(digits), 32)]
        return self._left.pop()
