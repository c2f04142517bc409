"""How a value stands in a line: nginx' three ways (``log_format … escape=default|json|none``).

Pure. A client can write no line of its own: line ends are escaped, except with ``none``, where they become blanks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Final, Literal

from msgspec import Struct

from services.edge.traffic import alike

Way = Literal["default", "json", "none"]

_JSON_NAMES: Final = {0x08: b"\\b", 0x09: b"\\t", 0x0A: b"\\n", 0x0C: b"\\f", 0x0D: b"\\r", 0x22: b'\\"', 0x5C: b"\\\\"}


def _hexadecimal(match: re.Match[bytes]) -> bytes:
    return b"\\x%02X" % match[0][0]


def _in_json(match: re.Match[bytes]) -> bytes:
    byte = match[0][0]
    return _JSON_NAMES.get(byte) or b"\\u%04X" % byte


class Escape(Struct, frozen=True):
    """One way. ``absent``: what stands for a variable that has no value. ``harmless``: bytes that stay as they are."""

    absent: bytes
    harmless: bytes
    text: Callable[[bytes], bytes]

    def one(self, value: bytes | None) -> bytes:
        """A value as it stands in a line."""
        if value is None:
            return self.absent
        return self.text(value) if value.translate(None, self.harmless) else value

    def all(self, values: Sequence[bytes | None]) -> Iterable[bytes]:
        """The same for many, which most often need nothing: looked at together. ``itertools.repeat``: all are alike."""
        if alike(values):
            return repeat(self.one(values[0]), len(values))
        if None in values:
            values = [self.absent if value is None else value for value in values]
        if b"".join(values).translate(None, self.harmless):  # type: ignore[arg-type]
            return [self.one(value) for value in values]
        return values  # type: ignore[return-value]


def _all_but(pattern: bytes) -> bytes:
    harmful = re.compile(pattern)
    return bytes(byte for byte in range(256) if harmful.match(bytes((byte,))) is None)


def _escape(absent: bytes, pattern: bytes, replace: Callable[[re.Match[bytes]], bytes]) -> Escape:
    expression = re.compile(pattern)
    return Escape(absent, _all_but(pattern), lambda value: expression.sub(replace, value))


ESCAPES: Final[dict[Way, Escape]] = {
    "default": _escape(b"-", rb'[\x00-\x1f"\\\x7f-\xff]', _hexadecimal),
    "json": _escape(b"", rb'[\x00-\x1f"\\]', _in_json),
    "none": _escape(b"", rb"[\r\n]", lambda _match: b" "),
}
"""Ways by name (ngx_http_log_module)."""
