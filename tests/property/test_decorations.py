"""Snippets of any content: what is taken over is data that cannot break out of its line; the rest is refused."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from proto.policies import Decorations
from services.contract.annotations.values import MalformedError
from services.contract.decorations import parse_decorations, together

_PIECES = st.sampled_from(
    [
        *"\"'\\;{}#$ \t\r\n:*-x",
        *("more_set_headers", "more_clear_headers", "add_header", "always", "deny", "all", "location", "return", "if"),
        *("X-A", "X-*", "a b", "$host", "${host}", "Content-Length", "-s", "404", "é", "\\n", "\0"),
    ]
)
TEXTS = st.lists(_PIECES, max_size=25).map("".join)
NAMES = st.from_regex(r"X-[A-Za-z0-9_-]{1,8}", fullmatch=True)
VALUES = st.from_regex(r"[A-Za-z0-9;:'\"{} #()<>=,\\-][A-Za-z0-9;:'\"{} #()<>=,\\-]{0,20}", fullmatch=True).filter(
    lambda value: value == value.strip()
)
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_VALUE = re.compile(r"[\x20-\x7e]+")
_CLEARED = re.compile(r"[a-z0-9_-]+\*?")


def check(found: Decorations) -> None:
    for name, value in (*found.put, *found.added, *found.always):
        assert _NAME.fullmatch(name)
        assert _VALUE.fullmatch(value)
        assert name.lower() not in ("content-length", "transfer-encoding", "connection")
    assert all(_CLEARED.fullmatch(name) for name in found.removed)


def directives(text: str) -> list[str]:
    """The first words of all lines, found letter by letter: how nginx goes through its configuration."""
    found: list[str] = []
    word, quote, first, comment, escaped = "", "", True, False, False
    for letter in [*text, ";"]:
        if comment:
            comment = letter != "\n"
        elif quote:
            if escaped or letter != quote:
                word += letter
            else:
                quote = ""
            escaped = letter == "\\" and not escaped
        elif letter in " \t\r\n;{}":
            if word and first:
                found.append(word)
            first = letter in ";{}" or (first and not word)
            word = ""
        elif letter in "\"'" and not word:
            quote = letter
        elif letter == "#" and not word:
            comment = True
        else:
            word += letter
    return found


@given(TEXTS, TEXTS)
@settings(max_examples=300)
def test_whatever_is_written_is_refused_or_cannot_break_out(outer: str, inner: str) -> None:
    read = []
    for text in (outer, inner):
        try:
            read.append(parse_decorations(text))
        except MalformedError:
            continue
        assert set(directives(text)) <= {"more_set_headers", "more_clear_headers", "add_header"}
    for found in read:
        check(found)
    if len(read) == 2:
        check(together(*read))


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6), st.sampled_from("\"'"))
def test_what_is_written_with_quotes_comes_back_as_it_was(headers: list[tuple[str, str]], quote: str) -> None:
    def quoted(text: str) -> str:
        return quote + text.replace("\\", "\\\\").replace(quote, f"\\{quote}") + quote

    text = "".join(f"add_header {name} {quoted(value)} always;\n" for name, value in headers)
    assert parse_decorations(text).always == tuple(headers)
    last = {name.lower(): (name, value) for name, value in headers}
    set_at_once = "".join(f"more_set_headers {quoted(f'{name}: {value}')};" for name, value in headers)
    assert dict(parse_decorations(set_at_once).put) == dict(last.values())
