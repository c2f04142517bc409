"""Heads as they leave: the request for the endpoint, the response for the client.

Owns what is added to and left out of a head that matched the grammar. Pure: bytes in, bytes out.
"""

from __future__ import annotations

from msgspec import Struct

from services.edge.core.forwarded import Told
from services.edge.core.request_head import CHUNKED, RequestHeaders
from services.edge.core.response_head import Naming, ResponseHead, server_told


def opening(told: Told) -> bytes:
    """What follows the target in a request's head, up to what depends on more than the client and its Host."""
    return b" HTTP/1.1\r\nHost: %b\r\n%b" % (told.authority, told.lines)


NO_ID = b"\r\nX-Request-ID: "
"""How a middle ends that lacks its request id, with the line end before."""


def middle(opening_: bytes, headers: RequestHeaders) -> bytes:
    """A request's head from behind the target to the request id (filled in if the client sent one)."""
    if headers.length == 0 and not headers.upgrade:
        return b"".join((opening_, headers.passed, b"X-Request-ID: ", headers.request_id))
    framing = upgrade = b""
    if headers.length == CHUNKED:
        framing = b"Transfer-Encoding: chunked\r\n"
    elif headers.length:
        framing = b"Content-Length: %d\r\n" % headers.length
    if headers.upgrade:
        upgrade = b"Connection: upgrade\r\nUpgrade: %b\r\n" % headers.upgrade
    return b"%b%b%b%bX-Request-ID: %b" % (opening_, upgrade, framing, headers.passed, headers.request_id)


class Wish(Struct, frozen=True, gc=False):
    """How a client wants its response. ``complete``: the whole body is at hand; ``persistent``: the connection may
    stay; ``security_line``: the Strict-Transport-Security line of ours, if any; ``naming``: what is told of the server.
    """

    minor: int
    bodiless: bool
    complete: bool
    persistent: bool
    security_line: bytes
    naming: Naming


class ClientHead(Struct, frozen=True, gc=False):
    """A response's head for a client. ``chunked``: the body is to be framed; ``persistent``: the connection stays."""

    data: bytes
    chunked: bool
    persistent: bool


def client_head(head: ResponseHead, wish: Wish, length: int, date: bytes) -> ClientHead:
    """The head for a client. ``length``: of the body, where it is complete; ``date``: for a head without one."""
    framing = b""
    chunked = False
    persistent = wish.persistent
    if not head.framed and head.status not in (204, 304) and not wish.bodiless:
        if wish.complete:
            framing = b"Content-Length: %d\r\n" % length
        elif wish.minor == 1:
            framing = b"Transfer-Encoding: chunked\r\n"
            chunked = True
        else:
            persistent = False
    connection = b""
    if not persistent:
        connection = b"Connection: close\r\n"
    elif wish.minor == 0:
        connection = b"Connection: keep-alive\r\n"
    data = b"".join(
        (
            head.passed,
            framing,
            connection,
            b"" if head.dated else b"Date: %b\r\n" % date,
            b"" if head.secured else wish.security_line or head.security_line,
            server_told(head, wish.naming),
            b"\r\n",
        )
    )
    return ClientHead(data, chunked, persistent)
