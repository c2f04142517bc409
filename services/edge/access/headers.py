"""Values that follow from a request's headers alone: read once per block of headers where clients repeat theirs.

Pure. Several lines of one name are joined as nginx joins them (since 1.23).
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote_from_bytes

from msgspec import Struct

from services.edge.access.escape import Escape


class Read(Struct, frozen=True, gc=False):
    """How a value is read. ``key``: what a block in lower case has in it if there may be a value; ``value``: a block,
    and the same in lower case -> the value; None: there is none."""

    key: bytes
    value: Callable[[bytes, bytes], bytes | None]

    def __call__(self, block: bytes, lower: bytes) -> bytes | None:
        return self.value(block, lower) if self.key in lower else None


_KEPT: Final = 512
"""Blocks of headers whose values are remembered."""
_LONGEST: Final = 4096
"""Bytes of a block that is worth remembering."""
_AGAIN: Final = 16
"""Where blocks do not repeat, only one batch in so many is looked up."""


def header(name: str, joined_by: bytes = b", ") -> Read:
    """What reads a header by its name in lower case, with dashes."""
    key = b"\r\n%b:" % name.encode()
    length = len(key)

    def read(block: bytes, lower: bytes) -> bytes | None:
        at = lower.find(key)
        if at < 0:
            return None
        end = lower.find(b"\r", at + length)
        value = block[at + length : end].strip(b" \t")
        more = lower.find(key, end)
        while more >= 0:
            end = lower.find(b"\r", more + length)
            value += joined_by + block[more + length : end].strip(b" \t")
            more = lower.find(key, end)
        return value

    return Read(key, read)


_cookies: Final = header("cookie", b"; ")
_authorization: Final = header("authorization")
_set_cookies: Final = header("set-cookie", b"\n")


def cookie(name: str) -> Read:
    """What reads one cookie of a request (nginx: any case of its name)."""
    wanted = name.encode()

    def read(block: bytes, lower: bytes) -> bytes | None:
        for pair in (_cookies(block, lower) or b"").split(b";"):
            found, equals, value = pair.strip(b" \t").partition(b"=")
            if equals and found.lower() == wanted:
                return value
        return None

    return Read(_cookies.key, read)


def set_cookie(name: str) -> Read:
    """What reads one cookie that a response sets."""
    wanted = name.encode()

    def read(block: bytes, lower: bytes) -> bytes | None:
        for line in (_set_cookies(block, lower) or b"").split(b"\n"):
            found, equals, value = line.partition(b";")[0].partition(b"=")
            if equals and found.strip(b" \t").lower() == wanted:
                return value
        return None

    return Read(_set_cookies.key, read)


def _user(block: bytes, lower: bytes) -> bytes | None:
    """The user of Basic authentication; nobody looked whether the password is right."""
    scheme, _, credentials = (_authorization(block, lower) or b"").partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        name, colon, _ = b64decode(credentials.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return name if colon else None


_traced: Final = header("@traceparent")
"""Put there by the edge (``services.edge.core.tracing.MARK``)."""
_sent_trace: Final = header("traceparent")


def _trace_parent(block: bytes, lower: bytes) -> bytes | None:
    own = _traced(block, lower)
    return _sent_trace(block, lower) if own is None else own


def _trace_id(block: bytes, lower: bytes) -> bytes | None:
    parts = (_trace_parent(block, lower) or b"").split(b"-")
    return parts[1] if len(parts) >= 4 else None


def _span_id(block: bytes, lower: bytes) -> bytes | None:
    return (_traced(block, lower) or b"--").split(b"-")[2] or None


host: Final = header("host")
user: Final = Read(_authorization.key, _user)
trace_parent: Final = Read(b"traceparent:", _trace_parent)
"""The W3C trace context that went on: of the request's span, else as the client sent it."""
trace_id: Final = Read(trace_parent.key, _trace_id)
"""The trace id in it."""
span_id: Final = Read(b"@traceparent:", _span_id)
"""The id of the request's span, if it has one."""


class Blocks:
    """The values of several readers for each block of headers, as they stand in a line."""

    def __init__(self, escape: Escape) -> None:
        self._escape = escape
        self._readers: list[Read] = []
        self._known: dict[bytes, tuple[bytes, ...]] = {}
        self._batches = 0
        self._repeat = True

    def add(self, read: Read) -> int:
        """Read this too; which of the columns it is."""
        self._readers.append(read)
        return len(self._readers) - 1

    def columns(self, blocks: Sequence[bytes]) -> Sequence[Sequence[bytes]]:
        """A column for each reader."""
        if not self._readers:
            return ()
        self._batches += 1
        if self._repeat or self._batches % _AGAIN == 0:
            return tuple(zip(*self._looked_up(blocks), strict=True))
        return tuple(zip(*map(self._values, blocks), strict=True))

    def _looked_up(self, blocks: Sequence[bytes]) -> list[tuple[bytes, ...]]:
        known = self._known
        values: list[tuple[bytes, ...]] = []
        missed = 0
        for block in blocks:
            found = known.get(block)
            if found is None:
                found = self._values(block)
                missed += 1
                if len(block) <= _LONGEST:
                    if len(known) >= _KEPT:
                        known.clear()
                    known[block] = found
            values.append(found)
        self._repeat = missed * 2 <= len(blocks)
        if not self._repeat:
            known.clear()  # blocks that do not come again are not worth their memory
        return values

    def _values(self, block: bytes) -> tuple[bytes, ...]:
        lower = block.lower()
        escape = self._escape
        return tuple(
            [escape.one(read.value(block, lower)) if read.key in lower else escape.absent for read in self._readers]
        )


def escaped(target: bytes) -> str:
    """``target`` as it may stand in a query: all but letters, digits and ``-._~`` as ``%`` and two digits."""
    return quote_from_bytes(target, safe="")
