"""Regular expressions: which engine runs what, bounded time, and reasons for what is refused.

That results agree with PCRE is shown beside a real nginx in tests/integration/matching.
"""

from __future__ import annotations

import time

import pytest

from services.contract import regex
from tests.support.patterns import HOSTILE_PATTERNS, REAL_PATTERNS


@pytest.mark.parametrize("pattern", REAL_PATTERNS)
def test_patterns_from_the_field_compile(pattern: str) -> None:
    regex.compile("^" + pattern)


@pytest.mark.parametrize(
    ("pattern", "engine"),
    [
        ("^/a(/|$)(.*)", "re2"),
        ("^/(?i)x[[:alpha:]]\\h", "re2"),
        ("^/(?<name>x)", "re2"),
        ("^/(?!a)", "regex"),
        ("^/(?<!a)b", "regex"),
        ("^/(?>a)", "regex"),
        ("^/a++", "regex"),
        ("^/(a)\\1", "regex"),
        ("^/a{2000}", "regex"),
        ("^/[\\w-]{1,255}$", "re2"),
        ("^/(.*?a){900}x$", "regex"),
    ],
)
def test_re2_runs_what_it_can(pattern: str, engine: str) -> None:
    assert regex.compile(pattern).engine == engine


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("/(a", "not closed"),
        ("/a)", "without its opening one"),
        ("/[a", "not closed"),
        ("*", "nothing to repeat"),
        ("/a**", "repeat of a repeat"),
        ("/a{3,1}", "out of range"),
        ("/a{70000}", "out of range"),
        ("/((a{1000}){1000}){1000}", "too large"),
        ("/(?R)", "not supported"),
        ("/(?(1)a|b)", "not supported"),
        ("/(?x)a b", "inline flag 'x'"),
        ("(*UTF8)/a", "verbs"),
        ("/\\p{L}", "not supported"),
        ("/\\y", "not supported"),
        ("/\\", "backslash"),
        ("/[z-a]", "backwards"),
        ("/[[:wrong:]]", "no class"),
        ("/(?<a>x)(?<a>y)", "two groups"),
        ("/(?<1a>x)", "no name"),
        ("/\\2(a)", "no group 2"),
        ("/\\k<n>", "no group 'n'"),
        ("/\\x{100}", "no byte"),
        ("/a\0", "NUL"),
        ("(" * 300 + ")" * 300, "nested too deeply"),
        ("/" + "a" * 9000, "longer than"),
    ],
)
def test_the_reason_is_told(pattern: str, reason: str) -> None:
    with pytest.raises(regex.RegexError, match=reason):
        regex.compile(pattern)


@pytest.mark.parametrize(("pattern", "subject"), HOSTILE_PATTERNS)
def test_hostile_patterns_are_bounded(pattern: str, subject: bytes) -> None:
    compiled = regex.compile("^" + pattern)
    started = time.process_time()
    try:
        compiled.search(subject)
    except regex.RegexTimeoutError:
        assert compiled.engine == "regex"
    assert time.process_time() - started < 4 * regex.TIME_LIMIT


def test_literal_beginnings_are_known() -> None:
    compiled = regex.compile("^/Foo(/|$)(.*)")
    assert (compiled.prefix, compiled.prefix_only) == (b"/foo", False)
    compiled = regex.compile("^/Foo.bar")
    assert (compiled.prefix, compiled.prefix_only) == (b"/foo", False)
    compiled = regex.compile("^/Foo/")
    assert (compiled.prefix, compiled.prefix_only) == (b"/foo/", True)
    for pattern in ("/foo", "^/foo|/bar", "^(?:/foo)"):
        assert regex.compile(pattern).prefix == b""
    for pattern in ("^/foo?", "^/foo*", "^/foo{2}"):
        assert regex.compile(pattern).prefix == b"/fo"


def test_captures() -> None:
    compiled = regex.compile("/(?<tenant>[a-z]+)(/x)?")
    assert (compiled.groups, dict(compiled.names)) == (2, {"tenant": 1})
    assert compiled.search(b"/acme") == (b"/acme", b"acme", b"")
    assert compiled.search(b"") is None


def test_case_counts_where_it_is_asked_for() -> None:
    assert regex.compile("^Foo$", ignore_case=False).matches(b"Foo")
    assert not regex.compile("^Foo$", ignore_case=False).matches(b"foo")
