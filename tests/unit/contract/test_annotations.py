"""Annotations: how values are read, and what a bad, unknown or dangerous one does."""

from __future__ import annotations

import pytest

from services.contract.annotations.entry import PREFIX
from services.contract.annotations.read import AnnotationPolicy, read_annotations
from services.contract.annotations.registry import BY_FULL_NAME, REGISTRY
from services.contract.annotations.settings import NOTHING_SET
from services.contract.annotations.values import (
    MalformedError,
    parse_bool,
    parse_int,
    parse_local_path,
    parse_service_name,
    parse_string,
    parse_target,
)
from services.contract.diagnostics import rejects
from tests.support.objects import ingress


def codes(policy: AnnotationPolicy | None = None, **annotations: str) -> list[str]:
    found = read_annotations(ingress("i", **annotations), policy or AnnotationPolicy())[1]
    return [diagnostic.code for diagnostic in found]


@pytest.mark.parametrize("text", ["1", "t", "T", "true", "TRUE", "True"])
def test_true(text: str) -> None:
    assert parse_bool(text) is True


@pytest.mark.parametrize("text", ["0", "f", "F", "false", "FALSE", "False"])
def test_false(text: str) -> None:
    assert parse_bool(text) is False


@pytest.mark.parametrize("text", ["yes", "on", "tRUE", " true", "true ", "", "2"])
def test_no_boolean(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_bool(text)


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("-5", -5), ("+7", 7), ("007", 7), (str(2**63 - 1), 2**63 - 1)])
def test_whole_numbers(text: str, value: int) -> None:
    assert parse_int(text) == value


@pytest.mark.parametrize("text", ["", " 1", "1s", "1.0", "1_000", "0x10", "٣", str(2**63), "1" * 5000])
def test_no_whole_number(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_int(text)


def test_strings_are_trimmed_line_by_line() -> None:
    assert parse_string("  a \n  b\t") == "a\nb"


@pytest.mark.parametrize("text", ["/", "/$1", "x", "https://example.org/$1", "/~a_b-c.d:e"])
def test_targets(text: str) -> None:
    assert parse_target(text) == text


@pytest.mark.parametrize("text", ["/a{1}", "/a?b=c", "/a b", "/a\n", "/a;b", '/"'])
def test_no_target(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_target(text)


@pytest.mark.parametrize("text", ["console", "https://example.org/", "/a$b", "/a?b", ""])
def test_no_local_path(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_local_path(text)


@pytest.mark.parametrize("text", ["Web", "1web", "web-", "a/b", "a" * 64])
def test_no_service_name(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_service_name(text)


def test_nothing_set_costs_nothing() -> None:
    assert read_annotations(ingress("i")) == (NOTHING_SET, ())


def test_settings_are_typed() -> None:
    settings, found = read_annotations(
        ingress("i", rewrite_target="/$1", use_regex="T", app_root="/x", ssl_redirect="false", default_backend="web")
    )
    assert not found
    assert (settings.rewrite_target, settings.use_regex, settings.app_root) == ("/$1", True, "/x")
    assert (settings.ssl_redirect, settings.force_ssl_redirect, settings.default_backend) == (False, None, "web")


@pytest.mark.parametrize("name", ["use_regex", "ssl_redirect", "force_ssl_redirect", "app_root", "default_backend"])
def test_a_bad_value_falls_to_its_default(name: str) -> None:
    settings, found = read_annotations(ingress("i", **{name: "no good!"}))
    assert settings == NOTHING_SET
    assert [diagnostic.code for diagnostic in found] == ["annotation-invalid"]
    assert found[0].value == "no good!"
    assert found[0].field == f"metadata.annotations[{PREFIX}{name.replace('_', '-')}]"
    assert found[0].remedy


def test_an_empty_value_is_absent() -> None:
    assert codes(use_regex="", auth_type="", limit_rps="") == []


@pytest.mark.parametrize(
    "name",
    [
        "auth_type",
        "auth_url",
        "auth_secret",
        "whitelist_source_range",
        "allowlist_source_range",
        "denylist_source_range",
        "satisfy",
        "enable_modsecurity",
    ],
)
def test_a_guard_denies_the_paths(name: str) -> None:
    value = {"enable_modsecurity": "true"}.get(name, "not understood")
    settings, found = read_annotations(ingress("i", **{name: value}))
    assert settings.denied
    assert not settings.host_denied
    assert [diagnostic.code for diagnostic in found] == ["annotation-denied"]
    assert not rejects(found)


def test_client_certificates_that_cannot_be_asked_for_close_the_host() -> None:
    for bad in ({"auth_tls_secret": "b/ca"}, {"auth_tls_secret": "ca"}, {"auth_tls_match_cn": "CN=("}):
        settings, findings = read_annotations(ingress("i", **{"auth_tls_secret": "shop/ca", **bad}))
        assert settings.clients_denied
        assert {finding.code for finding in findings} == {"annotation-denied"}
    settings, findings = read_annotations(ingress("i", auth_tls_secret="shop/ca", auth_tls_verify_client="maybe"))
    assert settings.auth_tls_secret == "shop/ca"
    assert (settings.auth_tls_verify_client, settings.clients_denied) == ("on", False)
    assert [finding.code for finding in findings] == ["annotation-invalid"]
    settings, findings = read_annotations(ingress("i", auth_tls_verify_client="on"))
    assert [finding.code for finding in findings] == ["annotation-without-effect"]


def test_a_guard_that_says_its_default_guards_nothing() -> None:
    assert codes(enable_modsecurity="false", enable_owasp_core_rules="0") == []


def test_a_firewall_that_is_asked_for_closes_the_paths_unless_a_flag_lets_it_be_passed_over() -> None:
    for name in ("enable_modsecurity", "enable_owasp_core_rules"):
        settings, (found,) = read_annotations(ingress("i", **{name: "true"}))
        assert settings.denied
        assert (found.code, found.severity) == ("annotation-denied", "error")
        assert "Limen has no" in found.message
        assert "firewall" in found.remedy
        settings, (found,) = read_annotations(ingress("i", **{name: "true"}), AnnotationPolicy(without_firewall=True))
        assert not settings.denied
        assert found.code == "annotation-without-effect"
    settings, (found,) = read_annotations(ingress("i", modsecurity_transaction_id="$request_id"))
    assert (settings.denied, found.code) == (False, "annotation-without-effect")


def test_the_canonical_name_wins_over_its_alias() -> None:
    assert codes(whitelist_source_range="nobody", allowlist_source_range="") == ["annotation-denied"]
    assert codes(whitelist_source_range="nobody", allowlist_source_range="10.0.0.0/8") == []
    assert codes(limit_whitelist="nobody", limit_allowlist="10.0.0.0/8") == []


@pytest.mark.parametrize(
    "name", [entry.name for entry in REGISTRY.values() if (entry.state, entry.type) == ("refused", "snippet")]
)
def test_raw_configuration_is_refused_even_where_risk_is_allowed(name: str) -> None:
    lax = AnnotationPolicy(risk_level="critical")
    _, found = read_annotations(ingress("i", **{name.replace("-", "_"): "x"}), lax)
    assert [diagnostic.code for diagnostic in found] == ["annotation-refused"]
    assert rejects(found)


def test_risk() -> None:
    strict = AnnotationPolicy(risk_level="low")
    assert codes(strict, use_regex="true", rewrite_target="/") == ["annotation-risk"]
    assert codes(AnnotationPolicy(risk_level="medium"), use_regex="true", rewrite_target="/") == []


def test_blocked_words() -> None:
    blocking = AnnotationPolicy(blocked_words=("lua",))
    assert codes(blocking, app_root="/lua") == ["annotation-blocked"]


def test_what_has_no_effect_says_so() -> None:
    assert codes(secure_backends="true", made_up="x") == ["annotation-unknown", "annotation-without-effect"]


def test_a_pending_annotation_that_says_its_default_is_not_worth_a_word() -> None:
    assert codes(proxy_body_size="1m", proxy_connect_timeout="5", enable_cors="f", backend_protocol="HTTP") == []


def test_other_prefixes_are_none_of_ours() -> None:
    found = ingress("i")
    found.annotations["example.com/rewrite-target"] = "/"
    assert read_annotations(found) == (NOTHING_SET, ())


def test_a_broken_pattern_of_a_canary_is_named_and_kept() -> None:
    settings, found = read_annotations(ingress("i", canary="true", canary_by_header_pattern="[", canary_weight="10%"))
    assert (settings.canary, settings.canary_by_header_pattern, settings.canary_weight) == (True, "[", 0)
    assert [diagnostic.code for diagnostic in found] == ["annotation-invalid", "annotation-invalid"]


def test_the_registry_is_complete_and_consistent() -> None:
    known = [entry for entry in REGISTRY.values() if entry.state != "without-effect"]
    assert len(known) == 128
    assert len(BY_FULL_NAME) == len(REGISTRY) + 2
    for entry in REGISTRY.values():
        assert entry.doc, entry.name
        assert (entry.risk == "critical") == (entry.type == "snippet"), entry.name
        assert (entry.type in ("switch", "word")) == bool(entry.values), entry.name
        if entry.values and entry.default:
            assert entry.default in entry.values, entry.name
