"""Responses made smaller for clients that take gzip (``use-gzip``), as nginx's filter does it.

Owns which responses, what their heads say then, and the packing itself. Pure: bytes in, bytes out. Each piece that
comes is packed and goes on at once, so that streams stay streams. Answers of the edge itself are not packed.
"""

from __future__ import annotations

import re
import zlib
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from proto.resources import Settings
from services.contract import regex
from services.edge.core import grammar
from services.edge.core.asked import Asked
from services.edge.core.response_head import CHUNKED, ResponseHead, dressed_head

MSIE6: Final = "msie6"
"""nginx's own name for the browsers that cannot read it."""

_STATUSES: Final = (200, 403, 404)
_GZIP: Final = 16
"""What ``zlib`` takes for a window of gzip's form."""
_DROPPED: Final = frozenset((b"content-length", b"accept-ranges"))
_VARY: Final = b"Vary: Accept-Encoding\r\n"

_accepts = re.compile(
    rb"(?:^|,)[\t ]*+gzip[\t ]*+(?:;[\t ]*+q=(0(?:\.0{0,3})?|[01](?:\.[0-9]{0,3})?)[\t ]*+)?(?=,|$)", re.I
)
_msie6 = re.compile(rb"MSIE (?:[45]\.|6\.(?!.*SV1))").search
_type = re.compile(rb"[^;\t ]*").match
_named = re.compile(rb"(?:^|,)[\t ]*+(?:accept-encoding|\*)[\t ]*+(?=,|$)", re.IGNORECASE).search


class Compression(Struct, frozen=True):
    """Which responses are packed, and how well. ``types``: None: of all types; ``disabled``: clients' names that
    ``gzip-disable`` means."""

    level: int
    at_least: int
    types: frozenset[bytes] | None
    msie6: bool = False
    disabled: regex.Pattern | None = None


def compression_of(settings: Settings) -> Compression | None:
    """What the settings say; None: nothing is packed. Raises RegexError for a pattern that is none."""
    if not settings.use_gzip:
        return None
    types = frozenset(name.lower().encode() for name in settings.gzip_types) | {b"text/html"}
    text = settings.gzip_disable
    disabled = regex.compile(text) if text and text != MSIE6 else None
    every = None if b"*" in types else types
    return Compression(settings.gzip_level, settings.gzip_min_length, every, text == MSIE6, disabled)


class Packer:
    """One response on its way. ``head``: as it goes on; ``packs``: its body is packed."""

    __slots__ = ("_at_work", "head", "packs")

    def __init__(self, compression: Compression, asked: Asked, head: ResponseHead, bodiless: bool) -> None:
        self.head = head
        self.packs = False
        self._at_work = None
        if not _fits(compression, head):
            return
        takes = _takes(compression, asked)
        self.head = _packed(head) if takes else dressed_head(head, _told)
        self.packs = takes and not bodiless  # a HEAD is told what a GET would be
        if self.packs:
            self._at_work = zlib.compressobj(compression.level, zlib.DEFLATED, zlib.MAX_WBITS + _GZIP)

    def pack(self, data: bytes) -> bytes:
        """More of the body; empty only for nothing."""
        if self._at_work is None or not data:
            return data
        return self._at_work.compress(data) + self._at_work.flush(zlib.Z_SYNC_FLUSH)

    def end(self, data: bytes = b"") -> bytes:
        """The rest of the body with what ends it; empty where nothing is left to say."""
        if self._at_work is None:
            return data
        packed = self._at_work.compress(data) + self._at_work.flush()
        self._at_work = None
        return packed


def _fits(compression: Compression, head: ResponseHead) -> bool:
    if head.status not in _STATUSES or 0 <= head.length < compression.at_least:
        return False
    said = {match[1].lower(): match[2] for match in grammar.field.finditer(head.passed, head.passed.find(b"\n") + 1)}
    if said.get(b"content-encoding") or b"no-transform" in said.get(b"cache-control", b"").lower():
        return False
    kind = _type(said.get(b"content-type", b""))
    return compression.types is None or (kind is not None and kind[0].lower() in compression.types)


def _takes(compression: Compression, asked: Asked) -> bool:
    """Whether the client takes gzip; one that speaks HTTP/1.0 is not believed."""
    if asked.minor == 0:
        return False
    found = _accepts.search(asked.header("accept-encoding") or b"")
    if found is None or (found[1] is not None and float(found[1]) == 0):
        return False
    if not compression.msie6 and compression.disabled is None:
        return True
    agent = asked.header("user-agent") or b""
    if compression.msie6:
        return _msie6(agent) is None
    try:
        return compression.disabled is None or not compression.disabled.matches(agent)
    except regex.RegexTimeoutError:
        return False


def _packed(head: ResponseHead) -> ResponseHead:
    """A head whose body will be packed: its length is not known before, and its tag is a weak one."""
    return replace(dressed_head(head, _packed_lines), framed=False, length=CHUNKED, ready=False)


def _packed_lines(status: int, lines: bytes) -> bytes:
    kept = []
    for match in grammar.field.finditer(lines):
        name, value = match[1].lower(), match[2]
        if name in _DROPPED:
            continue
        if name != b"etag" or value.startswith(b"W/"):
            kept.append(match[0])
        elif value.startswith(b'"'):
            kept.append(b"%b: W/%b\r\n" % (match[1], value))
    return _told(status, b"".join(kept)) + b"Content-Encoding: gzip\r\n"


def _told(_status: int, lines: bytes) -> bytes:
    """Whoever keeps the response is told that it depends on what the client takes."""
    said = (match[2] for match in grammar.field.finditer(lines) if match[1].lower() == b"vary")
    return lines if any(map(_named, said)) else lines + _VARY
