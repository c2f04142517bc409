"""Regular expressions of users, run so that they mean what PCRE means and can never hold up an edge.

Owns the choice of engine and its limits. What RE2 can run, RE2 runs, in time linear in the subject. Patterns with
look-around, atomic groups, possessive quantifiers or backreferences, and very large ones, run in ``regex`` with a time
limit. Anything else is a RegexError. Must not know routes or requests; ``services.contract.pcre`` owns the dialect.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Literal

import re2
import regex

from services.contract.pcre import Translated, translate
from services.contract.pcre_classes import PatternError

TIME_LIMIT: Final = 0.05
"""Seconds of processor time that one search in the backtracking engine may take."""

MAX_PATTERN_LENGTH: Final = 8192
"""Characters of a pattern; nginx refuses configuration tokens of 4 KB and more in its default buffer."""

LINEAR_SIZE: Final = 1500
"""Instructions of a program for RE2. Its time is in proportion to them as well as to the subject: what has more runs
under the time limit, for with thousands of them a path of 8 KB takes seconds."""

_MAX_MEMORY: Final = 2 << 20
"""Bytes RE2 may use for one pattern; past it searches stay linear but get slower."""

Engine = Literal["re2", "regex"]
Names = Mapping[str, int]
"""Named groups and their numbers."""


class RegexError(ValueError):
    """A pattern that cannot be run; the message says why, for a diagnostic."""


class RegexTimeoutError(Exception):
    """A search that took longer than TIME_LIMIT; nginx answers 500 when PCRE gives up."""


class Pattern:
    """A compiled pattern, searched in bytes. Immutable from outside; not meant to be built but by ``compile``.

    ``groups``: how many capturing groups; ``names``: their names; ``prefix`` and ``prefix_only`` as in
    ``pcre.Translated``; ``engine``: which one runs it.
    """

    __slots__ = (
        "_backtracking",
        "_line_end",
        "_linear",
        "_source",
        "engine",
        "groups",
        "names",
        "prefix",
        "prefix_only",
    )

    def __init__(self, translated: Translated) -> None:
        self.groups: int = translated.groups
        self.names: Names = translated.names
        self.prefix: bytes = translated.prefix
        self.prefix_only: bool = translated.prefix_only
        self._source = translated.backtracking
        self._line_end = translated.line_end
        self._linear: Any = None if translated.linear is None else _linear(translated.linear)
        self._backtracking: Any = None if self._linear is not None else _backtracking(translated.backtracking)
        self.engine: Engine = "regex" if self._linear is None else "re2"

    def search(self, subject: bytes) -> tuple[bytes, ...] | None:
        """The whole match and the captures (empty where a group took no part), or None. Raises RegexTimeoutError."""
        if self._linear is None or (self._line_end and subject.endswith(b"\n")):
            return self._search_backtracking(subject)
        spans = self._linear.Match(_UNANCHORED, subject, 0, len(subject))
        if spans[0][0] < 0:
            return None
        return tuple([subject[start:end] if start >= 0 else b"" for start, end in spans])

    def matches(self, subject: bytes) -> bool:
        """Whether the pattern is found in ``subject``. Raises RegexTimeoutError."""
        if self._linear is None or (self._line_end and subject.endswith(b"\n")):
            return self._search_backtracking(subject) is not None
        return bool(self._linear.Match(_UNANCHORED, subject, 0, len(subject))[0][0] >= 0)

    def _search_backtracking(self, subject: bytes) -> tuple[bytes, ...] | None:
        if self._backtracking is None:
            self._backtracking = _backtracking(self._source)
        try:
            match = self._backtracking.search(subject, timeout=TIME_LIMIT)
        except TimeoutError:
            raise RegexTimeoutError(f"a regular expression took more than {TIME_LIMIT} s") from None
        return None if match is None else (match[0], *match.groups(b""))


@lru_cache(maxsize=1024)
def compile(pattern: str, *, ignore_case: bool = True) -> Pattern:
    """Compile a PCRE as users write it. Raises RegexError with the reason, for people."""
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise RegexError(f"the pattern is longer than {MAX_PATTERN_LENGTH} characters")
    try:
        return Pattern(translate(pattern, ignore_case=ignore_case))
    except PatternError as error:
        raise RegexError(str(error)) from None


def _options() -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    return options


# The compiled class under the package's pure Python wrapper: a search costs 0.7 µs instead of 1.8.
_UNANCHORED: Final = re2._re2.RE2.Anchor.UNANCHORED
_RE2_OPTIONS: Final = _options()


def _linear(source: bytes) -> Any | None:
    """The pattern in RE2, None if RE2 does not take it (a repeat above 1000) or is not to (LINEAR_SIZE)."""
    compiled = re2._re2.RE2(source, _RE2_OPTIONS)
    return compiled if compiled.ok() and compiled.ProgramSize() <= LINEAR_SIZE else None


def _backtracking(source: bytes) -> Any:
    try:
        return regex.compile(source, regex.VERSION1)
    except (regex.error, OverflowError, RecursionError) as error:
        raise RegexError(f"not a regular expression: {error}") from None
