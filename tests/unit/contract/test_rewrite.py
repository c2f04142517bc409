"""Rewrite targets: the contract's vectors and the edges of what nginx does."""

from __future__ import annotations

import pytest

from services.contract.regex import RegexError
from services.contract.rewrite import CannotRewrite, Outcome, Redirected, RewriteError, Rewriter, Rewritten


def rewritten(pattern: str, target: str, path: str, query: bytes = b"", escaped: bool = False) -> Outcome:
    return Rewriter(pattern, target).apply(path, query, escaped=escaped)


def test_capture_groups() -> None:  # V11
    pattern = "/something(/|$)(.*)"
    assert rewritten(pattern, "/$2", "/something") == Rewritten(b"/")
    assert rewritten(pattern, "/$2", "/something/new", b"x=1") == Rewritten(b"/new?x=1")
    assert rewritten(pattern, "/$2", "/SOMETHING/New") == Rewritten(b"/New")
    assert rewritten(pattern, "/$2", "/somethingelse") is None


def test_the_whole_path_becomes_the_target() -> None:  # V12
    assert rewritten("/foo", "/", "/foo/a/b") == Rewritten(b"/")
    assert rewritten("/foo", "/", "/x/FOO") == Rewritten(b"/")


def test_absolute_targets_redirect() -> None:  # V13, V14
    assert rewritten("/(.*)", "https://N/$1", "/a/b", b"c=1") == Redirected(b"https://N/a/b?c=1")
    assert rewritten("/", "https://N/$1", "/original") == Redirected(b"https://N/")
    assert rewritten("/(.*)", "http://N/$1?a=1", "/x", b"c=1") == Redirected(b"http://N/x?a=1&c=1")


def test_nothing_decoded_gets_into_a_location() -> None:
    outcome = rewritten("/([^~]*)", "https://N/$1", "/a\r\nSet-Cookie: a=b", escaped=True)
    assert outcome == Redirected(b"https://N/a%0D%0ASet-Cookie:%20a=b")
    assert rewritten("/([^~]*)", "/x?$1", "/a\r\nb", escaped=False) == Rewritten(b"/x?a%0D%0Ab")


def test_queries() -> None:
    assert rewritten("/(.*)", "/x?own=$1", "/a b", b"q", escaped=True) == Rewritten(b"/x?own=a%20b&q")
    assert rewritten("/(.*)", "/x?", "/a", b"q") == Rewritten(b"/x")
    assert rewritten("/(.*)", "/x?own=1?", "/a", b"q") == Rewritten(b"/x?own=1")


def test_captures_that_are_not_there_are_empty() -> None:
    assert rewritten("/(a)?b", "/$1-$2-$10", "/b") == Rewritten(b"/--0")


def test_named_captures() -> None:
    assert rewritten("/(?<tenant>[a-z]+)/(.*)", "/$2/${tenant}s/$tenant", "/acme/x") == Rewritten(b"/x/acmes/acme")


def test_variables() -> None:
    rewriter = Rewriter("/x/(?<host>.*)", "/$host/$Request_Method/$1$10?$args")
    assert rewriter.variables == {"request_method", "args"}, "a capture of the path comes first; names have no case"
    values = {"request_method": "GE T", "args": "a=%20"}
    outcome = rewriter.apply("/x/y", b"q", escaped=False, values=values.__getitem__)
    assert outcome == Rewritten(b"/y/GE%20T/yy0?a=%20&q")
    redirect = Rewriter("/", "https://new.example$request_uri")
    values = {"request_uri": "/p/q%20r?a=1\r\nX: y"}
    outcome = redirect.apply("/p/q r", b"a=1", escaped=True, values=values.__getitem__)
    assert outcome == Redirected(b"https://new.example/p/q%20r?a=1%0D%0AX:%20y?a=1")


def test_a_target_without_leading_slash_gets_one() -> None:
    assert rewritten("/x/(.*)", "$1", "/x/y") == Rewritten(b"/y")
    assert isinstance(rewritten("/x/(.*)", "$1", "/x/"), CannotRewrite)


@pytest.mark.parametrize(
    ("target", "reason"), [("/$hoster", "names \\$hoster"), ("/$", "names nothing"), ("?", "empty")]
)
def test_targets_that_cannot_be_used(target: str, reason: str) -> None:
    with pytest.raises(RewriteError, match=reason):
        Rewriter("/(.*)", target)


def test_patterns_that_cannot_be_used() -> None:
    with pytest.raises(RegexError):
        Rewriter("/(", "/")
