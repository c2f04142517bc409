"""HTTP/2 without TLS is spoken as long as the endpoints of some Ingress are called by gRPC."""

from __future__ import annotations

from proto.codec import decode_resource
from proto.resources import Settings
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions
from tests.support.compilers import compiler_with, put, remove
from tests.support.objects import configmap, endpoints, ingress, path, rule, service

OPTIONS = CompileOptions(configmap="ingress-nginx/limen")


def spoken(compiler: Compiler) -> bool:
    compiler.compile()
    found = decode_resource(next(record for record in compiler.records() if record.kind == "settings"))
    assert isinstance(found, Settings)
    return found.http2_in_clear


def test_it_comes_and_goes_with_those_who_are_called() -> None:
    web = ingress("web", rule("web.test", path("/", "web:80")))
    calls = [
        ingress(name, rule(f"{name}.test", path("/", "web:80")), backend_protocol=protocol)
        for name, protocol in (("plain", "GRPC"), ("tls", "GRPCS"))
    ]
    compiler = compiler_with(service("web"), endpoints("web", "10.0.0.1"), web, options=OPTIONS)
    assert not spoken(compiler)
    put(compiler, calls[0])
    assert spoken(compiler)
    put(compiler, calls[1])
    remove(compiler, calls[0])
    assert spoken(compiler)
    put(compiler, configmap("limen", **{"use-http2": "false"}))
    assert not spoken(compiler)
    put(compiler, configmap("limen"))
    assert spoken(compiler)
    remove(compiler, calls[1])
    assert not spoken(compiler)
