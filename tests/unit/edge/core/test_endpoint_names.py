"""For which names a certificate is."""

from __future__ import annotations

from typing import Any

import pytest

from services.edge.core.endpoint_names import is_for


def certificate(*names: str, common: str = "common.test", addresses: tuple[str, ...] = ()) -> dict[str, Any]:
    """As ``ssl`` gives it."""
    told = (*(("DNS", name) for name in names), *(("IP Address", address) for address in addresses))
    return {"subject": ((("countryName", "XX"),), (("commonName", common),)), "subjectAltName": told}


@pytest.mark.parametrize(
    ("names", "asked", "good"),
    [
        (("a.test",), "a.test", True),
        (("a.test",), "A.Test", True),
        (("A.TEST",), "a.test", True),
        (("b.test", "a.test"), "a.test", True),
        (("a.test",), "b.a.test", False),
        (("*.a.test",), "b.a.test", True),
        (("*.a.test",), "a.test", False),
        (("*.a.test",), "c.b.a.test", False),
        (("*.test",), "a.test", False),
        (("*",), "a", False),
        (("b*.a.test",), "bc.a.test", False),
        (("a.test",), "common.test", False),
        ((), "common.test", True),
        ((), "other.test", False),
        (("upstream_balancer",), "upstream_balancer", True),
    ],
)
def test_names(names: tuple[str, ...], asked: str, good: bool) -> None:
    assert is_for(certificate(*names), asked) is good


def test_addresses_are_no_names() -> None:
    assert not is_for(certificate("a.test", addresses=("10.0.0.1",)), "10.0.0.1")
    assert not is_for({}, "a.test")
