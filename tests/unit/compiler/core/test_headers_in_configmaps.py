"""Headers in ConfigMaps that others name: what changes of either touch, and who answers 503."""

from __future__ import annotations

from proto.codec import decode_resource
from proto.objects import ConfigMap
from proto.policies import CustomHeaders, ExternalAuth
from proto.resources import SETTINGS_NAME, Forward, ResourceKey, ResourceRecord, Respond, Settings
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions
from tests.support.compilers import OTHER, codes, compiler_with, host, put, remove, touched
from tests.support.objects import configmap, ingress, path, rule, service

OPTIONS = CompileOptions(configmap="ingress/controller")
WEB = ingress("web", rule("web.test", path("/", "web:80")), custom_headers="headers")
HEADERS = ConfigMap("shop", "headers", {"X-A": "1"})
LIFETIMES = ((200, 300), (202, 300), (401, 300))


def allowing(*names: str, **more: str) -> ConfigMap:
    return configmap("controller", "ingress", global_allowed_response_headers=",".join(names), **more)


def settings(compiler: Compiler) -> Settings:
    body = compiler.table[ResourceKey("settings", SETTINGS_NAME)]
    found = decode_resource(ResourceRecord("settings", SETTINGS_NAME, body))
    assert isinstance(found, Settings)
    return found


def test_routes_follow_the_configmap_that_their_ingress_names() -> None:
    compiler = compiler_with(WEB, OTHER, service("web"), service("other"), allowing("x-a"), options=OPTIONS)
    compiler.compile()
    assert host(compiler, "web.test").routes[0].action == Respond(503)
    assert codes(compiler, WEB) == ["custom-headers-unusable"]
    put(compiler, HEADERS)
    assert touched(compiler.compile()) == ["upstream shop/web:80", "virtualhost web.test"]
    assert host(compiler, "web.test").routes[0].policies == (CustomHeaders((("X-A", "1"),)),)
    assert codes(compiler, WEB) == []
    put(compiler, ConfigMap("shop", "headers", {"X-A": "1", "X-B": "2"}))
    compiler.compile()
    assert host(compiler, "web.test").routes[0].action == Respond(503)
    put(compiler, allowing("X-A", "X-B"))
    compiler.compile()
    assert isinstance(host(compiler, "web.test").routes[0].action, Forward)
    remove(compiler, HEADERS)
    compiler.compile()
    assert host(compiler, "web.test").routes[0].action == Respond(503)
    remove(compiler, WEB)
    put(compiler, HEADERS)
    compiler.compile()


def test_settings_follow_the_configmaps_that_the_controllers_names() -> None:
    named = allowing(add_headers="shop/headers", proxy_set_headers="told")
    compiler = compiler_with(named, options=OPTIONS)
    compiler.compile()
    assert settings(compiler).add_headers == ()
    put(compiler, HEADERS)
    put(compiler, ConfigMap("ingress", "told", {"X-T": "$host", "X-Gone": ""}))
    assert touched(compiler.compile()) == ["settings global"]
    assert settings(compiler).add_headers == (("X-A", "1"),)
    assert settings(compiler).proxy_set_headers == (("X-Gone", ""), ("X-T", "$host"))
    remove(compiler, HEADERS)
    compiler.compile()
    assert settings(compiler).add_headers == ()


def test_the_server_that_is_asked_for_all_is_told_what_the_configmap_says() -> None:
    plain = ingress("plain", rule("plain.test", path("/", "web:80")))
    asking = configmap(
        "controller", "ingress", global_auth_url="http://a/check", global_auth_proxy_set_headers="shop/told"
    )
    compiler = compiler_with(plain, service("web"), asking, options=OPTIONS)
    compiler.compile()
    assert host(compiler, "plain.test").routes[0].action == Respond(503)
    put(compiler, ConfigMap("shop", "told", {"X-Shop": "$host", "X-A": "1"}))
    compiler.compile()
    (policy,) = host(compiler, "plain.test").routes[0].policies
    assert policy == ExternalAuth("http://a/check", headers=(("X-A", "1"), ("X-Shop", "$host")), lifetimes=LIFETIMES)
    put(compiler, ConfigMap("shop", "told", {"X-Shop": "$no_such_variable"}))
    compiler.compile()
    assert host(compiler, "plain.test").routes[0].action == Respond(503)
    put(compiler, configmap("controller", "ingress", global_auth_url="http://a/check"))
    compiler.compile()
    (policy,) = host(compiler, "plain.test").routes[0].policies
    assert policy == ExternalAuth("http://a/check", lifetimes=LIFETIMES)
    put(compiler, configmap("controller", "ingress", global_auth_proxy_set_headers="shop/told"))
    compiler.compile()
    assert host(compiler, "plain.test").routes[0].policies == ()
