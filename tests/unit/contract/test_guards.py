"""Annotations and keys that guard: what is read, and that nothing is open where something cannot be."""

from __future__ import annotations

import pytest

from proto.objects import Ingress, ObjectKey
from services.contract.addresses import NoNetworkError, networks
from services.contract.annotations.entry import PREFIX
from services.contract.annotations.read import read_annotations
from services.contract.annotations.settings import AnnotationSettings
from services.contract.configmap.read import read_configmap


def settings_of(**annotations: str) -> tuple[AnnotationSettings, list[str]]:
    named = {PREFIX + name.replace("_", "-"): text for name, text in annotations.items()}
    settings, findings = read_annotations(Ingress("ns", "i", annotations=named))
    return settings, [finding.code for finding in findings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.0/8", ("10.0.0.0/8",)),
        (" 10.1.2.3/8 ,192.168.1.1", ("10.0.0.0/8", "192.168.1.1/32")),
        ("2001:DB8::1, ::/0, ::/0", ("2001:db8::1/128", "::/0")),
    ],
)
def test_lists_of_networks(text: str, expected: tuple[str, ...]) -> None:
    assert networks(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", ",", "10.0.0.0/8,", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/255.0.0.0", "fe80::1%eth0", "010.0.0.1", "10", "all"],
)
def test_a_list_with_a_bad_entry_is_none(text: str) -> None:
    with pytest.raises(NoNetworkError):
        networks(text)


def test_a_bad_list_denies_the_routes() -> None:
    settings, codes = settings_of(whitelist_source_range="10.0.0.0/8, nonsense")
    assert settings.denied
    assert codes == ["annotation-denied"]
    settings, codes = settings_of(denylist_source_range="10.0.0.0/8;")
    assert settings.denied
    assert codes == ["annotation-denied"]


def test_the_new_name_of_the_allow_list_wins() -> None:
    settings, codes = settings_of(whitelist_source_range="10.0.0.0/8", allowlist_source_range="192.0.2.1")
    assert (settings.allowlist_source_range, settings.denylist_source_range) == (("192.0.2.1/32",), None)
    assert not codes


@pytest.mark.parametrize("name", ["block-cidrs", "whitelist-source-range", "denylist-source-range"])
def test_a_bad_global_list_closes_every_route(name: str) -> None:
    key = ObjectKey("configmap", "ns", "controller")
    bad = read_configmap(key, {name: "10.0.0.0/8, nonsense"})
    assert bad.controller.guarded == (name,)
    assert [finding.code for finding in bad.diagnostics] == ["configmap-denied"]
    good = read_configmap(key, {name: "10.0.0.0/8, 192.0.2.1,"})
    assert good.controller.guarded == ()
    assert not good.diagnostics
    assert getattr(good.settings, name.replace("-", "_")) == ("10.0.0.0/8", "192.0.2.1/32")
    assert read_configmap(key, {name: " "}).controller.guarded == ()
