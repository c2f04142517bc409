"""Bodies in chunks (RFC 9112 section 7.1), read strictly; extensions and trailers are dropped.

Owns the one decoder for both directions. What it lets through is written again by ``frame``: bytes of another's
framing never go on.
"""

from __future__ import annotations

import re

_SIZE_LINE_LIMIT = 1100
"""The longest size line: extensions are ignored up to 1 KiB."""

_TRAILERS_LIMIT = 8 * 1024

_size_line = re.compile(rb"([0-9A-Fa-f]{1,15}+)(;[\t\x20-\x7e\x80-\xff]*+)?\r\n").match
_beginning_of_size = re.compile(rb"[0-9A-Fa-f]{0,15}+(?:(?<=.);[\t\x20-\x7e\x80-\xff]*+)?\r?", re.DOTALL).fullmatch
_trailer = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\t\x20-\x7e\x80-\xff]*+\r\n").match
_beginning_of_trailer = re.compile(rb"\r?|[!#$%&'*+.^_`|~0-9A-Za-z-]++(?::[\t\x20-\x7e\x80-\xff]*+\r?)?").fullmatch

LAST = b"0\r\n\r\n"
"""What ends a body in chunks."""

_SIZE, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)


class FramingError(Exception):
    """A body that is not framed as its head says."""


def frame(payload: bytes) -> bytes:
    """``payload`` (not empty) as one chunk."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


class ChunkedDecoder:
    """Bytes in, payload out. After ``done``, ``rest`` is what came behind the body."""

    __slots__ = ("_extensions", "_left", "_state", "_tail", "_trailers", "rest")

    def __init__(self) -> None:
        self._state = _SIZE
        self._left = 0
        self._tail = b""
        self._extensions = 0
        self._trailers = 0
        self.rest = b""

    @property
    def done(self) -> bool:
        """The last chunk and the trailers have been read."""
        return self._state == _DONE

    def feed(self, data: bytes) -> bytes:
        """The payload that ``data`` carries on. Raises FramingError."""
        if self._tail:
            data = self._tail + data
            self._tail = b""
        payload: list[bytes] = []
        at = 0
        size = len(data)
        while True:
            state = self._state
            if state == _DATA:
                if at >= size:
                    break
                piece = data[at : at + self._left]
                payload.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if self._left:
                    break
                self._state = _DATA_END
            elif state == _DATA_END:
                if data[at : at + 2] != b"\r\n":
                    self._keep(data[at:], b"\r\n".startswith(data[at:]))
                    break
                at += 2
                self._state = _SIZE
            elif state == _SIZE:
                match = _size_line(data, at)
                if match is None:
                    self._keep(data[at:], _beginning_of_size(data, at) is not None and size - at < _SIZE_LINE_LIMIT)
                    break
                at = match.end()
                self._count_extension(match)
                left = int(match[1], 16)
                end = at + left
                if left and data[end : end + 2] == b"\r\n":  # it is whole
                    payload.append(data[at:end])
                    at = end + 2
                    continue
                self._left = left
                self._state = _DATA if left else _TRAILERS
            elif state == _TRAILERS:
                if data.startswith(b"\r\n", at):
                    self._state = _DONE
                    self.rest = data[at + 2 :]
                    break
                match = _trailer(data, at)
                if match is None:
                    self._keep(data[at:], _beginning_of_trailer(data, at) is not None and size - at < _TRAILERS_LIMIT)
                    break
                self._trailers += match.end() - at
                if self._trailers > _TRAILERS_LIMIT:
                    raise FramingError("trailers are too large")
                at = match.end()
            else:
                raise FramingError("bytes after the end of the body")
        return payload[0] if len(payload) == 1 else b"".join(payload)

    def _keep(self, tail: bytes, possible: bool) -> None:
        if not possible:
            raise FramingError("not a chunk")
        self._tail = tail

    def _count_extension(self, match: re.Match[bytes]) -> None:
        if match[2]:
            self._extensions += len(match[2])
            if self._extensions > 1024:
                raise FramingError("chunk extensions are too large")
