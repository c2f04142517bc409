"""Annotations of timeouts and tries -> policies -> what proxying a route means."""

from __future__ import annotations

import pytest

from proto.objects import Ingress
from proto.policies import NextUpstream, Policy, ProxyTimeouts
from proto.resources import Settings
from services.compiler.core.policies import policies_of
from services.contract.annotations.entry import PREFIX
from services.contract.annotations.read import read_annotations
from services.edge.core.proxying import Proxying, proxying_for, proxying_of


def annotated(**values: str) -> tuple[tuple[Policy, ...], list[str]]:
    annotations = {PREFIX + name.replace("_", "-"): text for name, text in values.items()}
    ingress = Ingress("shop", "web", annotations=annotations)
    settings, findings = read_annotations(ingress)
    return policies_of(settings), [finding.code for finding in findings]


def test_an_ingress_that_says_nothing_has_no_policy_and_shares_the_generations_proxying() -> None:
    policies, _ = annotated()
    assert policies == ()
    shared = proxying_of(Settings())
    assert shared == Proxying()
    assert proxying_for(policies, shared, Settings()) is shared


def test_each_annotation_overrules_its_own_setting_alone() -> None:
    policies, codes = annotated(
        proxy_read_timeout="5", proxy_next_upstream="error http_502 http_404", proxy_next_upstream_tries="7"
    )
    assert codes == []
    assert policies == (ProxyTimeouts(read=5.0), NextUpstream(("error", "http_502", "http_404"), 7))
    settings = Settings(proxy_send_timeout=9.0, proxy_next_upstream_timeout=2.0)
    proxying = proxying_for(policies, proxying_of(settings), settings)
    assert (proxying.connect_timeout, proxying.read_timeout, proxying.send_timeout) == (5.0, 5.0, 9.0)
    assert proxying.next_on_error
    assert not proxying.next_on_timeout
    assert proxying.next_on_status == {404, 502}
    assert (proxying.tries, proxying.next_upstream_timeout) == (7, 2.0)


@pytest.mark.parametrize("text", ["error,timeout", "http_501", "never"])
def test_conditions_that_nginx_does_not_know_leave_the_default(text: str) -> None:
    policies, codes = annotated(proxy_next_upstream=text)
    assert policies == ()
    assert codes == ["annotation-invalid"]


@pytest.mark.parametrize("name", ["proxy_connect_timeout", "proxy_next_upstream_tries", "proxy_next_upstream_timeout"])
def test_what_counts_is_not_negative(name: str) -> None:
    assert annotated(**{name: "-1"}) == ((), ["annotation-invalid"])


def test_off_switches_everything_off() -> None:
    policies, _ = annotated(proxy_next_upstream="error off non_idempotent")
    proxying = proxying_for(policies, proxying_of(Settings()), Settings())
    assert not any((proxying.next_on_error, proxying.next_on_timeout, proxying.next_non_idempotent))


def test_the_configmap_lets_every_route_send_again_what_is_not_idempotent() -> None:
    settings = Settings(retry_non_idempotent=True)
    policies, _ = annotated(proxy_next_upstream="timeout")
    assert proxying_of(settings).next_non_idempotent
    assert proxying_for(policies, proxying_of(settings), settings).next_non_idempotent
