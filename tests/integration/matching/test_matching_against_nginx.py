"""What a real nginx answers, beside what our matching, normalising and rewriting say."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proto.resources import PathMatch, Respond, Route
from services.contract import regex
from services.contract.matching import SlashRedirect, compile_matcher
from services.contract.paths import normalise
from services.contract.rewrite import Redirected, Rewriter, Rewritten
from tests.support.nginx import Answer, Nginx, nginx, quoted
from tests.support.patterns import CAPTURES_DIFFER, REAL_PATTERNS, TRY_PATHS

ECHO = "server { listen PORT; server_name echo; location / { return 200 $http_x_route|$request_uri; } }"
DEFAULT = "server { listen PORT default_server; server_name _; location / { return 200 $uri; } }"

REWRITES: tuple[tuple[str, str], ...] = (
    ("/something(/|$)(.*)", "/$2"),
    ("/foo", "/"),
    ("/(.*)", "/new/$1?own=$1"),
    ("/(.*)", "/plain?own=1"),
    ("/(.*)", "/dropped/$1?"),
    ("/(.*)", "/ten/$10/$9"),
    ("/(?<tenant>[a-z]+)/(?<rest>.*)", "/$rest/of/${tenant}"),
    ("/(.*)", "https://new.example/$1"),
    ("/(.*)", "https://new.example/$1?x=$1"),
    ("/(.*)", "http://new.example/fixed?"),
    ("/original/(.*)", "https://new.example/$1"),
    ("bar/(.+)", "/unanchored/$1"),
    ("/no-such-path", "/never"),
    ("/caf\u00e9(.*)", "/th\u00e9$1"),
    ("/(.*)", '/q"<>\\^`{|}~/$1'),
)

REWRITE_TARGETS: tuple[bytes, ...] = (
    b"/",
    b"/something",
    b"/something/new?x=1",
    b"/SOMETHING/New%20Thing?a=b&c=d",
    b"/foo/a/b",
    b"/foo?",
    b"/acme/x/y?z",
    b"/original",
    b"/original/x+y?q=%20",
    b"/bar/a%26b%3Fc%23d%25e%2Bf",
    b"/bar/%0d%0aSet-Cookie:%20a=b",
    b"/bar/'\"<>\\^`{|}~;:@!$&()*+,=",
    b"/caf%C3%A9/%FF?%FF",
    b"/x//y/../z",
)


def _pattern_server(number: int, pattern: str) -> str:
    return f"""server {{ listen PORT; server_name p{number};
      location / {{ return 404; }}
      location ~* {quoted("^" + pattern)} {{ return 200 "1|$1|$2|$3|"; }} }}"""


def _rewrite_server(number: int, pattern: str, target: str) -> str:
    return f"""server {{ listen PORT; server_name r{number};
      location / {{ rewrite {quoted("(?i)" + pattern)} {quoted(target)} break;
        proxy_set_header X-Route r; proxy_set_header Host echo; proxy_pass http://127.0.0.1:PORT; }} }}"""


Hosts = list[list[Route]]


def _random_hosts() -> Hosts:
    """Plain hosts with random routes from a small alphabet, so that they overlap; the same every time."""
    chance = random.Random(20260101)
    hosts: Hosts = []
    for _ in range(60):
        matches: dict[PathMatch, None] = {}
        for _ in range(chance.randint(1, 7)):
            path = "/" + "".join(chance.choice(["a", "b", "aa", "/", "/"]) for _ in range(chance.randint(0, 6)))
            while "//" in path:
                path = path.replace("//", "/")
            # nginx redirects to an exact path with a closing slash too; there we keep to the Ingress specification.
            exact = chance.random() < 0.3 and (path == "/" or not path.endswith("/"))
            matches.setdefault(PathMatch("exact" if exact else "prefix", path))
        hosts.append([Route(match, Respond(404), path=str(index)) for index, match in enumerate(matches)])
    return hosts


def _plain_server(number: int, routes: list[Route]) -> str:
    """The locations that ingress-nginx writes for these routes; what it would write twice stands once."""
    locations: dict[str, str] = {}
    for route in routes:
        path = route.match.value
        if route.match.kind == "exact":
            locations[f"= {path}"] = route.path
        elif path.endswith("/"):
            locations[path] = route.path
    for route in routes:
        if route.match.kind == "prefix" and not route.match.value.endswith("/"):
            locations.setdefault(f"= {route.match.value}", route.path)
            locations.setdefault(f"{route.match.value}/", route.path)
    blocks = "".join(
        f"""location {where} {{ proxy_set_header X-Route {route}; proxy_set_header Host echo;
            proxy_pass http://127.0.0.1:PORT; }}"""
        for where, route in locations.items()
    )
    missing = "" if "/" in locations else "location / { return 404; }"
    return f"server {{ listen PORT; server_name h{number}; {blocks} {missing} }}"


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, bytes], Answer]]:
    folder: Path = tmp_path_factory.mktemp("nginx")
    servers = [ECHO, DEFAULT]
    servers += [_pattern_server(number, pattern) for number, pattern in enumerate(REAL_PATTERNS)]
    servers += [_rewrite_server(number, *rewrite) for number, rewrite in enumerate(REWRITES)]
    servers += [_plain_server(number, routes) for number, routes in enumerate(_random_hosts())]
    with nginx(folder, "\n".join(servers)) as port:

        def get(host: str, target: bytes) -> Answer:
            connection = Nginx(port)
            try:
                return connection.get(host, target)
            finally:
                connection.close()

        yield get


def _random_targets() -> list[bytes]:
    chance = random.Random(7)
    pieces = [b"/", b"/", b"//", b".", b"..", b"a", b"%2e", b"%2F", b"%2f", b"%41", b"%", b"%zz", b"%00", b"%25", b"\\"]
    pieces += [b"%c0%ae", b"+", b"%3f", b"%23", b";x", b"\xff", b"...", b"%0a"]
    return [b"/" + b"".join(chance.choices(pieces, k=chance.randint(0, 9))) for _ in range(1500)]


def test_paths_are_normalised_as_nginx_does(ask: Callable[[str, bytes], Answer]) -> None:
    for target in _random_targets():
        answer = ask("_", target)
        ours = normalise(target)
        assert (None if answer.status == 400 else answer.body) == ours, target


@pytest.mark.parametrize(("number", "pattern"), list(enumerate(REAL_PATTERNS)))
def test_patterns_mean_what_pcre_means(number: int, pattern: str, ask: Callable[[str, bytes], Answer]) -> None:
    compiled = regex.compile("^" + pattern)
    matcher = compile_matcher([Route(PathMatch("regex", "^" + pattern), Respond(404))], "regex")
    for target in TRY_PATHS:
        path = normalise(target)
        assert path is not None
        found = compiled.search(path.encode("latin-1"))
        captures = [part.decode("latin-1") for part in ((found or ()) + (b"",) * 4)[1:4]]
        answer = ask(f"p{number}", target)
        assert (answer.status == 200) == (found is not None), target
        assert (answer.status == 200) == (matcher.find(path) is not None), target
        if found is not None and pattern not in CAPTURES_DIFFER:
            assert answer.body == f"1|{'|'.join(captures)}|", target


@pytest.mark.parametrize(("number", "rewrite"), list(enumerate(REWRITES)))
def test_rewrites_give_what_nginx_gives(
    number: int, rewrite: tuple[str, str], ask: Callable[[str, bytes], Answer]
) -> None:
    rewriter = Rewriter(*rewrite)
    for target in REWRITE_TARGETS:
        raw, _, query = target.partition(b"?")
        path = normalise(raw)
        assert path is not None
        outcome = rewriter.apply(path, query, escaped=b"%" in raw or b"+" in raw)
        answer = ask(f"r{number}", target)
        match outcome:
            case None:
                assert answer.body == "r|" + target.decode("latin-1")
            case Rewritten(rewritten):
                assert answer.body == "r|" + rewritten.decode("latin-1"), target
            case Redirected(location, status):
                assert (answer.status, answer.location) == (status, location.decode("latin-1")), target


@pytest.mark.parametrize(("number", "routes"), list(enumerate(_random_hosts())))
def test_plain_hosts_choose_the_location_that_nginx_chooses(
    number: int, routes: list[Route], ask: Callable[[str, bytes], Answer]
) -> None:
    matcher = compile_matcher(routes, "plain")
    chance = random.Random(number)
    values = [route.match.value for route in routes]
    tries = [value + ending for value in values for ending in ("", "/", "a", "/b", "/a/b")]
    tries += ["/" + "".join(chance.choices(["a", "b", "/"], k=chance.randint(0, 7))) for _ in range(20)]
    for text in tries:
        path = normalise(text.encode())
        assert path is not None
        answer = ask(f"h{number}", text.encode())
        match matcher.find(path):
            case None:
                assert answer.status == 404, text
            case SlashRedirect(location=location):
                assert answer.status == 301, text
                assert answer.location.endswith(location), text
            case route:
                assert answer.body.split("|")[0] == route.path, text
