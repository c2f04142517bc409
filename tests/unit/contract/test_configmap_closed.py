"""What the ConfigMap says of ModSecurity, and of the addresses at which clients are let in."""

from __future__ import annotations

import pytest

from proto.objects import ObjectKey
from proto.resources import Settings
from services.contract.configmap.read import Reading, read_configmap
from services.edge.core.bound import bound_of

KEY = ObjectKey("configmap", "ns", "controller")
RULES = "modsecurity-snippet"


def read(without_firewall: bool = False, **keys: str) -> Reading:
    data = {name.replace("_", "-"): value for name, value in keys.items()}
    return read_configmap(KEY, data, without_firewall=without_firewall)


def test_a_firewall_that_only_writes_down_closes_nothing_and_is_missed_aloud() -> None:
    reading = read(enable_modsecurity="true", enable_owasp_modsecurity_crs="true")
    assert reading.controller.guarded == ()
    assert [(found.code, found.severity) for found in reading.diagnostics] == [("configmap-refused", "error")] * 2
    assert all("Limen has no ModSecurity" in found.message for found in reading.diagnostics)


@pytest.mark.parametrize(
    ("rules", "closed"),
    [
        ("SecRuleEngine On", True),
        ("SecRuleEngine DetectionOnly\n  secruleengine   on\n", True),
        ('SecRuleEngine "On"', True),
        ("SecRuleEngine On\nSecRuleEngine DetectionOnly", False),
        ("# SecRuleEngine On", False),
        ("SecAuditLog /dev/stdout", False),
        ("", False),
    ],
)
def test_a_firewall_that_keeps_out_closes_everything(rules: str, closed: bool) -> None:
    reading = read(enable_modsecurity="true", modsecurity_snippet=rules)
    assert reading.controller.guarded == ((RULES,) if closed else ())
    assert ("configmap-denied" in [found.code for found in reading.diagnostics]) is closed
    assert all("Sec" not in found.value for found in reading.diagnostics)
    assert read(modsecurity_snippet=rules).controller.guarded == ()
    assert read(enable_modsecurity="true", modsecurity_snippet=rules, without_firewall=True).controller.guarded == ()


def test_a_secret_in_the_configmap_is_not_shown() -> None:
    (found,) = read(ssl_session_ticket_key="c2VjcmV0IGtleQ==").diagnostics
    assert found.code == "configmap-without-effect"
    assert "c2VjcmV0" not in found.value + found.message


def test_addresses_are_read() -> None:
    reading = read(bind_address="192.0.2.1, [2001:DB8::1],", bind_address_ipv4="192.0.2.2", disable_ipv6_dns="true")
    assert reading.diagnostics == ()
    assert reading.settings.bind_address == ("192.0.2.1", "2001:db8::1")
    assert reading.settings.disable_ipv6_dns
    bad = read(bind_address="192.0.2.1,eth0")
    assert bad.controller.guarded == ("bind-address",)


@pytest.mark.parametrize(
    ("settings", "address", "taken"),
    [
        (Settings(bind_address=("192.0.2.1",)), "192.0.2.1", True),
        (Settings(bind_address=("192.0.2.1",)), "::ffff:192.0.2.1", True),
        (Settings(bind_address=("192.0.2.1",)), "192.0.2.2", False),
        (Settings(bind_address=("192.0.2.1",)), "::ffff:192.0.2.2", False),
        (Settings(bind_address=("192.0.2.1",)), "2001:db8::1", True),
        (Settings(bind_address_ipv6=("2001:db8::1",)), "2001:db8::2", False),
        (Settings(bind_address_ipv6=("fe80::1",)), "fe80::1%eth0", True),
        (Settings(disable_ipv6=True), "2001:db8::1", False),
        (Settings(disable_ipv6=True), "::ffff:192.0.2.1", True),
        (Settings(disable_ipv6=True), "192.0.2.1", True),
        (Settings(bind_address=("192.0.2.1",)), "/run/edge.sock", True),
    ],
)
def test_who_is_let_in(settings: Settings, address: str, taken: bool) -> None:
    bound = bound_of(settings)
    assert bound is not None
    assert bound.takes(address) is taken


def test_nothing_is_looked_at_where_every_address_is_as_good() -> None:
    assert bound_of(Settings()) is None
