"""From fields to heads: which fields may stand together and in which order (RFC 9113 sections 8.2 and 8.3).

Pure functions. What does not fit raises StreamFaultError: such a message is malformed, its stream is reset and nothing
of it goes anywhere (RFC 9113 section 8.1.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from services.edge.core.http2.errors import PROTOCOL_ERROR, StreamFaultError
from services.edge.core.http2.events import NO_LENGTH, Fields, RequestHead, ResponseHead
from services.edge.core.http2.fields import (
    AUTHORITY,
    COOKIE,
    HOST,
    LENGTH,
    MALFORMED,
    METHOD,
    PATH,
    PLAIN,
    PSEUDO,
    SCHEME,
    STATUS,
    TE,
    Field,
    fault_of,
)

_NOT_IN_TRAILERS: Final = frozenset((b"trailer", b"content-encoding", b"content-type", b"content-range", b"expect"))
"""Names that tell how a message is to be read (RFC 9110 section 6.5.1), besides those that have a kind of their own."""
_NO_LINES: Final = PSEUDO - {AUTHORITY} | {COOKIE}


def _malformed(reason: str) -> StreamFaultError:
    return StreamFaultError(PROTOCOL_ERROR, reason)


def _refuse(pair: tuple[bytes, bytes], kind: int) -> StreamFaultError:
    """For a field that is wrong by itself, or is known and has no place in this message."""
    return _malformed(fault_of(*pair) if kind == MALFORMED else f"misplaced-{pair[0].lstrip(b':').decode()}")


def lines_of(fields: Iterable[Field]) -> int:
    """How many header lines the same head has in HTTP/1.1: of its pseudo-headers ``:authority`` alone is one there, and
    the crumbs of a cookie are one together."""
    kinds = [field.kind for field in fields]
    return sum([kind not in _NO_LINES for kind in kinds]) + (COOKIE in kinds)


def read_request(fields: Iterable[Field]) -> tuple[RequestHead, bytes]:
    """(head, path) of a request. Raises StreamFaultError."""
    pseudo: dict[int, bytes] = {}
    plain: list[tuple[bytes, bytes]] = []
    crumbs: list[bytes] = []
    host: bytes | None = None
    length = NO_LENGTH
    regular = trailers = False
    for field in fields:
        pair, kind = field.pair, field.kind
        if kind == PLAIN:
            plain.append(pair)
            regular = True
        elif kind <= PATH:
            if regular:
                raise _malformed("pseudo-header-order")
            if kind in pseudo:
                raise _malformed("pseudo-header-twice")
            pseudo[kind] = pair[1]
        elif kind == COOKIE:
            crumbs.append(pair[1])
            regular = True
        elif kind == HOST and host is None:
            host = pair[1]
            regular = True
        elif kind == LENGTH and length == NO_LENGTH:
            length = int(pair[1])
            regular = True
        elif kind == TE:
            regular = trailers = True
        else:
            raise _refuse(pair, kind)
    if crumbs:
        plain.append((b"cookie", b"; ".join(crumbs)))
    method, path = pseudo.get(METHOD), pseudo.get(PATH, b"")
    scheme, authority = pseudo.get(SCHEME, b""), pseudo.get(AUTHORITY)
    _check_request(method, scheme, authority, path, host)
    return RequestHead(method or b"", scheme, authority or host or b"", length, trailers, tuple(plain)), path


def _check_request(
    method: bytes | None, scheme: bytes, authority: bytes | None, path: bytes, host: bytes | None
) -> None:
    if method is None:
        raise _malformed("no-method")
    if method == b"CONNECT":
        if scheme or path or not authority:
            raise _malformed("connect")
    elif not scheme or not path:
        raise _malformed("no-path" if scheme else "no-scheme")
    elif path == b"*" and method != b"OPTIONS":
        raise _malformed("path-value")
    if authority and host is not None and host.lower() != authority.lower():
        raise _malformed("host-differs")


def read_response(fields: Iterable[Field]) -> ResponseHead:
    """The head of a response, also of one with status 1xx. Raises StreamFaultError."""
    plain: list[tuple[bytes, bytes]] = []
    status = 0
    length = NO_LENGTH
    regular = False
    for field in fields:
        pair, kind = field.pair, field.kind
        if kind == STATUS:
            if status or regular:
                raise _malformed("pseudo-header-order" if regular else "pseudo-header-twice")
            status = int(pair[1])
            continue
        regular = True
        if kind in (PLAIN, COOKIE, HOST):
            plain.append(pair)
        elif kind == LENGTH and length == NO_LENGTH:
            length = int(pair[1])
        elif kind != TE:  # which says nothing in a response and concerns this connection only
            raise _refuse(pair, kind)
    if not status:
        raise _malformed("no-status")
    if status == 101:
        raise _malformed("status-101")
    return ResponseHead(status, length, tuple(plain))


def read_trailers(fields: Iterable[Field]) -> Fields:
    """The fields after a body. Raises StreamFaultError for one that belongs in a head."""
    plain = []
    for field in fields:
        pair, kind = field.pair, field.kind
        if kind != PLAIN or pair[0] in _NOT_IN_TRAILERS:
            raise _refuse(pair, kind) if kind in PSEUDO or kind == MALFORMED else _malformed("trailer-name")
        plain.append(pair)
    return tuple(plain)
