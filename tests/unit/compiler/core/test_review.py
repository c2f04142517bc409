"""What admission says of one Ingress: ingress-nginx's words, against what is compiled."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from proto.objects import ConfigMap, Ingress, IngressBackend, key_of
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions
from services.contract.annotations.entry import PREFIX
from tests.support.compiling import CLASS, endpoints, ingress, service

UID = "0b0f7c3e-2f6e-4a64-9d3a-5f8d6f9f0c11"


def compiler(*present: Ingress, configmap: dict[str, str] | None = None, **flags: Any) -> Compiler:
    """A compiler that has compiled ``present``."""
    made = Compiler(CompileOptions(configmap="limen/settings", **flags))
    settings = ConfigMap("limen", "settings", configmap or {})
    for value in (CLASS, service(), endpoints("10.1.0.1"), settings, *present):
        made.change(key_of(value), value)
    made.compile()
    return made


def annotated(name: str, host: str = "", path: str = "/", **annotations: str) -> Ingress:
    """An Ingress with annotations; ``_`` in their names stands for ``-``."""
    words = {PREFIX + key.replace("_", "-"): value for key, value in annotations.items()}
    return replace(ingress(name, host=host, path=path), annotations=words)


def test_what_is_good_passes_without_a_word() -> None:
    reviewed = compiler().review(replace(ingress("web"), uid=UID))
    assert (reviewed.refusal, reviewed.warnings) == ("", ())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (ingress("x", path="/a(b)"), "ingress contains invalid paths: path /a(b) cannot be used with pathType Prefix"),
        (ingress("x", path="/a$", path_type="Exact"), "ingress contains invalid paths: path /a$ cannot be used with "
         "pathType Exact"),
        (annotated("x", server_snippet="return 200;"), f"{PREFIX}server-snippet annotation cannot be used. Snippet "
         "directives are disabled by the Ingress administrator"),
        (ingress("x", path="/etc/passwd"), "invalid object: spec.rules[0].http.paths[0].path has the invalid value "
         "/etc/passwd"),
        (replace(ingress("x"), uid="{};"), "invalid object: metadata.uid {}; is no UUID"),
    ],
)  # fmt: skip
def test_refusals(changed: Ingress, message: str) -> None:
    assert compiler().review(changed).refusal.startswith(message)


def test_a_refusal_does_not_speak_of_versions_that_are_stored() -> None:
    refusal = compiler().review(replace(ingress("x"), rules=ingress("x", host="no host!").rules)).refusal
    assert refusal == "The host is not a DNS name. Write a name such as example.com or *.example.com."


def test_all_paths_that_their_type_may_not_have_are_named() -> None:
    (rule,) = ingress("x", path="/a(b)").rules
    both = replace(ingress("x"), rules=(rule, *ingress("x", path="/c d").rules))
    assert compiler().review(both).refusal == (
        "ingress contains invalid paths: path /a(b) cannot be used with pathType Prefix\n"
        "path /c d cannot be used with pathType Prefix"
    )


def test_paths_are_a_warning_where_the_configmap_is_not_strict() -> None:
    lax = compiler(configmap={"strict-validate-path-type": "false"})
    reviewed = lax.review(ingress("x", path="/a(b)"))
    assert reviewed.refusal == ""
    assert reviewed.warnings[0] == "path /a(b) cannot be used with pathType Prefix"


def test_any_path_goes_with_implementation_specific() -> None:
    reviewed = compiler().review(ingress("x", path="/a(b)", path_type="ImplementationSpecific"))
    assert (reviewed.refusal, reviewed.warnings) == ("", ())


def test_words_that_the_administrator_does_not_allow() -> None:
    strict = compiler(configmap={"annotation-value-word-blocklist": "secret,evil"})
    name = f"{PREFIX}rewrite-target"
    assert strict.review(annotated("x", rewrite_target="/evil")).refusal == (
        f"{name} annotation contains invalid word evil"
    )
    other = replace(ingress("x"), annotations={"example.com/note": "evil"})
    assert strict.review(other).refusal == ""


def test_risk_above_what_is_allowed_is_refused() -> None:
    careful = compiler(configmap={"annotations-risk-level": "Low"})
    assert "risk" in careful.review(annotated("x", rewrite_target="/x")).refusal


def test_a_default_backend_where_none_may_be() -> None:
    closed = compiler(disable_catch_all=True)
    everything = replace(ingress("x"), default_backend=IngressBackend("web", port_number=80))
    assert closed.review(everything).refusal.startswith("This deployment is trying to create a catch-all ingress")


@pytest.mark.parametrize(
    ("flags", "changed"),
    [
        ({}, replace(ingress("x", path="/a(b)"), class_name="other")),
        ({}, replace(ingress("x", path="/a(b)"), class_name=None)),
        ({"watch_namespace": "elsewhere"}, ingress("x", path="/a(b)")),
    ],
)
def test_what_is_not_ours_passes(flags: dict[str, Any], changed: Ingress) -> None:
    assert compiler(**flags).review(changed).refusal == ""


# --- overlap ----------------------------------------------------------------------------------------------------------

TAKEN = 'host "shop.example" and path "/" is already defined in ingress default/first'


def test_a_host_and_path_of_another_is_refused_whatever_the_type() -> None:
    there = compiler(ingress("first", host="shop.example"))
    assert there.review(ingress("second", host="shop.example")).refusal == TAKEN
    assert there.review(ingress("second", host="SHOP.example", path_type="Exact")).refusal == TAKEN
    assert there.review(ingress("second", host="shop.example", path="/other")).refusal == ""
    assert there.review(ingress("second", host="other.example")).refusal == ""


def test_rules_without_a_host_overlap_too() -> None:
    anybody = replace(ingress("first"), rules=(replace(ingress("first").rules[0], host=""),))
    there = compiler(anybody)
    refusal = there.review(replace(anybody, name="second")).refusal
    assert refusal == 'host "_" and path "/" is already defined in ingress default/first'


def test_what_an_ingress_had_before_is_not_new() -> None:
    first, second = ingress("first", host="shop.example"), ingress("second", host="shop.example")
    there = compiler(first, second)
    assert there.review(replace(second, annotations={"note": "changed"})).refusal == ""
    assert there.review(replace(first, annotations={"note": "changed"})).refusal == ""


@pytest.mark.parametrize(
    ("standing", "coming", "refused"),
    [
        (None, "true", False),
        ("true", None, False),
        (None, "false", False),
        ("false", None, False),
        ("false", "false", False),
        ("true", "true", True),
        (None, None, True),
    ],
)
def test_canaries_overlap_with_what_they_are_the_canary_of(
    standing: str | None, coming: str | None, refused: bool
) -> None:
    def made(name: str, canary: str | None) -> Ingress:
        return annotated(name, "shop.example", **({} if canary is None else {"canary": canary}))

    reviewed = compiler(made("first", standing)).review(made("second", coming))
    assert bool(reviewed.refusal) is refused


# --- warnings ---------------------------------------------------------------------------------------------------------


def test_deprecated_annotations_are_warned_of() -> None:
    reviewed = compiler().review(annotated("x", secure_verify_ca_secret="ca", influxdb_port="1"))
    assert reviewed.warnings[:2] == (
        f"annotation {PREFIX}influxdb-port is deprecated",
        f"annotation {PREFIX}secure-verify-ca-secret is deprecated",
    )


def test_what_falls_to_its_default_is_warned_of() -> None:
    (warning,) = compiler().review(annotated("x", use_regex="yes")).warnings
    assert warning.startswith(f"The value of {PREFIX}use-regex")


def test_warnings_show_what_compiling_the_host_finds() -> None:
    lax = compiler(configmap={"strict-validate-path-type": "false"})
    broken = annotated("x", path="/a(b", use_regex="true")
    assert any("pattern" in warning for warning in lax.review(broken).warnings)


def test_a_review_changes_nothing() -> None:
    there = compiler(ingress("first", host="shop.example"))
    digest, findings = there.digest, dict(there.diagnostics)
    there.review(ingress("second", host="shop.example", path="/more"))
    there.review(annotated("first", "shop.example", app_root="/x"))
    assert there.compile().upserts == ()
    assert (there.digest, dict(there.diagnostics)) == (digest, findings)


def test_a_review_among_many_looks_at_its_own_hosts_alone() -> None:
    many = compiler(*(ingress(f"app-{number}") for number in range(1000)))
    before = dict(many.table)
    coming = [ingress(f"new-{number}", host=f"app-{number}.example.com", path="/new") for number in range(50)]
    assert all(many.review(one).refusal == "" for one in coming)
    assert many.table == before, "a review changes nothing"


def test_snippets_are_refused_in_ingress_nginxs_words_until_they_are_switched_on_with_their_risk() -> None:
    decorating = annotated("x", configuration_snippet='more_set_headers "A: 1";')
    name = f"{PREFIX}configuration-snippet"
    assert "disabled by the Ingress administrator" in compiler().review(decorating).refusal
    allowed = {"allow-snippet-annotations": "true"}
    risky = compiler(configmap=allowed).review(decorating).refusal
    assert risky == f"{name} has risk critical, and only high is allowed"
    critical = allowed | {"annotations-risk-level": "Critical"}
    assert compiler(configmap=critical).review(decorating).refusal == ""
    refused = compiler(configmap=critical).review(annotated("x", configuration_snippet="deny all;")).refusal
    assert refused.startswith(f"{name} annotation cannot be used. It has the directive deny;")
    other = compiler(configmap=critical).review(annotated("x", auth_snippet='more_set_headers "A: 1";')).refusal
    assert other.startswith(f"{PREFIX}auth-snippet annotation cannot be used.")
