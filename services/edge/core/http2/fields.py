"""What a header field is and whether it is well formed (RFC 9113 sections 8.2 and 8.3).

Owns the syntax of names and values and which names have a meaning here. Must not know of tables or streams: a field is
judged by itself, once, and the verdict stays with it wherever the peer refers to it again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from services.edge.core.http2.memo import Memo

PLAIN: Final = 0
METHOD: Final = 1
SCHEME: Final = 2
AUTHORITY: Final = 3
PATH: Final = 4
STATUS: Final = 5
HOST: Final = 6
LENGTH: Final = 7
COOKIE: Final = 8
TE: Final = 9
MALFORMED: Final = 10

PSEUDO: Final = frozenset((METHOD, SCHEME, AUTHORITY, PATH, STATUS))


class Field(Struct, frozen=True, gc=False, eq=False):
    """A field as it lies in a table: ``pair`` is (name, value), ``size`` as HPACK counts it. Compares by identity, for
    what a peer refers to again is the same object again."""

    pair: tuple[bytes, bytes]
    size: int
    kind: int


_KINDS: Final = {
    b":method": METHOD,
    b":scheme": SCHEME,
    b":authority": AUTHORITY,
    b":path": PATH,
    b":status": STATUS,
    b"host": HOST,
    b"content-length": LENGTH,
    b"cookie": COOKIE,
    b"te": TE,
}

CONNECTION_SPECIFIC: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
"""Names that have no place in HTTP/2 (RFC 9113 section 8.2.2)."""

_token = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]++").fullmatch
_value = re.compile(rb"(?![\t ])[\t\x20-\x7e\x80-\xff]*+(?<![\t ])").fullmatch

legal_path = re.compile(rb"/[\x21\x22\x24-\x7e]*+").fullmatch
"""A path as HTTP/1.1 would carry it: visible ASCII without ``#``."""

_VALUES: Final[dict[int, Callable[[bytes], object]]] = {
    METHOD: re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}+").fullmatch,
    SCHEME: re.compile(rb"https?").fullmatch,
    AUTHORITY: re.compile(rb"[!$&'()*+,;=%0-9A-Za-z.:_~\[\]-]*+").fullmatch,  # no user information: there is no @
    PATH: re.compile(rb"/[\x21\x22\x24-\x7e]*+|\*").fullmatch,
    STATUS: re.compile(rb"[1-9][0-9]{2}").fullmatch,
    HOST: re.compile(rb"[!$&'()*+,;=%0-9A-Za-z.:_~\[\]-]*+").fullmatch,
    LENGTH: re.compile(rb"[0-9]{1,18}").fullmatch,
    TE: re.compile(rb"(?i:trailers)").fullmatch,
}

_ANY_VALUE: Final = frozenset((PLAIN, COOKIE))

OVERHEAD: Final = 32
"""Bytes that a field counts beside its name and its value (RFC 7541 section 4.1)."""

_NAME_LIMIT: Final = 64
"""Longer names are looked at each time they come."""


def _kind_of_name(name: bytes) -> int:
    if name in _KINDS:
        return _KINDS[name]
    return MALFORMED if name in CONNECTION_SPECIFIC or _token(name) is None else PLAIN


_kinds: Final = Memo(_kind_of_name, 1024)


def kind_of(name: bytes, value: bytes) -> int:
    """What ``name`` with ``value`` is; MALFORMED if it may not be sent."""
    kind = _kinds[name] if len(name) <= _NAME_LIMIT else _kind_of_name(name)
    if kind in _ANY_VALUE:
        return kind if _value(value) is not None else MALFORMED
    if kind == MALFORMED or _VALUES[kind](value) is None:
        return MALFORMED
    return kind


def fault_of(name: bytes, value: bytes) -> str:
    """What is wrong with a MALFORMED field, as one word for a counter."""
    if name in CONNECTION_SPECIFIC:
        return "connection-header"
    if name == b"te":
        return "te"
    if name in _KINDS:
        return name.lstrip(b":").decode() + ("-value" if name.startswith(b":") else "")
    if name.startswith(b":"):
        return "unknown-pseudo-header"
    if _token(name) is None:
        return "name-upper-case" if _token(name.lower()) else "name"
    return "value"


def make_field(name: bytes, value: bytes) -> Field:
    """A field with its size (RFC 7541 section 4.1) and its kind."""
    return Field((name, value), len(name) + len(value) + OVERHEAD, kind_of(name, value))
