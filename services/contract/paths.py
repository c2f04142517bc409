"""Request paths: the form routes are matched on, and the way back to bytes that may stand in a request line.

Owns nginx's reading of a path (percent-decoded, slashes merged, dot segments resolved) and its escaping of a path that
was rewritten. Must not know routes, hosts or requests.

Byte faithfulness: a decoded path is a ``str`` in which each character is one byte (Latin-1). Whatever bytes a client
sends, valid UTF-8 or not, survive the way there and back, and regular expressions see the bytes that PCRE sees in
nginx. Text from objects (UTF-8) is brought into the same form by ``as_bytes_text`` before it is compared.
"""

from __future__ import annotations

from typing import Final

_HEX_DIGITS: Final = "0123456789abcdefABCDEF"
_DECODED: Final = {
    high + low: chr(int(high + low, 16)) for high in _HEX_DIGITS for low in _HEX_DIGITS if high + low != "00"
}
"""Two hexadecimal digits to the character for their byte; NUL is left out, for it is refused."""


def _escapes(unsafe: str) -> dict[int, str]:
    controls = [*range(0x21), *range(0x7F, 0x100)]
    return {code: f"%{code:02X}" for code in {*controls, *map(ord, unsafe)}}


# nginx since 1.21.1: ngx_escape_uri with NGX_ESCAPE_URI and NGX_ESCAPE_ARGS.
_URI_ESCAPES: Final = _escapes('"#%<>?\\^`{|}')
_ARGUMENT_ESCAPES: Final = _escapes('"#%&+;<>?\\^`{|}')


def normalise(raw: bytes) -> str | None:
    """The path that routes are matched on, or None where nginx answers 400.

    ``raw`` is the path of the request target: without its query, and without ``#`` and control bytes, which the
    request line's grammar has refused before. None: it does not begin with a slash, holds a ``%`` without two
    hexadecimal digits after it, or ``%00``, or climbs above the root. ``%2F`` and ``%2E`` count as slash and dot;
    a backslash is a byte like any other.
    """
    path = raw.decode("latin-1")  # looking for text in a str costs a fifth of what it costs in bytes
    if path[:1] != "/":
        return None
    if "%" in path:
        decoded = _percent_decoded(path)
        return None if decoded is None else _resolved(decoded)
    return _resolved(path) if "//" in path or "/." in path else path


def _percent_decoded(path: str) -> str | None:
    head, *parts = path.split("%")
    pieces = [head]
    for part in parts:
        char = _DECODED.get(part[:2])
        if char is None:
            return None
        pieces += (char, part[2:])
    return "".join(pieces)


def _resolved(path: str) -> str | None:
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            if not kept:
                return None
            kept.pop()
        elif segment and segment != ".":
            kept.append(segment)
    if not kept:
        return "/"
    ending = "/" if segments[-1] in ("", ".", "..") else ""
    return "/" + "/".join(kept) + ending


def as_bytes_text(text: str) -> str:
    """Text of an object (UTF-8) in the one-character-per-byte form of a decoded path."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def escape_path(path: str) -> bytes:
    """A decoded path as nginx writes it into a request line after a rewrite; holds no byte outside printable ASCII."""
    return path.translate(_URI_ESCAPES).encode("latin-1")


def escape_argument(text: str) -> str:
    """Decoded text as nginx escapes a capture that it puts into a query or a redirect."""
    return text.translate(_ARGUMENT_ESCAPES)
