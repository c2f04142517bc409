"""``rewrite-target``: the path an upstream sees instead of the client's, or a redirect (contract section 1.4).

Owns the meaning of a target (captures, variables, arguments, absolute URLs) as nginx's ``rewrite "(?i)<path>" <target>
break`` gives it. Must not know routes, requests or connections: whoever applies it says what variables stand for.

The pattern is searched anywhere in the decoded path and only selects captures: the whole path becomes the target.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from services.contract import regex
from services.contract.paths import as_bytes_text, escape_argument, escape_path
from services.contract.variables.registry import known
from services.contract.variables.template import Variable

_REDIRECTS: Final = ("http://", "https://", "$scheme")
_REFERENCE: Final = re.compile(r"\$(?:([1-9])|\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+))?")
_REDIRECT_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_LOCATION_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f-\xff]")

Part = str | int | Variable
"""A piece of a target: literal text, the number of a capture, or a variable."""
Values = Callable[[str], str]
"""What a variable (its name without ``$``, in lower case) stands for; a byte is a character."""


class RewriteError(ValueError):
    """A target or pattern that cannot be used; the message says why, for a diagnostic."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """Forward with ``target`` (path and query, escaped) in the request line."""

    target: bytes


@dataclass(frozen=True, slots=True)
class Redirected:
    """Answer ``status`` with ``location``."""

    location: bytes
    status: int = 302


@dataclass(frozen=True, slots=True)
class CannotRewrite:
    """Answer 500, as nginx does when the rewritten path is empty; ``reason`` is for the log."""

    reason: str


Outcome = Rewritten | Redirected | CannotRewrite | None
"""None: the pattern was not found, the request goes on as it came."""


def no_value(_name: str) -> str:
    """What variables stand for where nobody can say it."""
    return ""


class Rewriter:
    """A compiled rewrite; ``apply`` is all there is to it. ``variables``: those that it asks for. Immutable."""

    __slots__ = ("_arguments", "_keeps_query", "_path", "_pattern", "_redirects", "variables")

    def __init__(self, pattern: str, target: str) -> None:
        """Raises ``regex.RegexError`` for the pattern and RewriteError for the target."""
        self._pattern = regex.compile(pattern)
        text = as_bytes_text(target)
        self._redirects = text.startswith(_REDIRECTS)
        self._keeps_query = not text.endswith("?")
        text = text if self._keeps_query else text[:-1]
        if not text:
            raise RewriteError("the rewrite target is empty")
        path, mark, arguments = text.partition("?")
        names = self._pattern.names
        self._path = _parts(path, names)
        self._arguments = _parts(arguments, names) if mark else None
        self.variables = _variables((*self._path, *(self._arguments or ())))

    def apply(self, path: str, query: bytes, *, escaped: bool, values: Values = no_value) -> Outcome:
        """Rewrite a decoded ``path`` with its raw ``query`` (empty: none). Raises ``regex.RegexTimeoutError``.

        ``escaped``: the path as the client sent it held ``%`` or ``+``; only then does nginx escape captures again in
        queries and redirects (in paths it always does).
        """
        captures = self._pattern.search(path.encode("latin-1"))
        if captures is None:
            return None
        if self._redirects:
            return self._redirect(captures, query, escaped, values)
        rewritten = _filled(self._path, captures, values, quote=False)
        if not rewritten:
            return CannotRewrite("the rewritten path is empty")
        if not rewritten.startswith("/"):
            rewritten = f"/{rewritten}"
        arguments = query if self._keeps_query else b""
        if self._arguments is not None:
            own = _escape_rest(_filled(self._arguments, captures, values, quote=escaped))
            arguments = own + b"&" + arguments if arguments else own
        target = escape_path(rewritten)
        return Rewritten(target + b"?" + arguments if arguments else target)

    def _redirect(self, captures: tuple[bytes, ...], query: bytes, escaped: bool, values: Values) -> Redirected:
        location = _filled(self._path, captures, values, quote=escaped)
        if self._arguments is not None:
            location = f"{location}?{_filled(self._arguments, captures, values, quote=escaped)}"
        encoded = _escape_rest(_unescaped(location))
        if self._keeps_query and query:
            encoded += (b"&" if self._arguments is not None else b"?") + query
        return Redirected(encoded)


class Captured:
    """Text with groups of a pattern and variables filled in; ``fill`` is all there is to it. ``variables``: those that
    it asks for. Immutable."""

    __slots__ = ("_parts", "_pattern", "variables")

    def __init__(self, pattern: str, text: str) -> None:
        """Raises ``regex.RegexError`` for the pattern and RewriteError for the text."""
        self._pattern = regex.compile(pattern)
        self._parts = _parts(as_bytes_text(text), self._pattern.names)
        self.variables = _variables(self._parts)

    def fill(self, path: str, values: Values = no_value) -> bytes:
        """The text for a decoded ``path``; groups that it has not are empty. Raises ``regex.RegexTimeoutError``."""
        captures = self._pattern.search(path.encode("latin-1")) or ()
        return _filled(self._parts, captures, values, quote=False).encode("latin-1")


def _variables(parts: tuple[Part, ...]) -> frozenset[str]:
    return frozenset(part.name for part in parts if isinstance(part, Variable))


def _parts(text: str, names: regex.Names) -> tuple[Part, ...]:
    parts: list[Part] = []
    end = 0
    for match in _REFERENCE.finditer(text):
        parts.append(text[end : match.start()])
        end = match.end()
        parts.append(_reference(match, names))
    parts.append(text[end:])
    return tuple(part for part in parts if part != "")


def _reference(match: re.Match[str], names: regex.Names) -> int | Variable:
    """A capture of the path, else a variable (nginx: named captures are variables, and hide others)."""
    if match[1]:
        return int(match[1])
    name = match[2] or match[3]
    if name is None:
        raise RewriteError("a $ in the rewrite target that names nothing")
    number = names.get(name)
    if number is not None:
        return number
    if known(name.lower()) is None:
        raise RewriteError(f"the rewrite target names ${name}, which is no capture of the path and no variable")
    return Variable(name.lower())


def _filled(parts: tuple[Part, ...], captures: tuple[bytes, ...], values: Values, *, quote: bool) -> str:
    """``quote``: captures are escaped; variables never are (nginx)."""
    texts = []
    for part in parts:
        if isinstance(part, int):
            texts.append(_captured(captures, part, quote))
        else:
            texts.append(part if isinstance(part, str) else values(part.name))
    return "".join(texts)


def _captured(captures: tuple[bytes, ...], number: int, quote: bool) -> str:
    if number >= len(captures):
        return ""
    text = captures[number].decode("latin-1")
    return escape_argument(text) if quote else text


def _unescaped(location: str) -> str:
    """What nginx undoes before it sends a redirect: escapes of printable characters above ``%``, up to the first
    ``?``, be it escaped (then it is undone too, and ends this) or not."""
    head, mark, rest = location.partition("?")
    before, escaped_mark, after = head.partition("%3F")
    before = _REDIRECT_ESCAPE.sub(_unescape_one, before)
    return f"{before}?{after}{mark}{rest}" if escaped_mark else f"{before}{mark}{rest}"


def _unescape_one(match: re.Match[str]) -> str:
    char = chr(int(match[1], 16))
    return char if "%" < char < "\x7f" else match[0]


def _escape_rest(text: str) -> bytes:
    """Escape what may never stand in a request line or header, whatever else is left as it is."""
    return _LOCATION_UNSAFE.sub(lambda match: f"%{ord(match[0]):02X}", text).encode("latin-1")
