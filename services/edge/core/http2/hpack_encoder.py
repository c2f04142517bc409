"""Writing header blocks (RFC 7541) without a dynamic table: a block depends on nothing but its fields.

Owns the bounded memory of fields that were encoded before. Names must be in lower case.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from services.edge.core.http2.huffman import encode
from services.edge.core.http2.memo import Memo
from services.edge.core.http2.tables import STATIC

NO_TABLE: Final = b"\x20"
"""A table size update to zero, which must open the next block when the peer wants a smaller table."""

_INDEXES: Final = {field: index for index, field in enumerate(STATIC, 1)}
_NAMES: Final = {name: index for (name, _), index in reversed(_INDEXES.items())}

_NEVER_INDEXED: Final = frozenset((b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"))
"""Secrets: marked so that nobody on the way indexes them (RFC 7541 section 7.1.3)."""

_SELDOM_REPEATED: Final = _NEVER_INDEXED | {b":path", b"etag", b"location", b"last-modified", b"x-request-id"}
"""Not worth remembering, nor the time that the Huffman code takes."""

_KEPT_LENGTH: Final = 256
"""Of name and value together."""


def write_integer(value: int, prefix: int, first: int) -> bytes:
    """``value`` behind the bits of ``first`` (RFC 7541 section 5.1)."""
    mask = (1 << prefix) - 1
    if value < mask:
        return bytes((first | value,))
    octets = bytearray((first | mask,))
    value -= mask
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def _plain(text: bytes) -> bytes:
    return write_integer(len(text), 7, 0) + text


def _shorter(text: bytes) -> bytes:
    coded = encode(text)
    return write_integer(len(coded), 7, 0x80) + coded if len(coded) < len(text) else _plain(text)


def _name(name: bytes, first: int) -> bytes:
    index = _NAMES.get(name)
    return bytes((first,)) + _shorter(name) if index is None else write_integer(index, 4, first)


def _kept_field(field: tuple[bytes, bytes]) -> bytes:
    name, value = field
    index = _INDEXES.get(field)
    return write_integer(index, 7, 0x80) if index is not None else _name(name, 0) + _shorter(value)


_fields: Final = Memo(_kept_field, 4096)


def encode_field(name: bytes, value: bytes) -> bytes:
    """One field as a literal that is not indexed, or as an index of the static table."""
    if name in _SELDOM_REPEATED or len(name) + len(value) > _KEPT_LENGTH:
        return _name(name, 0x10 if name in _NEVER_INDEXED else 0) + _plain(value)
    return _fields[name, value]


def encode_fields(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A block of ``fields``: what follows a head's first fields, or trailers."""
    return b"".join([encode_field(name, value) for name, value in fields])


def encode_response(status: int, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The block of a response's head."""
    return _fields[b":status", b"%d" % status] + encode_fields(fields)


def encode_request(
    method: bytes, scheme: bytes, authority: bytes, path: bytes, fields: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """The block of a request's head."""
    return b"%b%b%b%b%b" % (
        _fields[b":method", method],
        _fields[b":scheme", scheme],
        _fields[b":authority", authority],
        encode_field(b":path", path),
        encode_fields(fields),
    )
