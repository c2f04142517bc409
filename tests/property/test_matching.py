"""Properties of normalising and matching, against a slow model of nginx's order."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from proto.resources import PathMatch, Respond, Route
from services.contract import regex
from services.contract.hosts import host_key, wildcard_of
from services.contract.matching import SlashRedirect, compile_matcher
from services.contract.paths import escape_path, normalise
from services.contract.rewrite import Redirected, Rewriter, Rewritten

_PIECES = [b"/", b".", b"..", b"a", b"%2e", b"%2F", b"%41", b"%25", b"%", b"%0", b"%00", b"\\", b"\xff", b"%c3"]
raw_paths = st.lists(st.sampled_from(_PIECES), max_size=12).map(lambda pieces: b"/" + b"".join(pieces)) | st.binary(
    max_size=30
).map(lambda tail: b"/" + tail)

texts = st.lists(st.sampled_from(["/", "a", "b", "ab"]), max_size=6).map(lambda pieces: "/" + "".join(pieces))
clean_paths = texts.map(lambda text: normalise(text.encode()) or "/")
matches = st.tuples(st.sampled_from(["exact", "prefix"]), clean_paths)


@given(raw_paths)
def test_normal_forms_hold_no_dot_segments_and_stay_as_they_are(raw: bytes) -> None:
    path = normalise(raw)
    if path is None:
        return
    assert path.startswith("/")
    assert "//" not in path
    assert not {".", ".."} & set(path.split("/"))
    assert "\0" not in path or b"\0" in raw
    if "\0" not in path:
        assert normalise(escape_path(path)) == path


@given(st.binary(max_size=40))
def test_hosts_are_canonical_or_refused(value: bytes) -> None:
    key = host_key(value)
    if key is not None:
        assert key == key.lower()
        assert host_key(key.encode()) == key
        assert wildcard_of(key) != key


def naive(routes: list[Route], path: str) -> object:
    """nginx: the exact location, else its own redirect, else the location with the longest text that begins it."""
    exact = [route for route in routes if route.match == PathMatch("exact", path)]
    exact += [route for route in routes if route.match == PathMatch("prefix", path) and not path.endswith("/")]
    if exact:
        return exact[0]
    redirects = [route for route in routes if route.match == PathMatch("prefix", path + "/")]
    if redirects:
        return ("redirect", redirects[0])
    written = [route for route in routes if route.match.kind == "prefix" and route.match.value.endswith("/")]
    implied = [route for route in routes if route.match.kind == "prefix" and not route.match.value.endswith("/")]
    candidates = [(route.match.value, route) for route in written]
    candidates += [(route.match.value + "/", route) for route in implied]
    longest = max((text for text, _ in candidates if path.startswith(text)), key=len, default=None)
    return next((route for text, route in candidates if text == longest), None)


@given(st.lists(matches, max_size=8), clean_paths)
def test_plain_matching_agrees_with_the_slow_model(wanted: list[tuple[str, str]], path: str) -> None:
    routes = [
        Route(PathMatch(kind, value), Respond(404), path=str(index))  # type: ignore[arg-type]
        for index, (kind, value) in enumerate(wanted)
    ]
    found = compile_matcher(routes, "plain").find(path)
    expected = naive(routes, path)
    if isinstance(found, SlashRedirect):
        assert ("redirect", found.target) == expected
    else:
        assert found is expected


_PATTERN_PIECES = [
    "/",
    "a",
    "B",
    ".",
    "(",
    ")",
    "|",
    "[ab]",
    "*",
    "+",
    "?",
    "$",
    "{2}",
    "\\d",
    "(?:",
    "(?!a)",
    "\u00e9",
]
patterns = st.lists(st.sampled_from(_PATTERN_PIECES), max_size=8).map("".join)


@given(st.lists(patterns, min_size=1, max_size=5), clean_paths)
def test_regex_matching_is_the_first_pattern_that_is_found(sources: list[str], path: str) -> None:
    usable: list[tuple[str, regex.Pattern]] = []
    for source in sources:
        try:
            usable.append((f"^{source}", regex.compile(f"^{source}")))
        except regex.RegexError:
            continue
    routes = [Route(PathMatch("regex", source), Respond(404), path=source) for source, _ in usable]
    found = compile_matcher(routes, "regex").find(path)
    subject = path.encode("latin-1")
    expected = next((source for source, pattern in usable if pattern.search(subject) is not None), None)
    assert (found.path if isinstance(found, Route) else None) == expected


@given(st.text(max_size=30))
def test_any_text_compiles_or_is_refused_with_a_reason(text: str) -> None:
    with contextlib.suppress(regex.RegexError, regex.RegexTimeoutError):
        regex.compile(text).search(b"/some/path")


@given(raw_paths, st.sampled_from(["/$1", "/x?y=$1", "https://new.example/$1", "/$1?"]))
def test_what_a_rewrite_gives_can_stand_in_a_head(raw: bytes, target: str) -> None:
    path = normalise(raw)
    if path is None:
        return
    outcome = Rewriter("/(.*)", target).apply(path, b"", escaped=b"%" in raw)
    value = (
        outcome.target
        if isinstance(outcome, Rewritten)
        else outcome.location
        if isinstance(outcome, Redirected)
        else b""
    )
    assert all(0x20 < byte < 0x7F for byte in value)
