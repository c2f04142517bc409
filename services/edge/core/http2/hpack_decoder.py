"""Reading header blocks (RFC 7541): one decoder and its dynamic table per connection.

Owns the table. Must not know what fields mean: they come out as ``fields.Field``, judged when they were first read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from services.edge.core.http2.errors import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, ConnectionFaultError
from services.edge.core.http2.fields import Field, make_field
from services.edge.core.http2.huffman import decode
from services.edge.core.http2.memo import Memo
from services.edge.core.http2.tables import STATIC

TABLE_SIZE: Final = 4096
"""Of the dynamic table: what SETTINGS_HEADER_TABLE_SIZE is where nobody says otherwise, and we do not."""

_FIRST: Final = len(STATIC) + 1
"""The index of the newest entry of the dynamic table."""

_STATIC: Final[tuple[Field, ...]] = (Field((b"", b""), 0, 0), *(make_field(name, value) for name, value in STATIC))

FIELDS_AT_MOST: Final = 2048
"""Fields of a block, where nobody says otherwise: one byte is enough to say one again."""
_RESIZES_AT_MOST: Final = 16
"""Changes of the table's size that a block may begin with; two have a meaning (RFC 7541 section 4.2)."""

_KEPT_LENGTH: Final = 64
_PATHS: Final = frozenset(index for index, (name, _) in enumerate(STATIC, 1) if name == b":path")
_kept: Final = Memo(decode, 4096)
"""Short strings that were not to be indexed come again in other connections: they are decoded once."""


def _fault(reason: str) -> ConnectionFaultError:
    return ConnectionFaultError(COMPRESSION_ERROR, reason)


def read_integer(block: bytes, pos: int, prefix: int) -> tuple[int, int]:
    """(integer whose first byte is at ``pos``, where it ends): RFC 7541 section 5.1; at most 2**21 or so."""
    mask = (1 << prefix) - 1
    value = block[pos] & mask
    pos += 1
    if value < mask:
        return value, pos
    shift = 0
    while True:
        if pos >= len(block):
            raise _fault("truncated")
        byte = block[pos]
        pos += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, pos
        shift += 7
        if shift > 14:
            raise _fault("integer")


class Decoder:
    """Turns header blocks into fields. ``changes`` grows whenever a block may mean something else than it did."""

    __slots__ = ("_fields_at_most", "_limit", "_size", "_table", "changes")

    def __init__(self, fields_at_most: int = FIELDS_AT_MOST) -> None:
        self._fields_at_most = fields_at_most
        self._table: list[Field] = list(_STATIC)
        self._size = 0
        self._limit = TABLE_SIZE
        self.changes = 0

    def decode(self, block: bytes) -> list[Field]:
        """The fields of a whole block. Raises ConnectionFaultError: the table cannot be trusted any longer, or there
        are so many that they are meant to keep us busy."""
        fields: list[Field] = []
        append = fields.append
        most = self._fields_at_most
        resizes = 0
        table = self._table
        pos = 0
        end = len(block)
        while pos < end:
            if len(fields) > most:
                raise ConnectionFaultError(ENHANCE_YOUR_CALM, "fields-without-end")
            byte = block[pos]
            if 0x80 < byte < 0xFF:
                index = byte & 0x7F
                pos += 1
            elif byte >= 0x80:
                index, pos = read_integer(block, pos, 7)
                if not index:
                    raise _fault("index")
            elif byte & 0xE0 == 0x20:
                if fields:
                    raise _fault("late-size-update")
                resizes += 1
                if resizes > _RESIZES_AT_MOST:
                    raise _fault("size-updates")
                pos = self._resize(block, pos)
                continue
            else:
                pos = self._literal(block, pos, byte, fields)
                continue
            if index >= len(table):
                raise _fault("index")
            append(table[index])
        return fields

    def _literal(self, block: bytes, pos: int, byte: int, fields: list[Field]) -> int:
        """A literal field is read and added; returns where it ends (RFC 7541 section 6.2)."""
        indexed = byte >= 0x40
        index, pos = read_integer(block, pos, 6 if indexed else 4)
        # What goes to the table is decoded once anyway, and what must not, may be secret; paths come again and again.
        may_keep = byte < 0x10 or index in _PATHS
        if index:
            if index >= len(self._table):
                raise _fault("index")
            name = self._table[index].pair[0]
        else:
            name, pos = _string(block, pos, True)
        value, pos = _string(block, pos, may_keep)
        field = make_field(name, value)
        fields.append(field)
        if indexed:
            self._insert(field)
        return pos

    def insert(self, fields: Iterable[Field]) -> None:
        """Do to the table what a block did that inserts these, as ``inserted_by`` tells."""
        for field in fields:
            self._insert(field)

    def _insert(self, field: Field) -> None:
        self.changes += 1
        self._size += field.size
        self._table.insert(_FIRST, field)  # one too large empties the table (RFC 7541 section 4.4)
        self._evict()

    def _resize(self, block: bytes, pos: int) -> int:
        limit, pos = read_integer(block, pos, 5)
        if limit > TABLE_SIZE:
            raise _fault("table-size")
        self.changes += 1
        self._limit = limit
        self._evict()
        return pos

    def _evict(self) -> None:
        while self._size > self._limit:
            self._size -= self._table.pop().size


def inserted_by(block: bytes, fields: Sequence[Field]) -> tuple[Field, ...] | None:
    """What a block that was read as ``fields`` puts in the table; None if what it means depends on the table."""
    inserted = []
    pos = 0
    for field in fields:
        byte = block[pos]
        if byte & 0xE0 == 0x20:
            return None
        index, pos = read_integer(block, pos, 7 if byte >= 0x80 else 6 if byte >= 0x40 else 4)
        if index >= _FIRST:
            return None
        if byte >= 0x80:
            continue
        for _ in range(1 if index else 2):
            length, pos = read_integer(block, pos, 7)
            pos += length
        if byte >= 0x40:
            inserted.append(field)
    return tuple(inserted) if pos == len(block) else None


def _string(block: bytes, pos: int, may_keep: bool) -> tuple[bytes, int]:
    """(string that begins at ``pos``, where it ends): RFC 7541 section 5.2."""
    if pos >= len(block):
        raise _fault("truncated")
    byte = block[pos]
    length, pos = read_integer(block, pos, 7)
    end = pos + length
    if end > len(block):
        raise _fault("truncated")
    data = block[pos:end]
    if byte < 0x80:
        return data, end
    return _kept[data] if may_keep and length <= _KEPT_LENGTH else decode(data), end
