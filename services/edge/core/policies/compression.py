"""Responses made smaller for clients that take it, as nginx's filters do it: brotli (``enable-brotli``) before gzip
(``use-gzip``).

Owns which responses, what their heads say then, and the packing itself. Pure: bytes in, bytes out. Each piece that
comes is packed and goes on at once, so that streams stay streams. Answers of the edge itself are not packed.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable
from typing import Final, Protocol

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

_BEST_OF_BROTLI: Final = 9
"""Beyond it a response holds all others up for what it saves."""
_WINDOW_OF_BROTLI: Final = 19
"""Of 512 KB, as a power of 2 (nginx: brotli_window)."""

_accepted = re.compile(
    rb"(?:^|,)[\t ]*+(gzip|br)[\t ]*+(?:;[\t ]*+q=(0(?:\.0{0,3})?|[01](?:\.[0-9]{0,3})?)[\t ]*+)?(?=,|$)", re.I
).findall
_msie6 = re.compile(rb"MSIE (?:[45]\.|6\.(?!.*SV1))").search
_type = re.compile(rb"[^;\t ]*").match
_named = re.compile(rb"(?:^|,)[\t ]*+(?:accept-encoding|\*)[\t ]*+(?=,|$)", re.IGNORECASE).search


class AtWork(Protocol):
    """A body being packed. ``flushed``: a piece, so that all of it can be read; ``finished``: the last one."""

    def flushed(self, data: bytes) -> bytes: ...
    def finished(self, data: bytes) -> bytes: ...


class Coding(Struct, frozen=True):
    """A way to pack, as ``Content-Encoding`` names it, and which responses are: those of ``at_least`` so many bytes,
    and of these ``types`` (None: all). ``begin``: packs one more body."""

    name: bytes
    at_least: int
    types: frozenset[bytes] | None
    begin: Callable[[], AtWork]


class Compression(Struct, frozen=True):
    """Which responses are packed: by the first of ``codings`` that fits and the client takes. ``disabled``: clients'
    names that ``gzip-disable`` means; brotli is not for them alone."""

    codings: tuple[Coding, ...]
    msie6: bool = False
    disabled: regex.Pattern | None = None


def compression_of(settings: Settings) -> Compression | None:
    """What the settings say; None: nothing is packed. Raises RegexError for a pattern that is none."""
    codings = []
    if settings.enable_brotli:
        codings.append(Coding(b"br", settings.brotli_min_length, _types(settings.brotli_types), _brotli(settings)))
    if settings.use_gzip:
        level = settings.gzip_level
        codings.append(
            Coding(b"gzip", settings.gzip_min_length, _types(settings.gzip_types), lambda: _GzipAtWork(level))
        )
    if not codings:
        return None
    text = settings.gzip_disable
    disabled = regex.compile(text) if text and text != MSIE6 else None
    return Compression(tuple(codings), text == MSIE6, disabled)


def _types(names: Iterable[str]) -> frozenset[bytes] | None:
    types = frozenset(name.lower().encode() for name in names)
    return None if b"*" in types else types | {b"text/html"}


class _GzipAtWork:
    __slots__ = ("_stream",)

    def __init__(self, level: int) -> None:
        self._stream = zlib.compressobj(level, zlib.DEFLATED, zlib.MAX_WBITS + _GZIP)

    def flushed(self, data: bytes) -> bytes:
        return self._stream.compress(data) + self._stream.flush(zlib.Z_SYNC_FLUSH)

    def finished(self, data: bytes) -> bytes:
        return self._stream.compress(data) + self._stream.flush()


def _brotli(settings: Settings) -> Callable[[], AtWork]:
    """The library is loaded where somebody wants it."""
    from brotli import MODE_GENERIC, Compressor

    quality = min(settings.brotli_level, _BEST_OF_BROTLI)

    class BrotliAtWork:
        __slots__ = ("_stream",)

        def __init__(self) -> None:
            self._stream = Compressor(MODE_GENERIC, quality, _WINDOW_OF_BROTLI)

        def flushed(self, data: bytes) -> bytes:
            return bytes(self._stream.process(data) + self._stream.flush())

        def finished(self, data: bytes) -> bytes:
            return bytes(self._stream.process(data) + self._stream.finish())

    return BrotliAtWork


class Packer:
    """One response on its way. ``head``: as it goes on; ``packs``: its body is packed."""

    __slots__ = ("_at_work", "head", "packs")

    def __init__(self, compression: Compression, asked: Asked, head: ResponseHead, bodiless: bool) -> None:
        self.head = head
        self.packs = False
        self._at_work: AtWork | None = None
        fitting = _fitting(compression, head)
        if not fitting:
            return
        coding = _taken(compression, fitting, asked)
        self.head = dressed_head(head, _told) if coding is None else _packed(head, coding.name)
        self.packs = coding is not None and not bodiless  # a HEAD is told what a GET would be
        if coding is not None and self.packs:
            self._at_work = coding.begin()

    def pack(self, data: bytes) -> bytes:
        """More of the body; empty only for nothing."""
        return data if self._at_work is None or not data else self._at_work.flushed(data)

    def end(self, data: bytes = b"") -> bytes:
        """The rest of the body with what ends it; empty where nothing is left to say."""
        if self._at_work is None:
            return data
        packed = self._at_work.finished(data)
        self._at_work = None
        return packed


def _fitting(compression: Compression, head: ResponseHead) -> list[Coding]:
    """The ways in which the response may be packed."""
    if head.status not in _STATUSES:
        return []
    said = {match[1].lower(): match[2] for match in grammar.field.finditer(head.passed, head.passed.find(b"\n") + 1)}
    if said.get(b"content-encoding") or b"no-transform" in said.get(b"cache-control", b"").lower():
        return []
    found = _type(said.get(b"content-type", b""))
    kind = b"" if found is None else found[0].lower()
    return [
        coding
        for coding in compression.codings
        if (head.length < 0 or head.length >= coding.at_least) and (coding.types is None or kind in coding.types)
    ]


def _taken(compression: Compression, fitting: Iterable[Coding], asked: Asked) -> Coding | None:
    """The first of these that the client takes; one that speaks HTTP/1.0 is not believed."""
    if asked.minor == 0:
        return None
    takes = {name.lower() for name, q in _accepted(asked.header("accept-encoding") or b"") if not q or float(q) > 0}
    for coding in fitting:
        if coding.name in takes and (coding.name != b"gzip" or _may_get_gzip(compression, asked)):
            return coding
    return None


def _may_get_gzip(compression: Compression, asked: Asked) -> bool:
    if not compression.msie6 and compression.disabled is None:
        return True
    agent = asked.header("user-agent") or b""
    if compression.msie6:
        return _msie6(agent) is None
    try:
        return compression.disabled is None or not compression.disabled.matches(agent)
    except regex.RegexTimeoutError:
        return False


def _packed(head: ResponseHead, coding: bytes) -> ResponseHead:
    """A head whose body will be packed: its length is not known before, and its tag is a weak one."""
    return replace(
        dressed_head(head, lambda status, lines: _packed_lines(status, lines, coding)),
        framed=False,
        length=CHUNKED,
        ready=False,
    )


def _packed_lines(status: int, lines: bytes, coding: bytes) -> bytes:
    kept = []
    for match in grammar.field.finditer(lines):
        name, value = match[1].lower(), match[2]
        if name in _DROPPED:
            continue
        if name != b"etag" or value.startswith(b"W/"):
            kept.append(match[0])
        elif value.startswith(b'"'):
            kept.append(b"%b: W/%b\r\n" % (match[1], value))
    return _told(status, b"".join(kept)) + b"Content-Encoding: %b\r\n" % coding


def _told(_status: int, lines: bytes) -> bytes:
    """Whoever keeps the response is told that it depends on what the client takes."""
    said = (match[2] for match in grammar.field.finditer(lines) if match[1].lower() == b"vary")
    return lines if any(map(_named, said)) else lines + _VARY
