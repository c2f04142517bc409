"""What became of an endpoint that a request was offered to before the one that answered it (or was the last)."""

from __future__ import annotations

from msgspec import Struct


class Tried(Struct, frozen=True, gc=False):
    """One entry of nginx's lists ``$upstream_addr``, ``$upstream_status``, ``$upstream_response_time`` and so on.

    ``status``: what the endpoint answered, or the status that its failure would have been answered with (502, 504).
    Seconds since the endpoint was chosen: until the connection was there, until the response's head came, until the
    end; -1.0 where it never came to that (nginx logs ``-``). ``length``: bytes of the response's body.
    """

    endpoint: str
    status: int
    connect_seconds: float
    header_seconds: float
    response_seconds: float
    length: int
