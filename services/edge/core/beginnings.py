"""Beginnings of heads: the lines that heads on a connection begin with alike are compared; what follows alone is read.

Clients and endpoints write their headers in one order, and what they change (a cookie, a trace id, a length, an ETag)
stands mostly behind what they do not (Host, User-Agent, Accept; Server, Date, Content-Type). Owns what is remembered of
that, one beginning per connection and direction. Pure. Must not know what a head says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

WORTH: Final = 16
"""A beginning that was met in so many heads was worth learning."""
AGAIN: Final = 256
"""Heads to wait before two are compared again, after such as had nothing in common."""


class Known(Protocol):
    """What is known of heads that begin with ``text``: whole lines."""

    @property
    def text(self) -> bytes:
        """The lines."""


K = TypeVar("K", bound=Known)


class Beginnings(Generic[K]):
    """See the module. ``known``: what heads begin with now, if that is known. ``learn``: makes that of two heads (one
    of them perhaps a text that was known before); None: they have too little in common."""

    __slots__ = ("_learn", "_next", "_since", "known")

    def __init__(self, learn: Callable[[bytes, bytes], K | None]) -> None:
        self.known: K | None = None
        self._learn = learn
        self._since = 0
        self._next = 0

    def missed(self, head: bytes, before: bytes, count: int) -> None:
        """``head``, the ``count``-th, had to be read whole. ``before``: the one before; empty: it was not kept.

        A beginning that was worth it is learnt anew (a Date has changed), any other one is cut down to what is common.
        """
        known = self.known
        if known is None:
            if before and count >= self._next:
                self._keep(self._learn(before, head), count)
        elif not head.startswith(known.text):
            if count - self._since >= WORTH:
                self.known = None
            else:
                self._keep(self._learn(known.text, head), count)

    def _keep(self, known: K | None, count: int) -> None:
        self.known = known
        self._since = count
        if known is None:
            self._next = count + AGAIN


def alike(one: bytes, other: bytes) -> bytes:
    """The whole lines that both begin with, without the empty one at the end of a head."""
    same, different = 0, min(len(one), len(other)) + 1
    while different - same > 1:
        middle = (same + different) // 2
        if one[same:middle] == other[same:middle]:
            same = middle
        else:
            different = middle
    text = one[: one.rfind(b"\r\n", 0, same) + 2]
    return text[:-2] if text.endswith(b"\r\n\r\n") else text
