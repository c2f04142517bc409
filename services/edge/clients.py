"""What others need of a client, however it speaks: an exchange, and the listener that it came to."""

from __future__ import annotations

import asyncio
from typing import Final, Literal, Protocol

from services.edge.core.http2.events import Fields
from services.edge.core.response_head import ResponseHead


class Client(Protocol):
    """Where responses go. Exactly one of ``finish``, ``fail`` and ``cut`` ends an exchange."""

    def respond(self, head: ResponseHead, body: bytes, complete: bool) -> int:
        """The response's head with what there is of its body; returns the bytes that were written."""

    def body(self, data: bytes) -> int:
        """More of the body."""

    def trailers(self, fields: Fields) -> None:
        """Fields behind the body, just before ``finish``: for clients whose protocol has a place for them."""

    def finish(self, now: float) -> None:
        """The body is complete."""

    def fail(self, status: int) -> None:
        """Nothing came that can be passed on: answer ``status``."""

    def cut(self) -> None:
        """The response broke off: the client must not take it for complete."""

    def tunnel(self, head: ResponseHead, rest: bytes) -> int:
        """101: bytes go both ways from now on."""

    def request_may_flow(self, flows: bool) -> None:
        """Whether more of the request's body can be taken."""


class Nobody:
    """The Client of an exchange whose client is gone: nothing comes of what it is told.

    Clients and exchanges know each other, so that neither would go by itself: whatever they hold, OpenSSL's memory and
    bytes that nobody took included, would wait for the garbage collector, which seldom looks at what has lived long.
    """

    __slots__ = ()

    def respond(self, head: ResponseHead, body: bytes, complete: bool) -> int:
        """Nothing was written."""
        return 0

    def body(self, data: bytes) -> int:
        """Nothing was written."""
        return 0

    def trailers(self, fields: Fields) -> None:
        """It does not matter."""

    def finish(self, now: float) -> None:
        """It does not matter."""

    def fail(self, status: int) -> None:
        """It does not matter."""

    def cut(self) -> None:
        """It does not matter."""

    def tunnel(self, head: ResponseHead, rest: bytes) -> int:
        """Nothing was written."""
        return 0

    def request_may_flow(self, flows: bool) -> None:
        """It does not matter."""


NOBODY: Final = Nobody()


class Interceptor(Protocol):
    """Who replaces responses of endpoints by others."""

    @property
    def intercepted(self) -> frozenset[int]:
        """The statuses of those that are replaced, for now."""

    def intercept(self, head: ResponseHead) -> None:
        """One came and was thrown away: see to another."""


Doing = Literal["waiting", "reading", "writing"]
"""What nginx says of connections: between requests, in a head, from then to the end of the response."""


class Kept(Protocol):
    """A client's connection, as its listener knows it."""

    transport: asyncio.Transport
    deadline: float

    @property
    def doing(self) -> Doing:
        """What it does now."""

    @property
    def lasts_until(self) -> float:
        """When it ends, while nothing comes."""

    def announce(self) -> None:
        """Say as early as the protocol can that the connection will end; requests may still come."""

    def drain(self) -> None:
        """End when nothing is under way."""

    def untaken(self) -> int:
        """Bytes that its peer has not taken yet."""

    def give_up(self) -> None:
        """There is no room for these: end it."""


class Arriving(Protocol):
    """A client of whom it is not settled yet how it speaks."""

    deadline: float

    def abort(self) -> None:
        """Close at once."""


class Listening(Protocol):
    """Whoever accepts clients."""

    connections: set[Kept]
    handshakes: set[Arriving]
