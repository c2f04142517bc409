"""The cookie by which clients stay: its form, and the browsers that misread SameSite=None."""

from __future__ import annotations

import pytest

from proto.policies import Affinity
from services.edge.core.choices import misreads_none, upstream_id
from services.edge.core.policies.balancing import cookie_form

CHROME_60 = b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/60.0.3112.7 Safari/537.36"
CHROME_80 = CHROME_60.replace(b"Chrome/60", b"Chrome/80")
IOS_12 = b"Mozilla/5.0 (iPhone; CPU iPhone OS 12_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1"
MAC_10_14 = b"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_6) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1"
MAC_CHROME = b"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_6) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/90.0"


def line(affinity: Affinity, *, tls: bool = False, browser: bytes = b"") -> bytes:
    return cookie_form(affinity, "/in").line(b"key|id", 0.0, tls=tls, browser=browser)


@pytest.mark.parametrize(
    ("affinity", "tls", "expected"),
    [
        (Affinity(), False, b"INGRESSCOOKIE=key|id; Path=/in; HttpOnly"),
        (Affinity(), True, b"INGRESSCOOKIE=key|id; Path=/in; Secure; HttpOnly"),
        (Affinity("stay", path="/", secure=True), False, b"stay=key|id; Path=/; Secure; HttpOnly"),
        (
            Affinity("stay", domain="a.example", expires=86400, max_age=60, same_site="Lax"),
            False,
            b"stay=key|id; Expires=Fri, 02-Jan-70 00:00:00 GMT; Max-Age=60; Domain=a.example; Path=/in; HttpOnly; "
            b"SameSite=Lax",
        ),
        (Affinity(expires=0), False, b"INGRESSCOOKIE=key|id; Expires=Thu, 01-Jan-70 00:00:00 GMT; Path=/in; HttpOnly"),
    ],
)
def test_its_form(affinity: Affinity, tls: bool, expected: bytes) -> None:
    assert line(affinity, tls=tls) == b"Set-Cookie: " + expected + b"\r\n"


def test_a_path_with_a_line_end_makes_no_second_line() -> None:
    assert cookie_form(Affinity(), "/a\r\nX: y").line(b"k", 0.0, tls=False, browser=b"").count(b"\r\n") == 1


@pytest.mark.parametrize("browser", [CHROME_60, IOS_12, MAC_10_14])
def test_browsers_that_misread_none(browser: bytes) -> None:
    assert misreads_none(browser)
    assert b"SameSite" not in line(Affinity(same_site="None", conditional=True), browser=browser)
    assert b"SameSite=None" in line(Affinity(same_site="None"), browser=browser)
    assert b"SameSite=Strict" in line(Affinity(same_site="Strict", conditional=True), browser=browser)


@pytest.mark.parametrize("browser", [CHROME_80, MAC_CHROME, b"", b"curl/8"])
def test_browsers_that_read_it(browser: bytes) -> None:
    assert b"SameSite=None" in line(Affinity(same_site="None", conditional=True), browser=browser)


def test_the_id_of_an_upstream_is_that_of_ingress_nginx() -> None:
    assert upstream_id(b"default-http-svc-80") == b"5a881deec44117eee2efd3540198e203"
