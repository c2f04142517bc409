"""Answers that the edge makes itself: nginx's small pages and redirects.

Owns every byte of them; nothing of a request is reflected except in Location, whose value ``header_value`` checks.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

Dress = Callable[[int, bytes], bytes]
"""(status, header lines) -> header lines: edits of a head, whoever answers."""

_NGINX_NAMES: Final = {
    302: "Found",
    308: "Permanent Redirect",
    408: "Request Time-out",
    413: "Request Entity Too Large",
    414: "Request-URI Too Large",
    431: "Request Header Fields Too Large",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
    405: "Not Allowed",
}
"""Where nginx's words differ from the standard library's (or are the same and asked for often)."""

_HEADINGS: Final = {401: "Authorization Required"}
"""Where nginx's page says something else than its status line."""

_MORE: Final = {
    495: "The SSL certificate error",
    496: "No required SSL certificate was sent",
    497: "The plain HTTP request was sent to HTTPS port",
}
"""nginx's own numbers: pages of status 400 that say more."""

_clean = re.compile(rb"[\x21-\x7e]*+").fullmatch


def reason(status: int) -> str:
    """The reason phrase as nginx spells it."""
    name = _NGINX_NAMES.get(status)
    if name is not None:
        return name
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def status_line(status: int) -> bytes:
    """``HTTP/1.1 404 Not Found`` with its CRLF."""
    return f"HTTP/1.1 {status} {reason(status)}\r\n".encode()


def body(status: int, page: int = 0) -> bytes:
    """nginx's page for a status (server_tokens off); empty for 200 and where no body is allowed. ``page``: nginx's own
    number of it, where one status has several."""
    if status < 300 or status == 304:
        return b""
    heading = title = f"{status} {_HEADINGS.get(status) or reason(status)}"
    more = ""
    if page in _MORE:
        title = f"{status} {_MORE[page]}"
        more = f"<center>{_MORE[page]}</center>\r\n"
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{heading}</h1></center>\r\n{more}"
        "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    ).encode()


def header_value(value: bytes) -> bytes:
    """``value`` with every byte outside visible ASCII percent-encoded: the one way into a header that we build."""
    if _clean(value):
        return value
    return b"".join(bytes((byte,)) if 0x21 <= byte <= 0x7E else b"%%%02X" % byte for byte in value)


def answer(
    status: int,
    *,
    page: int = 0,
    location: bytes = b"",
    lines: bytes = b"",
    date: bytes,
    connection: bytes = b"",
    content: bytes | None = None,
    dress: Dress | None = None,
) -> tuple[bytes, bytes]:
    """An answer as (header lines, content). ``lines``: further header lines with their CRLF; ``connection``: that of
    HTTP/1.1; ``content``: in place of nginx's page, whose type is then said in ``lines``; ``dress``: (status, lines) ->
    lines, the last word on them."""
    own = body(status, page) if content is None else content
    described = b"" if status == 204 else b"Content-Length: %d\r\n" % len(own)
    if content is None and described:
        described = b"Content-Type: text/html\r\n" + described
    moved = b"Location: " + header_value(location) + b"\r\n" if location else b""
    head = b"".join((b"Date: %b\r\n" % date, described, connection, moved, lines))
    return (head if dress is None else dress(status, head)), own


def page(
    status: int,
    *,
    page: int = 0,
    location: bytes = b"",
    lines: bytes = b"",
    date: bytes,
    persistent: bool,
    bare: bool,
    content: bytes | None = None,
    dress: Dress | None = None,
) -> bytes:
    """A whole answer for HTTP/1.1. ``bare``: for HEAD, the head alone."""
    connection = b"Connection: keep-alive\r\n" if persistent else b"Connection: close\r\n"
    own, shown = answer(
        status,
        page=page,
        location=location,
        lines=lines,
        date=date,
        connection=connection,
        content=content,
        dress=dress,
    )
    head = b"%b%b\r\n" % (status_line(status), own)
    return head if bare else head + shown
