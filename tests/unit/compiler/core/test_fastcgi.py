"""FastCGI endpoints: what their scripts are told, and who answers 503."""

from __future__ import annotations

from typing import Any

from proto.objects import ConfigMap
from proto.policies import FastCGI
from proto.resources import Forward, Respond
from tests.support.compilers import codes, compiler_with, host, put, remove
from tests.support.objects import ingress, path, rule, service

PHP: dict[str, Any] = {"backend_protocol": "FCGI", "fastcgi_index": "index.php", "fastcgi_params_configmap": "told"}
WEB = ingress("web", rule("web.test", path("/", "web:80")), **PHP)
TOLD = ConfigMap("shop", "told", {"SCRIPT_FILENAME": "/srv$fastcgi_script_name", "H": "$host"})


def test_routes_follow_the_configmap() -> None:
    compiler = compiler_with(WEB, service("web"))
    compiler.compile()
    assert host(compiler, "web.test").routes[0].action == Respond(503)
    assert codes(compiler, WEB) == ["fastcgi-unusable"]
    put(compiler, TOLD)
    compiler.compile()
    (found,) = host(compiler, "web.test").routes
    assert found.policies == (FastCGI("index.php", tuple(sorted(TOLD.data.items()))),)
    assert isinstance(found.action, Forward)
    assert codes(compiler, WEB) == []
    for bad in ({"A B": "x"}, {"A": "$no_such_variable"}, {"A": "x\ny"}):
        put(compiler, ConfigMap("shop", "told", bad))
        compiler.compile()
        assert host(compiler, "web.test").routes[0].action == Respond(503), bad
    remove(compiler, TOLD)
    compiler.compile()
    assert codes(compiler, WEB) == ["fastcgi-unusable"]


def test_without_a_configmap_and_without_fastcgi() -> None:
    bare = ingress("web", rule("web.test", path("/", "web:80")), backend_protocol="FCGI")
    compiler = compiler_with(bare, service("web"))
    compiler.compile()
    assert host(compiler, "web.test").routes[0].policies == (FastCGI(),)
    other = ingress(
        "web", rule("web.test", path("/", "web:80")), fastcgi_index="index.php", fastcgi_params_configmap="no"
    )
    compiler = compiler_with(other, service("web"))
    compiler.compile()
    assert host(compiler, "web.test").routes[0].policies == ()
    assert isinstance(host(compiler, "web.test").routes[0].action, Forward)
