"""Values of headers that are blocked, as nginx's ``map`` writes them: a text in any case, or a pattern behind ``~``.

Owns how such a list is read and matched. Pure. Source of the rule: ngx_http_map_module, nginx's quoting of words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from services.contract import regex

_ESCAPED: Final = re.compile(r"\\([\"'\\trn])")
_MEANT: Final = {"t": "\t", "r": "\r", "n": "\n"}


def entries(text: str) -> tuple[str, ...]:
    """The entries of a comma separated list, as nginx understands their quotes and backslashes. Raises RegexError for
    a pattern that cannot be run."""
    found = tuple(_word(item.strip()) for item in text.split(",") if item.strip())
    Blocks(found)
    return found


def _word(item: str) -> str:
    if len(item) > 1 and item[0] == item[-1] and item[0] in "\"'":
        item = item[1:-1]
    return _ESCAPED.sub(lambda match: _MEANT.get(match[1], match[1]), item)


class Blocks:
    """Entries ready to be matched: ``~*`` begins a pattern in any case, ``~`` one in its own. Raises RegexError."""

    __slots__ = ("_patterns", "_texts")

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = frozenset(text.lower().encode() for text in texts if not text.startswith("~"))
        patterns = [text[1:] for text in texts if text.startswith("~")]
        self._patterns = tuple(
            regex.compile(pattern.removeprefix("*"), ignore_case=pattern.startswith("*")) for pattern in patterns
        )

    def match(self, value: bytes) -> bool:
        """Whether ``value`` is blocked; nothing is where there is none. A pattern that takes too long blocks."""
        if not value:
            return False
        if value.lower() in self._texts:
            return True
        try:
            return any(pattern.search(value) is not None for pattern in self._patterns)
        except regex.RegexTimeoutError:
            return True
