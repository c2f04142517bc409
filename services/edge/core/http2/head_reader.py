"""Reads the header blocks of one connection; what repeats is read once.

A peer that sends many messages refers to the same fields again and again; what differs between requests is the path,
which most clients leave out of the dynamic table. So a request's block without its path is looked up as it is, as long
as no block has changed the table; only one that was not seen before is taken apart.
"""

from __future__ import annotations

from typing import Final, TypeVar

from services.edge.core.http2.errors import PROTOCOL_ERROR, ConnectionFaultError, StreamFaultError
from services.edge.core.http2.events import Fields, RequestHead, ResponseHead
from services.edge.core.http2.fields import OVERHEAD, PATH, Field, legal_path, make_field
from services.edge.core.http2.heads import lines_of, read_request, read_response, read_trailers
from services.edge.core.http2.hpack_decoder import Decoder, inserted_by
from services.edge.core.http2.huffman import decode
from services.edge.core.http2.limits import Limits
from services.edge.core.http2.memo import Memo

_KNOWN_HEADS: Final = 32
_KNOWN_SIZE: Final = 4 * 1024
"""How many heads, and of how many bytes of fields, are remembered in each of the ways below."""
_KNOWN_BYTES: Final = 64 * 1024
"""Bytes of fields that are remembered in all of them; a head counts once for each. Then everything is forgotten."""

_ANY_PATH: Final = make_field(b":path", b"/")

K = TypeVar("K", bytes, tuple[Field, ...])
V = TypeVar("V")
M = TypeVar("M")


class TooLargeError(Exception):
    """The head has more fields or bytes than allowed; the table is as the peer thinks it is."""


def _read_path(literal: bytes) -> bytes:
    """The path in a literal of less than 127 bytes; empty if it is to be looked at more closely."""
    try:
        path = decode(literal[1:]) if literal[0] >= 0x80 else literal[1:]
    except ConnectionFaultError:
        return b""
    return path if legal_path(path) is not None else b""


_paths: Final = Memo(_read_path, 4096)


def _path_at(block: bytes) -> tuple[int, int]:
    """Where in ``block`` the literal of a path lies that is not put in the table, before anything but fields of the
    table; (0, 0) if there is none, or it is a long one."""
    try:
        start = 0
        while 0x80 < block[start] < 0xFF:
            start += 1
        if block[start] & 0xEE != 0x04:  # name 4 or 5 of the static table, without indexing or never to be indexed
            return 0, 0
        length = block[start + 1] & 0x7F
    except IndexError:
        return 0, 0
    end = start + 2 + length
    return (start + 1, end) if length < 0x7F and end <= len(block) else (0, 0)


class HeadReader:
    """Owns the decoder of a connection, and what the blocks meant that came since its table last changed."""

    __slots__ = (
        "_alone_responses",
        "_alone_trailers",
        "_decoder",
        "_heads",
        "_limits",
        "_pathless",
        "_requests",
        "_responses",
        "_size",
        "_trailers",
    )

    def __init__(self, limits: Limits) -> None:
        self._decoder = Decoder(2 * limits.header_bytes // OVERHEAD)
        self._size = 0
        self._limits = limits
        self._heads: dict[tuple[Field, ...], tuple[RequestHead, bytes, int]] = {}
        self._pathless: dict[bytes, tuple[RequestHead, int]] = {}
        self._requests: dict[bytes, tuple[RequestHead, bytes]] = {}
        self._responses: dict[bytes, ResponseHead] = {}
        self._trailers: dict[bytes, Fields] = {}
        self._alone_responses: dict[bytes, tuple[ResponseHead, tuple[Field, ...]]] = {}
        self._alone_trailers: dict[bytes, tuple[Fields, tuple[Field, ...]]] = {}

    def forget(self) -> None:
        """Remember no head; the decoder's table stays, which the peer relies on."""
        for known in (
            self._heads,
            self._pathless,
            self._requests,
            self._responses,
            self._trailers,
            self._alone_responses,
            self._alone_trailers,
        ):
            known.clear()
        self._size = 0

    def request(self, block: bytes) -> tuple[RequestHead, bytes]:
        """(head, path). Raises ConnectionFaultError, StreamFaultError or TooLargeError."""
        start, end = _path_at(block)
        if not end:
            return self._requests.get(block) or self._whole_request(block)
        key = block[:start] + block[end:]
        known = self._pathless.get(key)
        if known is not None:
            path = _paths[block[start:end]]
            if path and len(path) <= known[1]:
                return known[0], path
        return self._pathless_request(block, key)

    def _whole_request(self, block: bytes) -> tuple[RequestHead, bytes]:
        fields, steady = self._decode(block)
        head, path, room = self._read_request(fields)
        if steady and self._is_small(room):
            _keep(self._requests, block, (head, path))
        return head, path

    def _pathless_request(self, block: bytes, key: bytes) -> tuple[RequestHead, bytes]:
        fields, steady = self._decode(block)
        head, path, room = self._read_request(fields)
        if steady and self._is_small(room) and path.startswith(b"/"):  # any other such path would do as well
            _keep(self._pathless, key, (head, room))
        return head, path

    def _read_request(self, fields: list[Field]) -> tuple[RequestHead, bytes, int]:
        """(head, path, how long it might have been). Raises StreamFaultError or TooLargeError.

        Where each block changes the table, the fields but the path are the same objects all the same."""
        self._check_count(fields)
        path = b""
        for at, field in enumerate(fields):
            if field.kind == PATH and field.pair[1] != b"*":
                path = field.pair[1]
                fields[at] = _ANY_PATH
                break
        key = tuple(fields)
        known = self._heads.get(key)
        if known is None:
            room = self._room(fields) + len(_ANY_PATH.pair[1])
            known = (*read_request(fields), room)
            if self._is_small(room):
                _keep(self._heads, key, known)
        head, other, room = known
        if len(path) > room:
            raise TooLargeError
        return head, path or other, room

    def response(self, block: bytes) -> ResponseHead:
        """Raises ConnectionFaultError or StreamFaultError."""
        known = self._responses.get(block)
        if known is not None:
            return known
        alone = self._alone_responses.get(block)
        return self._new_response(block) if alone is None else self._again(*alone)

    def _new_response(self, block: bytes) -> ResponseHead:
        fields, steady = self._decode(block)
        try:
            room = self._room(fields)
        except TooLargeError:
            raise StreamFaultError(PROTOCOL_ERROR, "head-too-large") from None
        head = read_response(fields)
        if self._is_small(room):
            inserted = inserted_by(block, fields)
            if inserted is not None:
                _keep(self._alone_responses, block, (head, inserted))
            elif steady:
                _keep(self._responses, block, head)
        return head

    def trailers(self, block: bytes) -> Fields:
        """Raises ConnectionFaultError or StreamFaultError."""
        known = self._trailers.get(block)
        if known is not None:
            return known
        alone = self._alone_trailers.get(block)
        return self._new_trailers(block) if alone is None else self._again(*alone)

    def _new_trailers(self, block: bytes) -> Fields:
        fields, steady = self._decode(block)
        try:
            room = self._room(fields)
        except TooLargeError:
            raise StreamFaultError(PROTOCOL_ERROR, "trailers-too-large") from None
        trailers = read_trailers(fields)
        if self._is_small(room):
            inserted = inserted_by(block, fields)
            if inserted is not None:
                _keep(self._alone_trailers, block, (trailers, inserted))
            elif steady:
                _keep(self._trailers, block, trailers)
        return trailers

    def _again(self, meaning: M, inserted: tuple[Field, ...]) -> M:
        """A block that says everything by itself (as nginx writes them) came again: it means the same, and does the
        same to the table."""
        if inserted:
            self._decoder.insert(inserted)
            self._forget()
        return meaning

    def skip(self, block: bytes) -> None:
        """A block that nobody wants changes the table all the same. Raises ConnectionFaultError."""
        self._decode(block)

    def _decode(self, block: bytes) -> tuple[list[Field], bool]:
        """(fields, whether the block left the table as it was)."""
        changes = self._decoder.changes
        fields = self._decoder.decode(block)
        if changes == self._decoder.changes:
            return fields, True
        self._forget()
        return fields, False

    def _forget(self) -> None:
        """The table has changed: what refers to it may mean something else now."""
        for known in (self._pathless, self._requests, self._responses, self._trailers):
            known.clear()

    def _check_count(self, fields: list[Field]) -> None:
        """Raises TooLargeError. That there are far too many costs no second look at them."""
        limits, count = self._limits, len(fields)
        if count > limits.header_count and (
            count * OVERHEAD > limits.header_bytes or lines_of(fields) > limits.header_count
        ):
            raise TooLargeError

    def _room(self, fields: list[Field]) -> int:
        """How many bytes of fields more there might have been. Raises TooLargeError."""
        self._check_count(fields)
        room = self._limits.header_bytes - sum([field.size for field in fields])
        if room < 0:
            raise TooLargeError
        return room

    def _is_small(self, room: int) -> bool:
        """Whether a head may be kept, which it is then: what a connection can make us keep is bounded."""
        size = self._limits.header_bytes - room
        if size > _KNOWN_SIZE:
            return False
        self._size += size
        if self._size > _KNOWN_BYTES:
            self.forget()
            self._size = size
        return True


def _keep(known: dict[K, V], key: K, meaning: V) -> None:
    if len(known) >= _KNOWN_HEADS:
        known.clear()
    known[key] = meaning
