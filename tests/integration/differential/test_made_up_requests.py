"""Requests that nobody thought of, to nginx and to an edge: paths, queries, headers and bodies from hypothesis."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.differential.compare import came
from tests.integration.differential.groups import Asked
from tests.integration.differential.sides import Pair, both

_NAMES = {
    "plain": ("order.example", "heads.example"),
    "forwarded": ("told.example", "secure.example"),
    "redirects": ("slash.example", "root.example", "secure.example", "moved.example", "forced.example"),
    "rewrites": ("something.example", "patterns.example", "docs.example", "away.example", "groups.example"),
}
"""Hosts of each group whose configuration knows no request by heart."""

_PIECES = [
    *("foo", "bar", "shop", "something", "id", "123", "v1", "users", "Foo", "BAR", "files", "a.png", "only", "plain"),
    *("/", "/", "/", "//", ".", "..", "/./", "/../", "%2F", "%2f", "%2E", "%41", "%20", "%25", "%3F", "%23", "%C3%BC"),
    *("%0A", "%00", "%", "%zz", "+", "&", "=", ";", ",", ":", "@", "!", "$1", "*", "'", "(", ")", "~", "-", "_", "\\"),
    *('"', "<", ">", "^", "`", "{", "|", "}", "[", "]"),
]
_paths = st.lists(st.sampled_from(_PIECES), max_size=9).map(lambda pieces: "/" + "".join(pieces))
_queries = st.one_of(
    st.just(""), st.lists(st.sampled_from([*_PIECES, "?"]), max_size=6).map(lambda pieces: "?" + "".join(pieces))
)
_letters = "abcdefghijklmnopqrstuvwxyz"
_own = st.text(_letters + _letters.upper() + "0123456789-_", min_size=1, max_size=12).map(lambda name: f"Q{name}")
_KNOWN = (
    "Accept Accept-Encoding Authorization Cache-Control Cookie Content-Type If-Match Origin Pragma Priority Proxy "
    "Range Referer User-Agent Via X-Code X-Forwarded-Scheme X-Original-Forwarded-For X-Original-URI X-Real-IP "
    "X-Request-ID X-Requested-With X-Scheme x-real-ip x_real_ip"
)
_known = st.sampled_from(_KNOWN.split())
_values = st.text([chr(code) for code in range(0x20, 0x7F)], min_size=1, max_size=20).filter(str.strip)
_addresses = ["1.2.3.4", "10.1.1.1", "2001:db8::1", "127.0.0.1", "1.2.3.4:5", "[2001:db8::1]:80", "unknown", "junk"]
_chains = st.lists(st.sampled_from(_addresses), min_size=1, max_size=4)
_forwarded = st.one_of(
    st.tuples(st.just("X-Forwarded-For"), st.one_of(_chains.map(", ".join), _chains.map(",".join))),
    st.tuples(st.just("X-Forwarded-Host"), st.sampled_from(["o.example", "O.example:81", "o.example, p.example"])),
    st.tuples(st.just("X-Forwarded-Proto"), st.sampled_from(["http", "https", "https,http", "ftp"])),
    st.tuples(st.just("X-Forwarded-Port"), st.sampled_from(["80", "443", "8080"])),
)
"""What forwarders say; the edge takes words that make no sense for none, which is said to be a difference."""
_lines = st.lists(
    st.one_of(_forwarded, st.tuples(st.one_of(_known, _own), _values)),
    max_size=4,
    unique_by=lambda line: line[0].lower().replace("_", "-"),
).map(lambda lines: tuple(map(": ".join, lines)))
"""Each name once: of many nginx refuses a second line, which is said to be a difference."""
_methods = st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"])
_bodies = st.sampled_from([(0, False), (0, False), (3, False), (3, True), (1500, True)])
_asked = st.builds(
    lambda method, path, query, lines, body: Asked(f"{method} {path}{query}", lines, size=body[0], chunked=body[1]),
    _methods,
    _paths,
    _queries,
    _lines,
    _bodies,
)


class Running:
    """Both sides of a group, for tests that are no coroutines."""

    def __init__(self, name: str, folder: Path) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self.pair: Pair = self._runner.run(self._enter(name, folder))

    async def _enter(self, name: str, folder: Path) -> Pair:
        return await self._stack.enter_async_context(both(name, folder))

    def differing(self, host: str, asked: Asked) -> list[str]:
        return self._runner.run(self._differing(host, asked))

    async def _differing(self, host: str, asked: Asked) -> list[str]:
        theirs = came(*await self.pair.ask(self.pair.nginx, host, asked))
        ours = came(*await self.pair.ask(self.pair.edge, host, asked))
        return theirs.differences(ours)

    def close(self) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()


@pytest.mark.parametrize("name", _NAMES)
def test_made_up_requests_have_the_same_answers(name: str, tmp_path: Path) -> None:
    running = Running(name, tmp_path)

    @settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(_NAMES[name]), _asked)
    def same(host: str, asked: Asked) -> None:
        assert running.differing(host, asked) == []

    try:
        same()
    finally:
        running.close()
