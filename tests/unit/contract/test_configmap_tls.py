"""Keys about TLS with clients: what is read how, and what is said of values that cannot be had."""

from __future__ import annotations

from typing import Any

import pytest

from proto.objects import ObjectKey
from proto.resources import Settings
from services.contract.configmap.read import read_configmap
from services.contract.references import references_of_configmap

KEY = ObjectKey("configmap", "ingress-nginx", "controller")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("ssl-protocols", "TLSv1.3", ("TLSv1.3",)),
        ("ssl-protocols", " TLSv1.3  TLSv1.2 ", ("TLSv1.2", "TLSv1.3")),
        ("ssl-ciphers", "ECDHE-RSA-AES256-GCM-SHA384:!aNULL", "ECDHE-RSA-AES256-GCM-SHA384:!aNULL"),
        ("ssl-ecdh-curve", "secp384r1", "secp384r1"),
        ("ssl-ecdh-curve", "P-256", "prime256v1"),
        ("ssl-dh-param", "ns/dh", "ns/dh"),
        ("ssl-session-cache", "true", True),
        ("ssl-session-cache-size", "512k", 512 * 1024),
        ("ssl-session-cache-size", "20M", 20 * 1024 * 1024),
        ("ssl-session-timeout", "1h", 3600.0),
        ("ssl-session-tickets", "true", True),
        ("ssl-reject-handshake", "true", True),
    ],
)
def test_values(name: str, text: str, value: Any) -> None:
    reading = read_configmap(KEY, {name: text})
    assert getattr(reading.settings, name.replace("-", "_")) == value
    assert reading.diagnostics == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ssl-protocols", "TLSv1 TLSv1.1 TLSv1.2"),
        ("ssl-protocols", ""),
        ("ssl-ciphers", "HIGH; ssl_engine x"),
        ("ssl-ecdh-curve", "X25519:prime256v1"),
        ("ssl-dh-param", "no-namespace"),
        ("ssl-session-cache-size", "much"),
        ("ssl-session-cache-size", "9999m"),
        ("ssl-session-timeout", "soon"),
    ],
)
def test_what_cannot_be_had_is_named_and_the_default_holds(name: str, text: str) -> None:
    reading = read_configmap(KEY, {name: text})
    assert reading.settings == Settings()
    assert [(found.code, found.field) for found in reading.diagnostics] == [("configmap-invalid", f"data[{name}]")]


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("ssl-session-ticket-key", "a2V5", "configmap-without-effect"),
        ("ssl-early-data", "true", "configmap-without-effect"),
        ("ssl-buffer-size", "8k", "configmap-without-effect"),
    ],
)
def test_what_python_cannot_set_is_said(name: str, text: str, code: str) -> None:
    assert [found.code for found in read_configmap(KEY, {name: text}).diagnostics] == [code]


def test_the_secret_of_parameters_may_leave_the_watcher() -> None:
    assert ObjectKey("secret", "ns", "dh") in references_of_configmap({"ssl-dh-param": "ns/dh"}, "ingress-nginx")


def test_sessions_that_are_kept_all_the_same_are_told_of() -> None:
    reading = read_configmap(KEY, {"ssl-session-cache": "false"})
    (found,) = reading.diagnostics
    assert not reading.settings.ssl_session_cache
    assert (found.code, found.severity, found.field) == ("configmap-sessions-kept", "notice", "data[ssl-session-cache]")
    assert "256" in found.message
    assert not read_configmap(KEY, {"ssl-session-cache": "false", "ssl-protocols": "TLSv1.3"}).diagnostics
    assert not read_configmap(KEY, {"ssl-session-cache": "true"}).diagnostics
