"""Passwords in the compile: whose Secret, where they are asked for, and what follows when a Secret changes."""

from __future__ import annotations

from proto.codec import decode_resource
from proto.objects import Object, Secret, key_of
from proto.policies import BasicAuth, SatisfyAny
from proto.resources import Credentials, ResourceKey, ResourceRecord, Respond, Route, VirtualHost
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions
from tests.support.objects import NGINX, configmap, ingress, path, rule

USERS = Secret("shop", "users", "Opaque", sealed={"auth": b"sealed"})
BY_USER = Secret("shop", "users", "Opaque", sealed={"ann": b"sealed"})
OPTIONS = CompileOptions(configmap="ingress-nginx/settings")


def web(secret: str = "users", **annotations: str) -> Object:
    asked = {"auth_type": "basic", "auth_secret": secret, "auth_realm": "r", **annotations}
    return ingress(
        "web",
        rule("web.test", path("/", "web:80"), path("/.well-known/acme-challenge/x", "web:80")),
        **asked,  # type: ignore[arg-type]
    )


def compiler_with(*objects: Object) -> Compiler:
    compiler = Compiler(OPTIONS)
    for value in (NGINX, configmap("settings"), *objects):
        compiler.change(key_of(value), value)
    compiler.compile()
    return compiler


def change(compiler: Compiler, value: Object, *, gone: bool = False) -> list[str]:
    compiler.change(key_of(value), None if gone else value)
    compiled = compiler.compile()
    return sorted([str(record.key) for record in compiled.upserts] + [f"- {key}" for key in compiled.removals])


def routes(compiler: Compiler) -> dict[str, Route]:
    body = compiler.table[ResourceKey("virtualhost", "web.test")]
    host = decode_resource(ResourceRecord("virtualhost", "web.test", body))
    assert isinstance(host, VirtualHost)
    return {route.path: route for route in host.routes}


def asked_for(route: Route) -> BasicAuth | None:
    return next((policy for policy in route.policies if isinstance(policy, BasicAuth)), None)


def is_closed(compiler: Compiler) -> bool:
    return all(route.action == Respond(503) and not route.policies for route in routes(compiler).values())


def codes(compiler: Compiler) -> list[str]:
    return [found.code for all_of in compiler.diagnostics.values() for found in all_of]


def test_it_is_asked_for_but_where_nobody_is_asked() -> None:
    compiler = compiler_with(USERS, web())
    found = routes(compiler)
    assert asked_for(found["/"]) == BasicAuth("shop/users", "r", by_user=False)
    assert asked_for(found["/.well-known/acme-challenge/x"]) is None
    body = compiler.table[ResourceKey("credentials", "shop/users")]
    held = decode_resource(ResourceRecord("credentials", "shop/users", body))
    assert held == Credentials(sealed_entries={"auth": b"sealed"})


def test_a_secret_that_comes_and_goes_opens_and_closes() -> None:
    compiler = compiler_with(web())
    assert is_closed(compiler)
    assert codes(compiler) == ["passwords-unusable"]
    assert change(compiler, USERS) == ["credentials shop/users", "upstream shop/web:80", "virtualhost web.test"]
    assert asked_for(routes(compiler)["/"])
    assert "passwords-unusable" not in codes(compiler)
    assert change(compiler, Secret("shop", "users", "Opaque", sealed={"auth": b"other"})) == ["credentials shop/users"]
    assert change(compiler, USERS, gone=True) == [
        "- credentials shop/users",
        "- upstream shop/web:80",
        "virtualhost web.test",
    ]
    assert is_closed(compiler)


def test_the_layout_is_the_one_that_is_said() -> None:
    assert is_closed(compiler_with(BY_USER, web()))
    by_user = compiler_with(BY_USER, web(auth_secret_type="auth-map"))
    assert asked_for(routes(by_user)["/"]) == BasicAuth("shop/users", "r", by_user=True)


def test_a_secret_of_another_namespace_needs_leave() -> None:
    theirs = Secret("other", "users", "Opaque", sealed={"auth": b"sealed"})
    assert is_closed(compiler_with(theirs, web("other/users")))
    compiler = compiler_with(theirs, web("other/users"), configmap("settings", allow_cross_namespace_resources="true"))
    asked = asked_for(routes(compiler)["/"])
    assert asked is not None
    assert asked.credentials == "other/users"


def test_half_a_guard_is_none_and_closes() -> None:
    for kind, secret in (("", "users"), ("basic", ""), ("Digest", "users"), ("none", "users"), ("basic", "a b")):
        compiler = compiler_with(USERS, web(secret, auth_type=kind))
        assert is_closed(compiler), (kind, secret)
        assert "annotation-denied" in codes(compiler)


def test_any_guard_is_a_policy_of_the_routes() -> None:
    def has(**annotations: str) -> bool:
        return any(
            isinstance(policy, SatisfyAny) for policy in routes(compiler_with(USERS, web(**annotations)))["/"].policies
        )

    assert has(satisfy="any")
    assert not has(satisfy="all")
    assert not has()
    assert is_closed(compiler_with(USERS, web(satisfy="some")))
