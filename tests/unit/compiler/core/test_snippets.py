"""Snippets that only decorate responses: on which routes they hold, and what a change of the ConfigMap touches."""

from __future__ import annotations

from proto.objects import ConfigMap
from proto.policies import Decorations
from services.compiler.core.options import CompileOptions
from tests.support.compilers import codes, compiler_with, host, put, remove, touched
from tests.support.objects import configmap, ingress, path, rule, service

OPTIONS = CompileOptions(configmap="ingress/controller")
FIRST = ingress(
    "first",
    rule("h.test", path("/", "web:80")),
    created=1,
    configuration_snippet='more_set_headers "X-A: route";',
    server_snippet='more_set_headers "X-A: server" "X-B: server";',
)
SECOND = ingress(
    "second", rule("h.test", path("/two", "web:80")), created=2, server_snippet='more_set_headers "X-C: second";'
)
OTHER = ingress("other", rule("other.test", path("/", "web:80")), created=3)
OFF = configmap("controller", "ingress")
ON = configmap("controller", "ingress", allow_snippet_annotations="true", annotations_risk_level="Critical")


def decorations(compiler: object, name: str = "h.test") -> dict[str, tuple[Decorations, ...]]:
    routes = host(compiler, name).routes  # type: ignore[arg-type]
    return {route.path: tuple(each for each in route.policies if isinstance(each, Decorations)) for route in routes}


def test_the_first_server_snippet_speaks_for_the_host_and_each_route_for_itself() -> None:
    compiler = compiler_with(FIRST, SECOND, OTHER, service("web"), ON, options=OPTIONS)
    compiler.compile()
    assert decorations(compiler) == {
        "/": (Decorations((("X-A", "route"), ("X-B", "server"))),),
        "/two": (Decorations((("X-A", "server"), ("X-B", "server"))),),
    }
    assert decorations(compiler, "other.test") == {"/": ()}
    assert codes(compiler, FIRST) == codes(compiler, SECOND) == []
    remove(compiler, FIRST)
    compiler.compile()
    assert decorations(compiler)["/two"] == (Decorations((("X-C", "second"),)),)


def test_the_configmap_switches_them_on_and_off_and_touches_nobody_else() -> None:
    compiler = compiler_with(FIRST, OTHER, service("web"), OFF, options=OPTIONS)
    compiler.compile()
    assert decorations(compiler) == {"/": ()}
    assert codes(compiler, FIRST) == ["snippet-left-out", "snippet-left-out"]
    put(compiler, ON)
    assert touched(compiler.compile()) == ["virtualhost h.test"]
    assert decorations(compiler)["/"] != ()
    for half in ({"allow-snippet-annotations": "true"}, {"annotations-risk-level": "Critical"}):
        put(compiler, ConfigMap("ingress", "controller", half))
        compiler.compile()
        assert decorations(compiler) == {"/": ()}


def test_a_denied_route_has_none() -> None:
    denied = ingress(
        "first", rule("h.test", path("/", "web:80")), auth_type="basic", server_snippet='more_set_headers "A: 1";'
    )
    compiler = compiler_with(denied, service("web"), ON, options=OPTIONS)
    compiler.compile()
    assert host(compiler, "h.test").routes[0].policies == ()
