"""Further names of hosts in one generation: which of them a Host is, in nginx's order of server names.

Exact names, the longest ``*.…``, the longest ``….*``, then patterns by the name of their host (contract section 1.5).
Immutable from outside. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from proto.codec import decode_resource
from proto.resources import Alias, ResourceRecord
from services.contract import regex


class Named(Struct, frozen=True):
    """An Alias with its name. ``pattern``: of those that begin with ``~``."""

    name: str
    alias: Alias
    pattern: regex.Pattern | None = None


class Aliases:
    """All aliases by name; false if there are none."""

    __slots__ = ("_by_name", "_patterns")

    def __init__(self, by_name: Mapping[str, Named]) -> None:
        self._by_name = by_name
        patterns = [named for named in by_name.values() if named.pattern is not None]
        self._patterns = sorted(patterns, key=lambda named: (named.alias.host, named.name))

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def get(self, name: str) -> Alias | None:
        """The alias that is called exactly so."""
        named = self._by_name.get(name)
        return None if named is None else named.alias

    def changed(self, changes: Mapping[str, bytes | None]) -> Aliases:
        """These aliases with ``changes`` (None: removed). Raises DecodeError."""
        by_name = dict(self._by_name)
        for name, body in changes.items():
            if body is None:
                by_name.pop(name, None)
            else:
                by_name[name] = _named(name, body)
        return Aliases(by_name)

    def find(self, host: str, wildcard: str | None) -> Named | None:
        """The alias that ``host`` (canonical, and itself no host) is; None: it is none, or its ``wildcard``, a host
        that is there, comes first. A pattern that takes too long is passed over."""
        found = self._by_name.get(host) or self._by_name_in_part(host)
        if found is not None:
            return found
        for named in self._patterns:
            if wildcard is not None and wildcard <= named.alias.host:
                return None
            assert named.pattern is not None
            try:
                if named.pattern.search(host.encode()) is not None:
                    return named
            except regex.RegexTimeoutError:  # somebody's pattern must not decide on others' hosts
                continue
        return None

    def _by_name_in_part(self, host: str) -> Named | None:
        labels = host.split(".")
        for first in range(1, len(labels)):
            found = self._by_name.get("*." + ".".join(labels[first:]))
            if found is not None:
                return found
        for last in range(len(labels) - 1, 0, -1):
            found = self._by_name.get(".".join(labels[:last]) + ".*")
            if found is not None:
                return found
        return None


def _named(name: str, body: bytes) -> Named:
    alias = decode_resource(ResourceRecord("alias", name, body))
    assert isinstance(alias, Alias)
    if not name.startswith("~"):
        return Named(name, alias)
    try:
        return Named(name, alias, regex.compile(name[1:]))
    except regex.RegexError:  # refused by the compiler; a name that nobody has if it comes all the same
        return Named(name, alias)


NONE: Final = Aliases({})
