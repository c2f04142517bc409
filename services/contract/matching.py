"""Matching: which route of a host answers a path (contract section 1.3, steps 5 to 8).

Owns nginx's two orders: on a plain host exact before the longest prefix by elements; on a host in regex mode the
routes in their order, case-insensitively, first match wins, open at the end. Must not know hosts, policies, actions or
requests. Paths are decoded ones as ``services.contract.paths.normalise`` gives them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, Literal, Protocol, TypeVar

from proto.resources import PathMatch, Route
from services.contract import regex
from services.contract.paths import as_bytes_text, escape_path

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class SlashRedirect(Generic[T]):
    """The path lacks only the closing slash of a Prefix route ``/foo/``: nginx answers 301 before any other phase.

    ``location`` is the escaped path with the slash; the caller puts scheme and host before it, and ``?`` with the
    query after it if that is not empty.
    """

    __slots__ = ("location", "target")

    def __init__(self, target: T, location: str) -> None:
        self.target = target
        self.location = location


class Matcher(Protocol[T_co]):
    """Finds what answers a path. ``find`` raises ``regex.RegexTimeoutError`` (only in regex mode)."""

    def find(self, path: str) -> T_co | SlashRedirect[T_co] | None:
        """The target of the route that wins for the decoded ``path``, or None: 404."""
        ...


def compile_matcher(routes: Sequence[Route], mode: Literal["plain", "regex"]) -> Matcher[Route]:
    """A matcher whose targets are the routes themselves. Raises ``regex.RegexError`` (only in regex mode)."""
    return matcher_of(((route.match, route) for route in routes), mode)


def matcher_of(entries: Iterable[tuple[PathMatch, T]], mode: Literal["plain", "regex"]) -> Matcher[T]:
    """A matcher for (match, target) pairs, in the order of the host's routes. Raises ``regex.RegexError``.

    Where two entries ask for the same, the first wins.
    """
    return PlainMatcher(entries) if mode == "plain" else RegexMatcher(entries)


class PlainMatcher(Generic[T]):
    """Exact paths in one dict, prefixes (with their closing slash) in another; the longest is found by walking up.

    A Prefix ``/foo`` takes ``/foo`` and all below ``/foo/``; a Prefix ``/foo/`` only what is below, and answers
    ``/foo`` with its redirect unless another route names it. Written-out spellings win over implied ones: an Exact
    ``/foo`` over the Prefix, and for what is below ``/foo/`` the Prefix ``/foo/`` over the Prefix ``/foo``.
    """

    __slots__ = ("_below", "_exact", "_longest", "_root")

    def __init__(self, entries: Iterable[tuple[PathMatch, T]]) -> None:
        exact: dict[str, T | SlashRedirect[T]] = {}
        implied_exact: dict[str, T] = {}
        below: dict[str, T] = {}
        implied_below: dict[str, T] = {}
        for match, target in entries:
            value = as_bytes_text(match.value)
            if match.kind == "exact":
                exact.setdefault(value, target)
            elif match.kind == "regex":
                raise regex.RegexError(f"{match.value}: a regular expression on a host without regex mode")
            elif value.endswith("/"):
                below.setdefault(value, target)
            else:
                implied_exact.setdefault(value, target)
                implied_below.setdefault(value + "/", target)
        redirects = {value[:-1]: SlashRedirect(target, escape_path(value).decode()) for value, target in below.items()}
        redirects.pop("", None)
        self._exact = redirects | implied_exact | exact
        self._below = implied_below | below
        self._root = self._below.pop("/", None)
        self._longest = max(map(len, self._below), default=0)

    def find(self, path: str) -> T | SlashRedirect[T] | None:
        """See Matcher. Costs one lookup, and one more for each slash up to the length of the longest prefix."""
        found = self._exact.get(path)
        if found is not None:
            return found
        below = self._below
        end = path.rfind("/", 0, self._longest)
        while end > 0:
            inner = below.get(path[: end + 1])
            if inner is not None:
                return inner
            end = path.rfind("/", 0, end)
        return self._root


class RegexMatcher(Generic[T]):
    """The routes of a host in regex mode, tried in order.

    Nearly every pattern begins with literal text, which is compared first: an engine runs only where that agrees, and
    not at all for patterns that are nothing but literal text. Exact and prefix matches, which ingress-nginx writes as
    regular expressions on such a host, are read as the patterns it makes of them.
    """

    __slots__ = ("_entries",)

    def __init__(self, entries: Iterable[tuple[PathMatch, T]]) -> None:
        compiled: list[tuple[bytes, regex.Pattern | None, T]] = []
        for match, target in entries:
            for source in _sources(match):
                pattern = regex.compile(source)
                compiled.append((pattern.prefix, None if pattern.prefix_only else pattern, target))
        self._entries = tuple(compiled)

    def find(self, path: str) -> T | None:
        """See Matcher."""
        subject = path.encode("latin-1")
        lowered = subject.lower()
        for prefix, pattern, target in self._entries:
            if lowered.startswith(prefix) and (pattern is None or pattern.matches(subject)):
                return target
        return None


def _sources(match: PathMatch) -> tuple[str, ...]:
    if match.kind == "regex":
        return (match.value,)
    if match.kind == "exact" or match.value.endswith("/"):
        return (f"^{match.value}",)
    return (f"^{match.value}/", f"^{match.value}")
