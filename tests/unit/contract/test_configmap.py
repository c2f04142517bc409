"""The ConfigMap: defaults, what is read how, and what a bad or unhonoured key does."""

from __future__ import annotations

from typing import Any

import pytest

from proto.codec import decode, encode
from proto.objects import ObjectKey
from proto.resources import Settings
from services.contract.configmap.external import GlobalAuth
from services.contract.configmap.read import Controller, Reading, read_configmap
from services.contract.configmap.registry import KEYS

KEY = ObjectKey("configmap", "ingress-nginx", "controller")


def read(**data: str) -> Reading:
    return read_configmap(KEY, {name.replace("_", "-"): value for name, value in data.items()})


def test_defaults_written_out_change_nothing() -> None:
    reading = read_configmap(KEY, {name: key.default for name, key in KEYS.items()})
    assert reading == Reading(Settings(), Controller(), ())


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("ssl_redirect", "false", False),
        ("ssl_redirect", "", False),
        ("force_ssl_redirect", "T", True),
        ("http_redirect_code", "307", 307),
        ("hsts_max_age", "60", 60),
        ("hsts_preload", "true", True),
        ("proxy_connect_timeout", "7", 7.0),
        ("keep_alive", "0", 0.0),
        ("keep_alive_requests", "10", 10),
        ("upstream_keepalive_time", "90m", 5400.0),
        ("upstream_keepalive_time", "1h 30m", 5400.0),
        ("upstream_keepalive_connections", "0", 0),
        ("forwarded_for_header", "CF-Connecting-IP", "CF-Connecting-IP"),
        ("proxy_real_ip_cidr", " 10.0.0.0/8 ,192.168.1.1,", ("10.0.0.0/8", "192.168.1.1")),
        ("no_tls_redirect_locations", "/a, /b", ("/a", "/b")),
        ("server_tokens", "true", True),
    ],
)
def test_values(name: str, text: str, value: Any) -> None:
    reading = read(**{name: text})
    assert getattr(reading.settings, name) == value
    assert not reading.diagnostics
    assert decode(encode(reading.settings), Settings) == reading.settings


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ssl_redirect", "yes"),
        ("http_redirect_code", "300"),
        ("http_redirect_code", "permanent"),
        ("proxy_read_timeout", "60s"),
        ("proxy_read_timeout", "-1"),
        ("upstream_keepalive_time", "soon"),
        ("upstream_keepalive_time", ""),
        ("forwarded_for_header", "X Forwarded"),
        ("keep_alive", "99999999999"),
        ("upstream_keepalive_time", "1" * 5000),
        ("upstream_keepalive_time", "1" * 60 + "x"),
    ],
)
def test_a_bad_value_falls_to_its_default(name: str, text: str) -> None:
    reading = read(**{name: text})
    assert reading.settings == Settings()
    (found,) = reading.diagnostics
    assert (found.code, found.object, found.value[:60]) == ("configmap-invalid", KEY, text[:60])
    assert found.field == f"data[{name.replace('_', '-')}]"


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        ("proxy_real_ip_cidr", "10.0.0.0/8, nonsense,2001:db8::/32", ("10.0.0.0/8", "2001:db8::/32")),
        ("proxy_real_ip_cidr", "10.0.0.0/8/8", ()),
        ("custom_http_errors", "503, 200, 404,404", (404, 503)),
        ("hide_headers", "X-A,X B", ("X-A",)),
    ],
)
def test_a_bad_entry_of_a_list_is_passed_over(name: str, text: str, left: tuple[object, ...]) -> None:
    reading = read(**{name: text})
    assert getattr(reading.settings, name) == left
    (found,) = reading.diagnostics
    assert found.code == "configmap-invalid"
    assert "It is passed over." in found.message


def test_a_bad_value_of_a_key_without_a_default_is_taken_for_unset() -> None:
    (found,) = read(worker_shutdown_timeout="5 parsecs").diagnostics
    assert "It is taken for unset." in found.message


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("worker_processes", "4", "configmap-without-effect"),
        ("http_snippet", "x", "configmap-refused"),
        ("enable_modsecurity", "true", "configmap-refused"),
        ("no_such_key", "x", "configmap-unknown"),
        ("global_auth_url", "auth.example", "configmap-denied"),
    ],
)
def test_what_is_not_honoured_says_so(name: str, text: str, code: str) -> None:
    assert [found.code for found in read(**{name: text}).diagnostics] == [code]


def test_guards_reach_the_compiler() -> None:
    controller = read(global_auth_url="auth.example", denylist_source_range="10.0.0.0/8,x").controller
    assert controller.guarded_by_auth == "global-auth-url"
    assert controller.guarded == ("denylist-source-range",)


def test_who_is_asked_for_all() -> None:
    controller = read(global_auth_url="https://auth.example/check", global_auth_response_headers="X-User").controller
    assert (controller.guarded, controller.guarded_by_auth) == ((), "")
    assert controller.global_auth == GlobalAuth("https://auth.example/check", response_headers=("X-User",))
    assert read(global_auth_signin="https://auth.example/start").controller.global_auth is None
    assert read(global_auth_url="http://a", global_auth_method="ASK").controller.guarded_by_auth == "global-auth-method"


def test_an_unknown_risk_is_read_as_the_lowest() -> None:
    assert read(annotations_risk_level="Critical").controller.annotations.risk_level == "critical"
    assert read(annotations_risk_level="whatever").controller.annotations.risk_level == "low"


def test_every_honoured_key_has_its_place_and_words() -> None:
    elsewhere = {
        "allow-snippet-annotations",
        "annotations-risk-level",
        "annotation-value-word-blocklist",
        "strict-validate-path-type",
        "no-auth-locations",
        "allow-cross-namespace-resources",
        "proxy-ssl-location-only",
        "service-upstream",
        "global-allowed-response-headers",
    }
    compiled = {"default_upstream", "default_certificate", "health_path", "sealed_dh_param", "http2_in_clear"}
    fields = set(Settings.__struct_fields__) - compiled
    honoured = {key.name for key in KEYS.values() if key.state == "honoured" and not key.name.startswith("global-auth")}
    assert {name.replace("-", "_") for name in honoured - elsewhere} == fields
    assert all(KEYS[name].doc for name in honoured)
    assert len(KEYS) == 210
