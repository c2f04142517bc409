"""From Ingresses to the one that takes a request, against a slow model of what ingress-nginx writes and nginx reads.

The model is written from the rules (contract sections 1.3 to 1.6) with nothing of the code: it writes out each host's
locations as text and tries them one after the other, with Python's own ``re``. Its paths hold no byte that the two
spell differently.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proto.objects import IngressPath, Object, key_of
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions
from services.contract.hosts import host_key
from services.contract.matching import SlashRedirect
from services.contract.paths import normalise
from services.edge.core.generation import Generation
from services.edge.core.plan import Forward, rewrite
from tests.support.objects import NGINX, backend, configmap, endpoints, ingress, rule, service


@dataclass(frozen=True)
class Taken:
    """Which Service takes a request, and with which path; or where it is sent (``location``)."""

    service: str = ""
    path: str = ""
    location: str = ""


NOBODY = Taken()


@dataclass(frozen=True)
class Path:
    kind: str
    text: str
    service: str


@dataclass(frozen=True)
class Owner:
    """An Ingress: ``name`` and ``created`` say who is first."""

    name: str
    created: int
    host: str
    use_regex: bool
    target: str
    paths: tuple[Path, ...]


# --- the model ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Location:
    path: str
    exact: bool
    service: str
    use_regex: bool
    target: str

    @property
    def rewrites(self) -> bool:
        return self.target not in ("", self.path)


def server_of(owners: list[Owner], host: str) -> str | None:
    """The rule's host that answers: the name itself, the wildcard over its first label, the catch-all."""
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    name = name.lower().rstrip(".")
    hosts = {owner.host for owner in owners}
    if name in hosts:
        return name
    for wildcard in sorted(each for each in hosts if each.startswith("*.")):
        if re.fullmatch(r"[\w-]+" + re.escape(wildcard[1:]), name, re.ASCII):
            return wildcard
    return "" if "" in hosts else None


def in_order(owners: list[Owner]) -> list[Owner]:
    """The oldest first; of two equally old ones the greater name."""
    return sorted(sorted(owners, key=lambda owner: owner.name, reverse=True), key=lambda owner: owner.created)


def locations_of(owners: list[Owner], host: str) -> list[Location]:
    """A host's locations as they are found, then sorted as the template gets them."""
    mine = [owner for owner in in_order(owners) if owner.host == host]
    found: list[Location] = []
    for owner in mine:
        for path in owner.paths:
            one = Location(path.text or "/", path.kind == "Exact", path.service, owner.use_regex, owner.target)
            if not any((other.path, other.exact) == (one.path, one.exact) for other in found):
                found.append(one)
    # every host has a root from the beginning, which whoever declares it takes over where it stands
    first = mine[0]
    root = Location("/", False, "", first.use_regex, first.target) if host else Location("/", False, "", False, "")
    declared = [one for one in found if (one.path, one.exact) == ("/", False)]
    found = [*(declared or [root]), *(one for one in found if one not in declared)]
    found.sort(key=lambda one: one.path, reverse=True)
    found.sort(key=lambda one: len(one.path), reverse=True)
    return found


def written(locations: list[Location]) -> list[tuple[str, Location]]:
    """``= /foo``, ``/foo/`` or ``~* ^/foo`` with what stands in each, in the order of the file."""
    patterns = any(one.use_regex or one.rewrites for one in locations)
    exact = {one.path for one in locations if one.exact}
    lines: list[tuple[str, Location]] = []
    for one in locations:
        if one.exact:
            spelled = [("=", one.path)]
        elif one.path == "/" or one.use_regex or one.rewrites:
            spelled = [("", one.path)]
        else:
            spelled = [("", one.path if one.path.endswith("/") else f"{one.path}/")]
            spelled += [] if one.path.endswith("/") or one.path in exact else [("=", one.path)]
        lines += [(f"~* ^{text}" if patterns else f"{sign} {text}".strip(), one) for sign, text in spelled]
    return lines


def chosen(lines: list[tuple[str, Location]], path: str) -> Location | str | None:
    """The location that nginx takes; text: it redirects there."""
    if lines[0][0].startswith("~*"):
        return next((one for text, one in lines if re.search(text[3:], path, re.IGNORECASE)), None)
    named = [one for text, one in lines if text == f"= {path}"]
    if named:
        return named[0]
    literal = {text for text, one in lines if one.path == text and not one.exact}
    if path + "/" in literal:
        return path + "/"
    beginnings = [(text, one) for text, one in lines if not text.startswith("=") and path.startswith(text)]
    longest = max((text for text, _ in beginnings), key=len, default="")
    of_longest = [one for text, one in beginnings if text == longest]
    # nginx would not start with two of the same text: the one that is spelled so counts, else the first
    return next((one for one in of_longest if one.path == longest), of_longest[0] if of_longest else None)


def rewritten(one: Location, path: str) -> str:
    found = re.search(one.path, path, re.IGNORECASE) if one.rewrites else None
    if found is None:
        return path
    return re.sub(r"\$(\d)", lambda group: capture(found, int(group[1])), one.target)


def capture(found: re.Match[str], number: int) -> str:
    return (found[number] or "") if number <= found.re.groups else ""


def model(owners: list[Owner], host: str, path: str) -> Taken:
    server = server_of(owners, host)
    if server is None:
        return NOBODY
    one = chosen(written(locations_of(owners, server)), path)
    if isinstance(one, str):
        return Taken(location=one)
    if one is None or not one.service:
        return NOBODY
    return Taken(one.service, rewritten(one, path))


# --- the code -----------------------------------------------------------------------------------------------------


def generation_of(owners: list[Owner]) -> Generation:
    objects: list[Object] = [NGINX, configmap("settings", "limen", strict_validate_path_type="false")]
    for owner in owners:
        paths = tuple(IngressPath(path.text, path.kind, backend(f"{path.service}:80")) for path in owner.paths)
        words: dict[str, Any] = {"use_regex": "true"} if owner.use_regex else {}
        words |= {"rewrite_target": owner.target} if owner.target else {}
        objects.append(ingress(owner.name, rule(owner.host, *paths), created=owner.created, **words))
        for path in owner.paths:
            objects += [service(path.service), endpoints(path.service, "10.0.0.1")]
    compiler = Compiler(CompileOptions(configmap="limen/settings"))
    for value in objects:
        compiler.change(key_of(value), value)
    compiler.compile()
    return Generation.first(compiler.records(), 1, 1, compiler.digest)


def taken(generation: Generation, host: str, path: str) -> Taken:
    key = host_key(host.encode())
    assert key is not None
    found = generation.host(key).routes.find(path)
    if isinstance(found, SlashRedirect):
        return Taken(location=found.location)
    if found is None or not isinstance(found.action, Forward):
        return NOBODY
    target = b"" if found.rewrite is None else rewrite(found, found.rewrite, path, path.encode(), -1)
    assert isinstance(target, bytes)
    name = found.action.upstream.partition("/")[2].partition(":")[0]
    return Taken(name, (target or path.encode()).decode())


# --- both ---------------------------------------------------------------------------------------------------------

PATHS = ["", "/", "/foo", "/foo/", "/Foo", "/foo/bar", "/foo/bar/", "/fo", "/bar", "/f"]
PATTERNS = ["/foo(/|$)(.*)", "/f(o+)", "/(foo|bar)/([a-z]+)$", "/[a-z]+/bar", "/bar$", "/(.*)", "/foo/(.+)", "/x?y"]
TARGETS = ["", "", "", "/", "/$1", "/$2", "/new/$1/$2", "/fixed"]
HOSTS = ["a.test", "a.test", "b.test", "*.test", "x.a.test", ""]
ASKED_HOSTS = [
    "a.test",
    "A.Test",
    "a.test:8080",
    "a.test.",
    "b.test",
    "c.test",
    "x.a.test",
    "y.a.test",
    "test",
    "other",
]
ASKED_PATHS = st.lists(
    st.sampled_from(["/", "/", "foo", "Foo", "fo", "f", "bar", "BAR", "xy", "new", "o"]), max_size=6
).map(lambda pieces: normalise(("/" + "".join(pieces)).encode()) or "/")

kinds = st.sampled_from(["Exact", "Prefix", "Prefix", "ImplementationSpecific"])
texts = st.one_of(st.sampled_from(PATHS), st.sampled_from(PATTERNS))


@st.composite
def owners_of(draw: st.DrawFn) -> list[Owner]:
    owners = []
    count = 0
    for number in range(draw(st.integers(1, 4))):
        paths = []
        for kind, text in draw(st.lists(st.tuples(kinds, texts), min_size=1, max_size=4)):
            paths.append(Path(kind, text, f"s{count}"))
            count += 1
        name, created = f"i{number}", draw(st.sampled_from([1, 2]))
        use_regex, target = draw(st.sampled_from([False, False, True])), draw(st.sampled_from(TARGETS))
        owners.append(Owner(name, created, draw(st.sampled_from(HOSTS)), use_regex, target, tuple(paths)))
    return owners


@settings(max_examples=150, deadline=None)
@given(owners_of(), st.lists(st.tuples(st.sampled_from(ASKED_HOSTS), ASKED_PATHS), min_size=1, max_size=8))
def test_requests_are_taken_by_whom_the_slow_model_says(owners: list[Owner], asked: list[tuple[str, str]]) -> None:
    generation = generation_of(owners)
    for host, path in asked:
        assert taken(generation, host, path) == model(owners, host, path), (host, path)
