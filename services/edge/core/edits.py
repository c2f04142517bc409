"""Edits of heads: lines taken out, put in and changed, of requests for endpoints and of responses for clients.

Owns what may be edited: never how a message is framed, nor what belongs to one connection. Pure: bytes in, bytes out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from services.edge.core import grammar

_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding", b"host"))
"""Lines of requests that no edit touches: the Host has a field of its own."""
KEPT_IN_RESPONSES: Final = frozenset((b"content-length", b"transfer-encoding", b"connection", b"keep-alive"))

_NOTHING: Final[Mapping[bytes, bytes]] = MappingProxyType({})
_name = re.compile(grammar.TOKEN + rb"++").fullmatch
_unclean: Final = re.compile(rb"[^\t\x20-\x7e\x80-\xff]")


class RequestEdit(Struct, frozen=True, gc=False):
    """``removed``: names, in lower case, of lines that do not go on; ``lines``: those that are added, each with its
    CRLF; ``host``: what the endpoint gets as Host, empty: as it was; ``old``: it is spoken to in HTTP/1.0."""

    removed: frozenset[bytes] = frozenset()
    lines: bytes = b""
    host: bytes = b""
    old: bool = False


class ResponseEdit(Struct, frozen=True):
    """The same for a response. ``change``: (status, lines) -> lines, after the rest, for what the rest cannot say."""

    removed: frozenset[bytes] = frozenset()
    lines: bytes = b""
    change: Callable[[int, bytes], bytes] | None = None


def request_edit(
    put: Mapping[bytes, bytes] = _NOTHING, removed: Iterable[bytes] = (), host: bytes = b""
) -> RequestEdit:
    """An edit that sets the headers in ``put`` (an empty value takes the header out, as in nginx) and takes those in
    ``removed`` out. Names that frame a request are left alone."""
    wanted = {name: value for name, value in put.items() if name.lower() not in _FRAMING}
    gone = frozenset(name.lower() for name in (*wanted, *removed)) - _FRAMING
    return RequestEdit(gone, b"".join([line(name, value) for name, value in wanted.items() if value]), clean(host))


def response_edit(
    put: Mapping[bytes, bytes] = _NOTHING,
    removed: Iterable[bytes] = (),
    added: Iterable[tuple[bytes, bytes]] = (),
    change: Callable[[int, bytes], bytes] | None = None,
) -> ResponseEdit:
    """An edit that sets the headers in ``put`` whatever was there, adds those in ``added`` beside what is there, and
    takes those in ``removed`` out. Names that frame a response are left alone."""
    wanted = [(name, value) for name, value in put.items() if name.lower() not in KEPT_IN_RESPONSES]
    more = [(name, value) for name, value in added if name.lower() not in KEPT_IN_RESPONSES]
    gone = frozenset(name.lower() for name in (*(name for name, _ in wanted), *removed)) - KEPT_IN_RESPONSES
    lines = b"".join([line(name, value) for name, value in (*wanted, *more) if value])
    return ResponseEdit(gone, lines, change)


def line(name: bytes, value: bytes) -> bytes:
    """A header line with its CRLF; bytes that could end it are left out of ``value``. ValueError for no name."""
    if _name(name) is None:
        raise ValueError(f"{name!r} is not the name of a header")
    return b"%b: %b\r\n" % (name, clean(value))


def clean(value: bytes) -> bytes:
    """``value`` without bytes that a header may not hold."""
    return _unclean.sub(b"", value)


def without(block: bytes, names: frozenset[bytes], start: int = 0) -> bytes:
    """The lines of ``block`` from ``start`` on without those of these names (lower case), and nothing but lines."""
    return b"".join([found[0] for found in grammar.field.finditer(block, start) if found[1].lower() not in names])


def _cut(lines: bytes, names: frozenset[bytes]) -> bytes:
    """The same for what is nothing but lines, quickly where few are to go."""
    kept = b"\n" + lines
    lowered = kept.lower()
    for beginning in _beginnings(names):
        at = lowered.find(beginning)
        if at < 0:
            continue
        end = lowered.find(b"\n", at + 1)
        if lowered.find(beginning, end) >= 0:  # cutting out very many lines one by one would take long
            return without(lines, names)
        kept, lowered = kept[:at] + kept[end:], lowered[:at] + lowered[end:]
    return kept[1:]


@lru_cache(maxsize=1024)
def _beginnings(names: frozenset[bytes]) -> tuple[bytes, ...]:
    """How lines of these names begin, with the end of the line before."""
    return tuple(b"\n%b:" % name for name in names)


_odd_name = re.compile(rb"\n[0-9A-Za-z-]*+[^0-9A-Za-z:\r-]").search
"""Finds a line whose name has another character than the ordinary ones, where settings let it go on."""


def _cut_alike(lines: bytes, names: frozenset[bytes]) -> bytes:
    """``lines`` without those that applications could take for these: many fold ``_`` and ``-`` into one."""
    alike = _likenesses(names)
    return lines if alike is None else alike.sub(b"", b"\n" + lines)[1:]


@lru_cache(maxsize=1024)
def _likenesses(names: frozenset[bytes]) -> re.Pattern[bytes] | None:
    separated = [re.escape(name).replace(rb"\-", rb"[^0-9A-Za-z:\r\n]") for name in sorted(names) if b"-" in name]
    return re.compile(rb"(?<=\n)(?i:%b):[^\n]*+\n" % b"|".join(separated)) if separated else None


def edit_request(head: bytes, edits: Iterable[RequestEdit]) -> bytes:
    """``head`` (a whole one, as it goes to an endpoint, with its empty line) with ``edits`` in their order."""
    line_end = head.find(b"\r\n") + 2
    first, lines = head[:line_end], head[line_end:-2]
    odd = _odd_name(head, line_end - 1) is not None
    for edit in edits:
        if edit.removed:
            lines = _cut(lines, edit.removed)
            if odd:
                lines = _cut_alike(lines, edit.removed)
        if edit.host:
            lines = b"Host: %b\r\n%b" % (edit.host, _cut(lines, _HOST))
        if edit.old:
            first = first.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n")
        lines += edit.lines
    return b"%b%b\r\n" % (first, lines)


_HOST: Final = frozenset((b"host",))


def edit_response(status: int, lines: bytes, edits: Iterable[ResponseEdit]) -> bytes:
    """``lines`` of a response's head (each with its CRLF) with ``edits`` in their order."""
    for edit in edits:
        if edit.removed:
            lines = _cut(lines, edit.removed)
        lines += edit.lines
        if edit.change is not None:
            lines = edit.change(status, lines)
    return lines
