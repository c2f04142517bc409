"""TLS to endpoints in the compile: whose word holds where, and what follows when a Secret changes."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from proto.codec import decode_resource
from proto.objects import Object, Secret, TLSMaterial, key_of
from proto.policies import BackendProtocol, EndpointTLS
from proto.resources import Credentials, ResourceKey, ResourceRecord, Respond, Route, VirtualHost
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions
from tests.support.objects import NGINX, configmap, ingress, path, rule

CA = Secret("shop", "ca", "Opaque", sealed={"ca.crt": b"sealed"})
PAIR = Secret("shop", "ca", "Opaque", tls=TLSMaterial((b"leaf",), (), 0, 1, "ab", b"key"))
VERIFIED: dict[str, Any] = {"backend_protocol": "HTTPS", "proxy_ssl_secret": "shop/ca", "proxy_ssl_verify": "on"}


def web(name: str = "web", at: str = "/", created: int = 100, **annotations: str) -> Object:
    return ingress(name, rule("web.test", path(at, "web:80")), created=created, **annotations)


def compiler_with(*objects: Object, **options: str) -> Compiler:
    compiler = Compiler(CompileOptions(**options))  # type: ignore[arg-type]
    for value in (NGINX, *objects):
        compiler.change(key_of(value), value)
    compiler.compile()
    return compiler


def routes(compiler: Compiler) -> dict[str, Route]:
    body = compiler.table[ResourceKey("virtualhost", "web.test")]
    host = decode_resource(ResourceRecord("virtualhost", "web.test", body))
    assert isinstance(host, VirtualHost)
    return {route.path: route for route in host.routes}


def tls_of(route: Route) -> EndpointTLS | None:
    return next((policy for policy in route.policies if isinstance(policy, EndpointTLS)), None)


def held(compiler: Compiler) -> Credentials | None:
    body = compiler.table.get(ResourceKey("credentials", "shop/ca"))
    if body is None:
        return None
    found = decode_resource(ResourceRecord("credentials", "shop/ca", body))
    assert isinstance(found, Credentials)
    return found


def change(compiler: Compiler, value: Object, *, gone: bool = False) -> set[str]:
    """The resources that a change touches."""
    compiler.change(key_of(value), None if gone else value)
    compiled = compiler.compile()
    return {str(record.key) for record in compiled.upserts} | {f"- {key}" for key in compiled.removals}


def test_the_secret_travels_as_credentials() -> None:
    compiler = compiler_with(CA, web(**VERIFIED))
    assert tls_of(routes(compiler)["/"]) == EndpointTLS("shop/ca", verify=True, protocols=("TLSv1.2",))
    assert held(compiler) == Credentials(sealed_authority=b"sealed")


def test_routes_are_closed_until_the_secret_comes_and_when_it_goes() -> None:
    compiler = compiler_with(web(**VERIFIED))
    assert routes(compiler)["/"].action == Respond(503)
    assert change(compiler, CA) == {"virtualhost web.test", "upstream shop/web:80", "credentials shop/ca"}
    assert routes(compiler)["/"].action != Respond(503)
    gone = {"virtualhost web.test", "- upstream shop/web:80", "- credentials shop/ca"}
    assert change(compiler, CA, gone=True) == gone
    assert routes(compiler)["/"].action == Respond(503)


def test_another_authority_touches_no_host() -> None:
    compiler = compiler_with(CA, web(**VERIFIED))
    assert change(compiler, replace(CA, sealed={"ca.crt": b"another"})) == {"credentials shop/ca"}


def test_what_cannot_be_verified_is_closed() -> None:
    compiler = compiler_with(PAIR, web(**VERIFIED))
    assert routes(compiler)["/"].action == Respond(503)
    assert [found.code for found in compiler.diagnostics[key_of(web())]][:1] == ["endpoint-credentials-unusable"]


def test_without_an_authority_versions_and_ciphers_are_the_usual_ones() -> None:
    annotations = VERIFIED | {"proxy_ssl_verify": "off", "proxy_ssl_ciphers": "HIGH", "proxy_ssl_name": "x"}
    compiler = compiler_with(PAIR, web(**annotations))
    assert tls_of(routes(compiler)["/"]) == EndpointTLS("shop/ca", name="x")


def test_the_first_ingress_speaks_for_those_that_say_nothing() -> None:
    first, second = web(**VERIFIED), web("second", "/second", 200, backend_protocol="GRPCS")
    found = routes(compiler_with(CA, first, second))
    assert tls_of(found["/second"]) == tls_of(found["/"])
    assert BackendProtocol("grpcs") in found["/second"].policies


def test_or_for_its_own_paths_alone() -> None:
    said = configmap("settings", proxy_ssl_location_only="true")
    first, second = web(**VERIFIED), web("second", "/second", 200, backend_protocol="GRPCS")
    found = routes(compiler_with(CA, said, first, second, configmap="ingress-nginx/settings"))
    assert tls_of(found["/"]) is not None
    assert tls_of(found["/second"]) is None


def test_endpoints_in_the_clear_need_no_credentials() -> None:
    compiler = compiler_with(CA, web(**(VERIFIED | {"backend_protocol": "GRPC"})))
    assert tls_of(routes(compiler)["/"]) is None
    assert held(compiler) is None


def test_secrets_of_other_namespaces_may_be_allowed() -> None:
    secret = replace(CA, namespace="bank")
    said = configmap("settings", allow_cross_namespace_resources="true")
    asking = web(**(VERIFIED | {"proxy_ssl_secret": "bank/ca"}))
    assert routes(compiler_with(secret, asking))["/"].action == Respond(503)
    allowed = compiler_with(secret, said, asking, configmap="ingress-nginx/settings")
    assert routes(allowed)["/"].action != Respond(503)
