"""Matching: the contract's vectors, on routes in the order and form that the compiler gives them."""

from __future__ import annotations

import pytest

from proto.resources import PathMatch, Respond, Route
from services.contract.matching import SlashRedirect, compile_matcher
from services.contract.regex import RegexError


def plain(**routes: tuple[str, str]) -> list[Route]:
    return [Route(PathMatch(kind, value), Respond(404), path=name) for name, (kind, value) in routes.items()]  # type: ignore[arg-type]


def in_order(*patterns: tuple[str, str]) -> list[Route]:
    return [Route(PathMatch("regex", pattern), Respond(404), path=name) for pattern, name in patterns]


def winner(routes: list[Route], path: str) -> str:
    mode = "regex" if any(route.match.kind == "regex" for route in routes) else "plain"
    match compile_matcher(routes, mode).find(path):
        case None:
            return "404"
        case SlashRedirect(location=location):
            return f"301 {location}"
        case route:
            return route.path


@pytest.mark.parametrize(
    ("vector", "routes", "expected"),
    [
        (
            "V1",
            plain(A=("prefix", "/foo")),
            {"/foo": "A", "/foo/": "A", "/foo/bar": "A", "/foobar": "404", "/FOO": "404", "/": "404"},
        ),
        (
            "V2",
            plain(A=("exact", "/foo"), B=("prefix", "/foo")),
            {"/foo": "A", "/foo/": "B", "/foo/x": "B", "/foobar": "404"},
        ),
        ("V3", plain(A=("exact", "/"), B=("prefix", "/")), {"/": "A", "/bar": "B"}),
        ("V4", plain(A=("exact", "/foo")), {"/foo": "A", "/foo/": "404"}),
        ("V5", plain(A=("prefix", "/foo/")), {"/foo": "301 /foo/", "/foo/x": "A", "/foo/": "A", "/fo": "404"}),
        ("V6", in_order(("^/id/[0-9]+$", "A")), {"/id/1": "A", "/id/aaa": "404", "/id/123a": "404"}),
        ("V7", in_order(("^/id/[0-9]{3}$", "A")), {"/id/99": "404", "/id/123": "A", "/id/9999": "404"}),
        ("V8", in_order(("^/id/[0-9]+$", "A"), ("^/Bar", "B")), {"/bar": "B", "/BARbaz": "B", "/id/7": "A"}),
        ("V8 plain", plain(B=("exact", "/Bar")), {"/bar": "404", "/BARbaz": "404", "/Bar": "B"}),
        (
            "V9",
            in_order(
                ("^/foo/bar/(.+)", "3"), ("^/foo/bar/", "2"), ("^/foo/bar/", "1"), ("^/foo/bar", "1"), ("^/", "root")
            ),
            {"/foo/bar/1": "3", "/foo/bar/": "2", "/foo/bar": "1", "/x": "root"},
        ),
        (
            "V10",
            in_order(("^/foo/bar/bar/", "1"), ("^/foo/bar/[A-Z0-9]{3}", "2"), ("^/foo/bar/bar", "1")),
            {"/foo/bar/bar": "2", "/foo/bar/bar/x": "1"},
        ),
        (
            "V11",
            in_order(("^/something(/|$)(.*)", "A")),
            {"/something": "A", "/something/new": "A", "/SOMETHING/New": "A", "/somethingelse": "404"},
        ),
    ],
)
def test_vectors(vector: str, routes: list[Route], expected: dict[str, str]) -> None:
    assert {path: winner(routes, path) for path in expected} == expected


def test_exact_with_closing_slash_does_not_redirect() -> None:
    routes = plain(A=("exact", "/foo/"))
    assert winner(routes, "/foo/") == "A"
    assert winner(routes, "/foo") == "404"
    assert winner([*routes, *plain(root=("prefix", "/"))], "/foo") == "root"


def test_the_redirect_wins_over_a_shorter_prefix_but_not_over_a_named_path() -> None:
    below = plain(below=("prefix", "/foo/"))
    assert winner([*plain(root=("prefix", "/")), *below], "/foo") == "301 /foo/"
    assert winner([*below, *plain(exact=("exact", "/foo"))], "/foo") == "exact"
    assert winner([*below, *plain(prefix=("prefix", "/foo"))], "/foo") == "prefix"


def test_the_spelled_out_prefix_wins_below_it() -> None:
    routes = plain(bare=("prefix", "/foo"), slash=("prefix", "/foo/"))
    for ordered in (routes, routes[::-1]):
        assert winner(ordered, "/foo") == "bare"
        assert winner(ordered, "/foo/x") == "slash"


def test_the_location_of_a_redirect_is_escaped() -> None:
    assert winner(plain(A=("prefix", "/a b/é/")), "/a b/\xc3\xa9") == "301 /a%20b/%C3%A9/"


def test_the_longest_prefix_wins_and_the_first_of_equals() -> None:
    routes = plain(root=("prefix", "/"), a=("prefix", "/a"), b=("prefix", "/a/b"), again=("prefix", "/a/b"))
    assert winner(routes, "/a/b/c/d") == "b"
    assert winner(routes, "/a/bc") == "a"
    assert winner(routes, "/ab") == "root"


def test_non_ascii_paths_match_their_utf8_bytes() -> None:
    assert winner(plain(A=("prefix", "/café")), "/caf\xc3\xa9/x") == "A"
    assert winner(in_order(("^/café", "A")), "/CAF\xc3\xa9s") == "A"
    assert winner(in_order(("^/café", "A")), "/CAF\xc3\x89s") == "404"


def test_in_regex_mode_plain_matches_are_read_as_their_patterns() -> None:
    routes = [*in_order(("^/id/[0-9]+$", "id")), *plain(exact=("exact", "/Bar"), prefix=("prefix", "/foo"))]
    assert winner(routes, "/barbaz") == "exact"
    assert winner(routes, "/FOObar") == "prefix"


def test_a_long_path_of_many_elements_costs_no_more_than_the_longest_prefix() -> None:
    matcher = compile_matcher(plain(A=("prefix", "/a/b"), root=("prefix", "/")), "plain")
    found = matcher.find("/a" * 30_000)
    assert isinstance(found, Route)
    assert found.path == "root"


def test_a_pattern_on_a_plain_host_is_refused() -> None:
    with pytest.raises(RegexError, match="without regex mode"):
        compile_matcher(in_order(("^/a", "A")), "plain")


def test_a_pattern_no_engine_takes_is_refused() -> None:
    with pytest.raises(RegexError, match="not closed"):
        compile_matcher(in_order(("^/a[", "A")), "regex")
