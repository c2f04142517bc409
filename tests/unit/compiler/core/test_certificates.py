"""Which certificate a host shows (contract section 1.8)."""

from __future__ import annotations

import pytest

from proto.objects import Ingress, IngressTLS, Secret
from services.compiler.core.certificates import HostTLS, choose_tls
from services.compiler.core.claims import in_order, judge
from services.contract.configmap.read import Controller
from tests.support.objects import ingress, path, rule, secret

HOST = "web.test"


def choose(*ingresses: Ingress, host: str = HOST, secrets: tuple[Secret, ...] = ()) -> tuple[str, list[str]] | None:
    claims = in_order([claim for entry in ingresses if (claim := judge(entry, Controller()).claim)])
    found = choose_tls(host, claims, {f"{entry.namespace}/{entry.name}": entry for entry in secrets})
    return None if found is None else (found.certificate, [entry.code for entry in found.diagnostics])


def with_tls(*tls: IngressTLS, name: str = "i", created: int = 100) -> Ingress:
    return ingress(name, rule(HOST, path("/", "web:80")), tls=tls, created=created)


def test_no_tls() -> None:
    assert choose(with_tls()) is None


def test_listed_with_a_good_certificate() -> None:
    assert choose(with_tls(IngressTLS(("WEB.test",), "cert")), secrets=(secret("cert", HOST),)) == ("shop/cert", [])


@pytest.mark.parametrize("names", [("*.test",), ("other.test", "web.test")])
def test_names_that_cover(names: tuple[str, ...]) -> None:
    assert choose(with_tls(IngressTLS((HOST,), "c")), secrets=(secret("c", *names),)) == ("shop/c", [])


@pytest.mark.parametrize("names", [("other.test",), ("*.web.test",), ("test",), ("*.x.web.test",)])
def test_names_that_do_not_cover(names: tuple[str, ...]) -> None:
    found = choose(with_tls(IngressTLS((HOST,), "c")), secrets=(secret("c", *names),))
    assert found == ("", ["certificate-mismatch"])


def test_a_missing_secret_still_counts_as_tls() -> None:
    assert choose(with_tls(IngressTLS((HOST,), "cert"))) == ("", ["secret-not-found"])


def test_a_bad_secret_still_counts_as_tls() -> None:
    assert choose(with_tls(IngressTLS((HOST,), "cert")), secrets=(secret("cert"),)) == ("", ["secret-invalid"])


def test_a_secret_that_turned_bad_keeps_its_last_good_pair() -> None:
    good = secret("cert", HOST)
    turned = Secret("shop", "cert", good.type, good.tls, problem="the key does not fit")
    assert choose(with_tls(IngressTLS((HOST,), "cert")), secrets=(turned,)) == ("shop/cert", ["secret-invalid"])


def test_no_secret_name() -> None:
    assert choose(with_tls(IngressTLS((HOST,)))) == ("", [])


def test_the_first_entry_that_lists_the_host_decides() -> None:
    both = with_tls(IngressTLS((HOST,), "one"), IngressTLS((HOST,), "two"))
    assert choose(both, secrets=(secret("one", HOST), secret("two", HOST))) == ("shop/one", [])
    assert choose(both, secrets=(secret("two", HOST),)) == ("", ["secret-not-found"])


def test_an_unlisted_host_takes_any_certificate_that_covers_it() -> None:
    unlisted = with_tls(IngressTLS(("x.test",), "x"), IngressTLS((), "y"))
    secrets = (secret("x", "x.test"), secret("y", "*.test"))
    assert choose(unlisted, secrets=secrets) == ("shop/y", [])
    assert choose(unlisted, secrets=secrets[:1]) == ("", [])


def test_the_oldest_ingress_with_any_tls_decides() -> None:
    old = with_tls(name="old", created=1)
    middle = with_tls(IngressTLS((HOST,), "middle"), name="middle", created=2)
    young = with_tls(IngressTLS((HOST,), "young"), name="young", created=3)
    secrets = (secret("middle", HOST), secret("young", HOST))
    assert choose(young, middle, old, secrets=secrets) == ("shop/middle", [])


def test_a_wildcard_host_needs_its_own_name() -> None:
    found = judge(
        ingress("i", rule("*.web.test", path("/", "web:80")), tls=(IngressTLS(("*.web.test",), "c"),)), Controller()
    )
    assert found.claim is not None
    assert choose_tls("*.web.test", [found.claim], {"shop/c": secret("c", "*.web.test")}) == HostTLS("shop/c")
    mismatch = choose_tls("*.web.test", [found.claim], {"shop/c": secret("c", "a.web.test")})
    assert mismatch is not None
    assert mismatch.certificate == ""
