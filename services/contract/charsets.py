"""Sets of bytes that PCRE's classes stand for (no UTF mode, C locale), and how a set is spelled for an engine.

Owns the sets. Must not know patterns or engines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

ALL: Final = frozenset(range(256))


def _codes(*parts: str | tuple[str, str]) -> frozenset[int]:
    ranges = (range(ord(part[0]), ord(part[-1]) + 1) if isinstance(part, tuple) else map(ord, part) for part in parts)
    return frozenset(code for codes in ranges for code in codes)


_DIGIT: Final = _codes(("0", "9"))
_LOWER: Final = _codes(("a", "z"))
_UPPER: Final = _codes(("A", "Z"))
ALPHA: Final = _LOWER | _UPPER
_WORD: Final = ALPHA | _DIGIT | _codes("_")
_SPACE: Final = _codes(" \t\n\v\f\r")
_HORIZONTAL: Final = _codes(" \t\xa0")
VERTICAL: Final = _codes("\n\v\f\r\x85")
_GRAPH: Final = frozenset(range(0x21, 0x7F))

CLASS_ESCAPES: Final = {
    "d": _DIGIT,
    "D": ALL - _DIGIT,
    "w": _WORD,
    "W": ALL - _WORD,
    "s": _SPACE,
    "S": ALL - _SPACE,
    "h": _HORIZONTAL,
    "H": ALL - _HORIZONTAL,
    "v": VERTICAL,
    "V": ALL - VERTICAL,
    "N": ALL - _codes("\n"),
}
POSIX_CLASSES: Final = {
    "alnum": ALPHA | _DIGIT,
    "alpha": ALPHA,
    "ascii": frozenset(range(128)),
    "blank": _codes(" \t"),
    "cntrl": frozenset(range(0x20)) | {0x7F},
    "digit": _DIGIT,
    "graph": _GRAPH,
    "lower": _LOWER,
    "print": _GRAPH | {0x20},
    "punct": _GRAPH - ALPHA - _DIGIT,
    "space": _SPACE,
    "upper": _UPPER,
    "word": _WORD,
    "xdigit": _codes(("0", "9"), ("a", "f"), ("A", "F")),
}


def source_of(codes: frozenset[int]) -> str:
    """A set of bytes as a class that both engines read alike (one byte stands for itself)."""
    if len(codes) == 1:
        return _code_source(next(iter(codes)))
    if not codes:
        return "[^\\x00-\\xff]"
    return "[" + "".join(_ranges(codes)) + "]"


def _ranges(codes: frozenset[int]) -> Iterator[str]:
    ordered = sorted(codes)
    start = previous = ordered[0]
    for code in [*ordered[1:], 512]:
        if code != previous + 1:
            yield _code_source(start) if start == previous else f"{_code_source(start)}-{_code_source(previous)}"
            start = code
        previous = code


def _code_source(code: int) -> str:
    return chr(code) if code in _WORD else f"\\x{code:02x}"
