"""How a finding is worded: shortened, without secrets, and with what happens now."""

from __future__ import annotations

import pytest

from proto.objects import ObjectKey
from services.contract.annotations.read import read_annotations
from services.contract.configmap.read import read_configmap
from services.contract.diagnostics import MAX_VALUE, finding, rejects
from tests.support.objects import ingress

KEY = ObjectKey("ingress", "shop", "web")


def test_long_values_are_shortened() -> None:
    assert len(finding(KEY, "host-invalid", "", "x" * 1000, "m").value) == MAX_VALUE


def test_names_and_passwords_in_addresses_are_left_out() -> None:
    assert finding(KEY, "annotation-invalid", "", "https://me:secret@a.test/x", "m").value == "https://…@a.test/x"
    (found,) = read_annotations(ingress("i", auth_url="http://me:p@ss@a.test/"))[1]
    assert "p@ss" not in str(found)


def test_raw_configuration_is_not_shown() -> None:
    text = 'proxy_set_header Authorization "Basic c2VjcmV0";'
    (found,) = read_annotations(ingress("i", configuration_snippet=text))[1]
    assert "c2VjcmV0" not in str(found)
    (found,) = read_configmap(KEY, {"server-snippet": text}).diagnostics
    assert "c2VjcmV0" not in str(found)


def test_a_rejection_says_what_happens_now() -> None:
    found = finding(KEY, "host-invalid", "f", "v", "The host is not a DNS name.")
    assert found.message.endswith("its last accepted version, if there is one, is served on.")
    assert rejects([found])
    assert not rejects([finding(KEY, "path-conflict", "f", "v", "m")])


def test_only_registered_codes() -> None:
    with pytest.raises(KeyError):
        finding(KEY, "no-such-code", "", "", "")
