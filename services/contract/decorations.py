"""Snippets that do nothing but decorate responses, read as data: which headers are set, added and taken out.

Owns the three directives that are understood, nginx's quoting of words, and what their lines come to together. Pure.
Everything else in a snippet is refused with its name: nothing is passed over, for a snippet may guard something.

Source of the rules: the tokens of nginx's configuration, headers-more (``more_set_headers``, ``more_clear_headers``),
ngx_http_headers_module (``add_header``), and the order in which the two look at a response.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from proto.policies import Decorations
from services.contract.annotations.places import check_template
from services.contract.annotations.values import MalformedError
from services.contract.header_values import header_problem

MAX_SNIPPET: Final = 65536
"""Longer ones are not read, characters."""
MAX_NAMED: Final = 8
NOTHING: Final = Decorations()
UNDERSTOOD: Final = ("more_set_headers", "more_clear_headers", "add_header")

_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r\n]+|\#[^\n]*)"""
    r"""|(?P<end>;)"""
    r"""|"(?P<double>(?:[^"\\]|\\.)*+)"(?=[ \t\r\n;]|\Z)"""
    r"""|'(?P<single>(?:[^'\\]|\\.)*+)'(?=[ \t\r\n;]|\Z)"""
    r"""|(?P<bare>(?:[^ \t\r\n;{}"'\\$]|\$\{[A-Za-z0-9_]+\}|\$(?!\{))++)""",
    re.DOTALL,
)
_ANY_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r\n]+|\#[^\n]*)"""
    r"""|(?P<break>[;{}])"""
    r"""|(?P<word>"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'"""
    r"""|(?!["'])(?:[^ \t\r\n;{}\\$]|\\.|\$\{[A-Za-z0-9_]+\}|\$)(?:[^ \t\r\n;{\\$]|\\.|\$\{[A-Za-z0-9_]+\}|\$)*+)""",
    re.DOTALL,
)
"""What nginx's configuration is made of, loosely: only to name what is refused."""
_ESCAPED: Final = re.compile(r"""\\(["'\\trn])""")
_MEANT: Final = {"t": "\t", "r": "\r", "n": "\n"}
_DIRECTIVE: Final = re.compile(r"[A-Za-z0-9_]{1,60}")
_CLEARED: Final = re.compile(r"[A-Za-z0-9_-]+\*?")
_FRAMING: Final = frozenset(("connection", "content-length", "keep-alive", "trailer", "transfer-encoding", "upgrade"))
ADDED_TO: Final = frozenset((200, 201, 204, 206, 301, 302, 303, 304, 307, 308))
"""The answers that ``add_header`` without ``always`` holds for."""


class OtherDirectiveError(MalformedError):
    """A snippet that does something else than decorate responses. ``directives``: the names of what else is in it, as
    far as they can be told."""

    def __init__(self, directives: tuple[str, ...]) -> None:
        self.directives = directives
        named = "what is no directive of one line"
        if directives:
            named = f"the directive{'s' if len(directives) > 1 else ''} {', '.join(directives)}"
        super().__init__(f"has {named}; only {', '.join(UNDERSTOOD[:-1])} and {UNDERSTOOD[-1]} are understood")


def parse_decorations(text: str) -> Decorations:
    """What a snippet says of heads of responses. Raises MalformedError for everything that is not wholly understood;
    its message never holds values, which may be secret."""
    if len(text) > MAX_SNIPPET:
        raise MalformedError(f"is longer than {MAX_SNIPPET} characters")
    put: dict[str, tuple[str, str]] = {}
    removed: dict[str, None] = {}
    added: list[tuple[str, str]] = []
    always: list[tuple[str, str]] = []
    for directive, words in _lines(text):
        match directive:
            case "more_set_headers":
                for word in _words(directive, words):
                    name, value = _header(directive, *_halves(word))
                    if value:
                        put[name.lower()] = (name, value)
                    else:
                        _clear(name.lower(), put, removed)
            case "more_clear_headers":
                for word in _words(directive, words):
                    _clear(_cleared(word), put, removed)
            case "add_header":
                name, value, everywhere = _added(words)
                if value:
                    (always if everywhere else added).append((name, value))
            case _:
                raise OtherDirectiveError(others(text))
    return Decorations(tuple(put.values()), tuple(removed), tuple(added), tuple(always))


def together(outer: Decorations, inner: Decorations) -> Decorations:
    """What a host's and a route's decorations come to, as nginx has it: lines of ``more_*`` add up, the route's last;
    of ``add_header``, the route's alone hold if it has any."""
    put = {name.lower(): (name, value) for name, value in outer.put}
    removed = dict.fromkeys(outer.removed)
    for name in inner.removed:
        _clear(name, put, removed)
    put |= {name.lower(): (name, value) for name, value in inner.put}
    of = inner if inner.added or inner.always else outer
    return Decorations(tuple(put.values()), tuple(removed), of.added, of.always)


def names_in(decorations: Decorations) -> tuple[str, ...]:
    """The headers that are spoken of, each once, sorted."""
    named = [name for name, _ in (*decorations.put, *decorations.added, *decorations.always)]
    known = {name.lower() for name in named}
    return tuple(sorted({*named, *(name for name in decorations.removed if name not in known)}))


def _lines(text: str) -> Iterator[tuple[str, list[str]]]:
    """(directive, its words) of each line up to its ``;``, which the last one may lack: nothing of ours follows it."""
    words: list[str] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise _unread(text, words)
        at = found.end()
        match found.lastgroup:
            case "space":
                continue
            case "end":
                if not words:
                    raise OtherDirectiveError(())
                yield words[0], words[1:]
                words = []
            case "bare":
                words.append(found["bare"])
            case kind:
                words.append(_ESCAPED.sub(lambda match: _MEANT.get(match[1], match[1]), found[kind or ""]))
    if words:
        yield words[0], words[1:]


def _unread(text: str, words: list[str]) -> MalformedError:
    """What is said where nginx's configuration goes on in a way that none of the three directives has."""
    found = others(text)
    if not found and words and words[0] in UNDERSTOOD:
        return MalformedError(f"has {words[0]} with quotes, braces or backslashes that are not understood")
    return OtherDirectiveError(found)


def others(text: str) -> tuple[str, ...]:
    """The directives of ``text`` that are not understood, each once, those in blocks too; up to where it cannot be
    read, and no more than MAX_NAMED."""
    found: dict[str, None] = {}
    first, at = True, 0
    while at < len(text) and len(found) < MAX_NAMED:
        token = _ANY_TOKEN.match(text, at)
        if token is None:
            break
        at = token.end()
        if token.lastgroup == "break":
            first = True
        elif token.lastgroup == "word":
            if first and _DIRECTIVE.fullmatch(token[0]) and token[0] not in UNDERSTOOD:
                found[token[0]] = None
            first = False
    return tuple(found)


def _words(directive: str, words: list[str]) -> list[str]:
    if not words:
        raise MalformedError(f"has {directive} without a header")
    option = next((word for word in words if word.startswith("-")), None)
    if option is not None:
        raise MalformedError(f"has {directive} with an option, which is not understood")
    return words


def _halves(word: str) -> tuple[str, str]:
    name, _, value = word.partition(":")
    return name, value.strip(" ")


def _added(words: list[str]) -> tuple[str, str, bool]:
    if len(words) not in (2, 3) or words[2:] not in ([], ["always"]):
        raise MalformedError("has add_header with other words than a name, a value and always")
    name, value = _header("add_header", words[0], words[1])
    return name, value, len(words) == 3


def _header(directive: str, name: str, value: str) -> tuple[str, str]:
    problem = header_problem(name, value or "-")
    if problem:
        raise MalformedError(f"has {directive} with what cannot be a header")
    if name.lower() in _FRAMING:
        raise MalformedError(f"has {directive} for {name}, which says how a message is framed")
    if "$" in value:
        _check_variables(name, value)
    return name, value


def _check_variables(name: str, value: str) -> None:
    try:
        check_template(value)
    except MalformedError as error:
        raise MalformedError(f"has a value of {name} that {error}") from None


def _cleared(word: str) -> str:
    if _CLEARED.fullmatch(word) is None:
        raise MalformedError("has more_clear_headers with what is no name of a header")
    if word.lower() in _FRAMING:
        raise MalformedError(f"has more_clear_headers for {word}, which says how a message is framed")
    return word.lower()


def _clear(name: str, put: dict[str, tuple[str, str]], removed: dict[str, None]) -> None:
    """Take ``name`` (in lower case) out, also of what was put so far."""
    for there in [there for there in put if covers(name, there)]:
        del put[there]
    removed[name] = None


def covers(name: str, header: str) -> bool:
    """Whether ``name``, perhaps with ``*`` at its end, means ``header``; both in lower case."""
    return header.startswith(name[:-1]) if name.endswith("*") else header == name
