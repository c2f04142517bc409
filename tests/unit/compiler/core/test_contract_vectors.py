"""The contract's test vectors, from objects to the edge's decision: compile, generation, plan."""

from __future__ import annotations

import pytest

from proto.objects import Ingress, IngressTLS, Object, key_of
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions
from services.contract.hosts import host_key
from services.edge.core.generation import Generation
from services.edge.core.plan import Forward, Policed, Question, Redirect, plan
from tests.support.objects import NGINX, configmap, endpoints, ingress, path, rule, secret, service

HOST = "h.test"
TLS = (IngressTLS((HOST,), "cert"),)
SERVICES = ("a", "b", "c")


def generation(*objects: Object, options: CompileOptions | None = None) -> Generation:
    compiler = Compiler(options or CompileOptions())
    standing: list[Object] = [NGINX]
    for name in SERVICES:
        standing += [service(name), endpoints(name, "10.0.0.1")]
    for value in (*standing, *objects):
        compiler.change(key_of(value), value)
    compiled = compiler.compile()
    return Generation.first(compiled.upserts, 1, 1, compiler.digest)


def ask(built: Generation, target: str, host: str = HOST, *, https: bool = False) -> str:
    """``a``, ``a /rewritten``, ``308 location`` or a status."""
    found = built.host(host_key(host.encode()) or "")
    decision = plan(found, target.encode(), Question(host.encode(), https, https), 0)
    if isinstance(decision, Policed):
        decision = decision.action
    match decision:
        case Forward():
            upstream = built.upstream(decision.upstream)
            name = decision.upstream
            if upstream is None or not upstream.endpoints:
                fallback = built.upstream(decision.fallback) if decision.fallback else None
                if fallback is None or not fallback.endpoints:
                    return "503"
                name = decision.fallback
            shown = name.partition("/")[2].partition(":")[0]
            return f"{shown} {decision.target.decode()}" if decision.target else shown
        case Redirect():
            return f"{decision.status} {decision.location.decode()}"
        case _:
            return str(decision.status)


def check(built: Generation, answers: dict[str, str]) -> None:
    assert {target: ask(built, target) for target in answers} == answers


ROUTING: dict[str, tuple[list[Ingress], dict[str, str]]] = {
    "V1 prefix by elements": (
        [ingress("i", rule(HOST, path("/foo", "a:80")))],
        {"/foo": "a", "/foo/": "a", "/foo/bar": "a", "/foobar": "404", "/FOO": "404"},
    ),
    "V2 exact beside prefix": (
        [ingress("i", rule(HOST, path("/foo", "a:80", "Exact"), path("/foo", "b:80")))],
        {"/foo": "a", "/foo/": "b", "/foo/x": "b", "/foobar": "404"},
    ),
    "V3 exact root beside prefix root": (
        [ingress("i", rule(HOST, path("/", "a:80", "Exact"), path("/", "b:80")))],
        {"/": "a", "/bar": "b"},
    ),
    "V4 exact alone": ([ingress("i", rule(HOST, path("/foo", "a:80", "Exact")))], {"/foo": "a", "/foo/": "404"}),
    "V5 prefix with its slash": (
        [ingress("i", rule(HOST, path("/foo/", "a:80")))],
        {"/foo": "301 http://h.test/foo/", "/foo/x": "a"},
    ),
    "V6 pattern with an end": (
        [ingress("i", rule(HOST, path("/id/[0-9]+$", "a:80", "ImplementationSpecific")), use_regex="true")],
        {"/id/1": "a", "/id/aaa": "404", "/id/123a": "404"},
    ),
    "V7 counted repetition": (
        [ingress("i", rule(HOST, path("/id/[0-9]{3}$", "a:80", "ImplementationSpecific")), use_regex="true")],
        {"/id/99": "404", "/id/123": "a", "/id/9999": "404"},
    ),
    "V8 patterns spread over the host": (
        [
            ingress("i", rule(HOST, path("/id/[0-9]+$", "a:80", "ImplementationSpecific")), use_regex="true"),
            ingress("j", rule(HOST, path("/Bar", "b:80", "Exact")), created=200),
        ],
        {"/bar": "b", "/BARbaz": "b"},
    ),
    "V8 without patterns": ([ingress("j", rule(HOST, path("/Bar", "b:80", "Exact")))], {"/bar": "404", "/Bar": "b"}),
    "V9 the documented example": (
        [
            ingress("i", rule(HOST, path("/foo/bar", "a:80"), path("/foo/bar/", "b:80"))),
            ingress(
                "j",
                rule(HOST, path("/foo/bar/(.+)", "c:80", "ImplementationSpecific")),
                created=200,
                rewrite_target="/$1",
            ),
        ],
        {"/foo/bar/1": "c /1", "/foo/bar/": "b", "/foo/bar": "a"},
    ),
    "V10 the documented warning": (
        [
            ingress("i", rule(HOST, path("/foo/bar/bar", "a:80"))),
            ingress("j", rule(HOST, path("/foo/bar/[A-Z0-9]{3}", "b:80", "ImplementationSpecific")), use_regex="true"),
        ],
        {"/foo/bar/bar": "b"},
    ),
    "V11 capture groups": (
        [ingress("i", rule(HOST, path("/something(/|$)(.*)", "a:80", "ImplementationSpecific")), rewrite_target="/$2")],
        {
            "/something": "a /",
            "/something/new?x=1": "a /new?x=1",
            "/SOMETHING/New": "a /New",
            "/somethingelse": "404",
        },
    ),
    "V12 plain rewrite": ([ingress("i", rule(HOST, path("/foo", "a:80")), rewrite_target="/")], {"/foo/a/b": "a /"}),
    "V13 absolute target": (
        [
            ingress(
                "i",
                rule(HOST, path("/(.*)", "a:80", "ImplementationSpecific")),
                tls=TLS,
                rewrite_target="https://n.test/$1",
            )
        ],
        {"/a/b?c=1": "302 https://n.test/a/b?c=1"},
    ),
    "V14 the synthetic root rewrites too": (
        [
            ingress(
                "i",
                rule(HOST, path("/original/(.*)", "a:80", "ImplementationSpecific")),
                rewrite_target="https://n.test/$1",
            )
        ],
        {"/original": "302 https://n.test/", "/original/x": "302 https://n.test/x"},
    ),
    "V39 twins": (
        [ingress("x", rule(HOST, path("/", "a:80"))), ingress("y", rule(HOST, path("/", "b:80")))],
        {"/": "b"},
    ),
    "V21 fallback of a Service without endpoints": (
        [ingress("i", rule(HOST, path("/", "empty:80"), path("/own", "a:80")), default_backend="b")],
        {"/": "b", "/own": "a"},
    ),
    "V21 no endpoints": ([ingress("i", rule(HOST, path("/", "empty:80")))], {"/": "503"}),
    "V22 a guard that is not understood": (
        [ingress("i", rule(HOST, path("/a", "a:80")), auth_type="basic", auth_secret="missing")],
        {"/a": "503", "/zzz": "503"},
    ),
    "V38 the root carries the first one's guard": (
        [
            ingress("a", rule(HOST, path("/a", "a:80")), whitelist_source_range="nobody"),
            ingress("b", rule(HOST, path("/b", "b:80")), created=200),
        ],
        {"/a": "503", "/b": "b", "/zzz": "503"},
    ),
    "V36 a canary alone serves nothing": (
        [
            ingress("m", rule(HOST, path("/", "a:80")), created=200),
            ingress("c", rule(HOST, path("/", "b:80"), path("/only", "b:80")), canary="true"),
        ],
        {"/": "a", "/only": "a"},
    ),
    "V18 app-root": (
        [ingress("i", rule(HOST, path("/", "a:80")), tls=TLS, app_root="/console")],
        {"/": "302 http://h.test/console", "/?x=1": "302 http://h.test/console", "/x": "308 https://h.test/x"},
    ),
    "V15 redirect to https": (
        [ingress("i", rule(HOST, path("/foo", "a:80")), tls=TLS)],
        {"/foo/?a=1": "308 https://h.test/foo/?a=1", "/foo/": "308 https://h.test/foo"},
    ),
    "V16 tls without a secret": (
        [ingress("i", rule(HOST, path("/", "a:80")), tls=(IngressTLS((HOST,)),))],
        {"/x": "308 https://h.test/x"},
    ),
    "ssl-redirect off": (
        [ingress("i", rule(HOST, path("/", "a:80")), tls=TLS, ssl_redirect="false")],
        {"/x": "a"},
    ),
    "V17 force-ssl-redirect without tls": (
        [ingress("i", rule(HOST, path("/", "a:80")), force_ssl_redirect="true")],
        {"/x": "308 https://h.test/x"},
    ),
    "a rule that only names its host": (
        [ingress("i", rule(HOST), force_ssl_redirect="true")],
        {"/x": "308 https://h.test/x"},
    ),
    "empty path": ([ingress("i", rule(HOST, path("", "a:80", "ImplementationSpecific")))], {"/x": "a"}),
    "default backend with rules": (
        [ingress("i", rule(HOST, path("/foo", "a:80")), default="b:80")],
        {"/foo": "a", "/other": "b"},
    ),
}


@pytest.mark.parametrize(("objects", "answers"), ROUTING.values(), ids=ROUTING.keys())
def test_vector(objects: list[Ingress], answers: dict[str, str]) -> None:
    check(generation(*objects), answers)


def test_v15_over_https_forwards() -> None:
    built = generation(ingress("i", rule(HOST, path("/foo", "a:80")), tls=TLS), secret("cert", HOST))
    assert ask(built, "/foo/", https=True) == "a"
    assert ask(built, "/foo", host="H.test:8080") == "308 https://H.test/foo"


def test_v31_unknown_host() -> None:
    built = generation(ingress("i", rule(HOST, path("/", "a:80"))))
    assert ask(built, "/", host="unknown.test") == "404"
    assert ask(built, "/healthz", host="unknown.test") == "200"


def test_v31_catch_all_and_global_default_backend() -> None:
    catch_all = ingress("any", default="b:80", rewrite_target="/ignored")
    mine = ingress("i", rule(HOST, path("/foo", "a:80")))
    assert ask(generation(catch_all), "/x", host="unknown.test") == "b"
    options = CompileOptions(default_backend_service="shop/c")
    built = generation(mine, options=options)
    assert ask(built, "/x", host="unknown.test") == "c"
    assert ask(built, "/x") == "c"
    assert ask(built, "/foo") == "a"


def test_a_default_backend_without_endpoints_leaves_the_built_in_answer() -> None:
    options = CompileOptions(default_backend_service="shop/empty")
    built = generation(ingress("i", rule(HOST, path("/foo", "a:80"))), service("empty"), options=options)
    assert ask(built, "/x") == "404"


def test_v32_wildcards() -> None:
    built = generation(
        ingress("w", rule("*.foo.test", path("/", "a:80"))), ingress("e", rule("a.foo.test", path("/e", "b:80")))
    )
    answers = {"b.foo.test": "a", "a.b.foo.test": "404", "foo.test": "404", "a.foo.test": "404"}
    assert {host: ask(built, "/", host=host) for host in answers} == answers
    assert ask(built, "/e", host="A.Foo.test.") == "b"


def test_v33_a_wildcard_parent_gives_its_certificate_and_the_redirect() -> None:
    built = generation(
        ingress("w", rule("*.foo.test", path("/", "a:80")), tls=(IngressTLS(("*.foo.test",), "cert"),)),
        ingress("e", rule("a.foo.test", path("/", "b:80"))),
        secret("cert", "*.foo.test"),
    )
    assert ask(built, "/x", host="a.foo.test") == "308 https://a.foo.test/x"
    assert built.certificate_for("a.foo.test") == "shop/cert"


def test_the_configmap_sets_the_redirect() -> None:
    options = CompileOptions(configmap="ingress-nginx/controller")
    mine = ingress("i", rule(HOST, path("/", "a:80")))
    forced = configmap("controller", force_ssl_redirect="true", http_redirect_code="301")
    built = generation(mine, forced, options=options)
    assert ask(built, "/x") == "301 https://h.test/x"
    assert ask(built, "/x", host="unknown.test") == "404"
    off = configmap("controller", ssl_redirect="false")
    assert ask(generation(ingress("i", rule(HOST, path("/", "a:80")), tls=TLS), off, options=options), "/x") == "a"
