"""Escapes and bracketed classes of PCRE: which bytes they stand for.

Owns reading one of them from a position in a pattern. Must not know groups, flags or engines.
"""

from __future__ import annotations

import re
from typing import Final

from services.contract.charsets import ALL, CLASS_ESCAPES, POSIX_CLASSES

_CONTROL_ESCAPES: Final = {"a": 7, "e": 27, "f": 12, "n": 10, "r": 13, "t": 9}
_POSIX: Final = re.compile(r"\[:(\^?)([a-z]+):\]")
_OCTAL: Final = re.compile(r"\\(0[0-7]{0,2}|[1-7][0-7]{1,2})")
_HEX: Final = re.compile(r"\\x(?:\{([0-9A-Fa-f]{1,8})\}|([0-9A-Fa-f]{0,2}))")
_OCTAL_BRACES: Final = re.compile(r"\\o\{([0-7]+)\}")


class PatternError(ValueError):
    """A pattern that PCRE would refuse too, or that uses what is not supported; the message says which and where."""

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(f"{reason} (at character {at})")


def read_escape(text: str, at: int) -> tuple[int | frozenset[int], int]:
    """The byte, or set of bytes, of the escape at ``at``, one that may stand in and outside classes; and where it
    ends. Raises PatternError."""
    char = text[at + 1 : at + 2]
    for form, base in ((_HEX, 16), (_OCTAL_BRACES, 8), (_OCTAL, 8)):
        match = form.match(text, at)
        if match is not None:
            code = int(next((group for group in match.groups() if group), "0"), base)
            if code > 255:
                raise PatternError(f"{match[0]} is no byte", at)
            return code, match.end()
    if char in CLASS_ESCAPES:
        return CLASS_ESCAPES[char], at + 2
    if char in _CONTROL_ESCAPES:
        return _CONTROL_ESCAPES[char], at + 2
    if char == "c" and at + 2 < len(text):
        return ord(text[at + 2].upper()) ^ 0x40, at + 3
    if char == "" or (char.isascii() and char.isalnum()):
        raise PatternError(f"the escape \\{char} is not supported", at)
    return ord(char), at + 2


def read_class(text: str, at: int) -> tuple[frozenset[int], bool, int]:
    """The class that begins at ``at`` with ``[``: its members, whether it is negated, and where it ends.

    The members are as written, without folding of case. Raises PatternError.
    """
    at += 1
    negated = text.startswith("^", at)
    at += negated
    found: set[int] = set()
    first = True
    while first or not text.startswith("]", at):
        if at >= len(text):
            raise PatternError("a class is not closed", at)
        first = False
        codes, at = _member(text, at)
        found |= codes
    return frozenset(found), negated, at + 1


def _member(text: str, at: int) -> tuple[frozenset[int], int]:
    posix = _POSIX.match(text, at)
    if posix is not None:
        codes = POSIX_CLASSES.get(posix[2])
        if codes is None:
            raise PatternError(f"{posix[0]} is no class", at)
        return (ALL - codes if posix[1] else codes), posix.end()
    low, at = _atom(text, at)
    if not isinstance(low, int):
        return low, at
    if not text.startswith("-", at) or text[at + 1 : at + 2] in ("", "]"):
        return frozenset((low,)), at
    high, end = _atom(text, at + 1)
    if not isinstance(high, int):
        return frozenset((low, ord("-"))) | high, end
    if high < low:
        raise PatternError("a range that runs backwards", at)
    return frozenset(range(low, high + 1)), end


def _atom(text: str, at: int) -> tuple[int | frozenset[int], int]:
    if text[at] != "\\":
        return ord(text[at]), at + 1
    if text.startswith("\\b", at):
        return 8, at + 2
    if text[at + 1 : at + 2] in ("Q", "E", "N", "R", "X", "B"):
        raise PatternError(f"{text[at : at + 2]} in a class is not supported", at)
    return read_escape(text, at)
