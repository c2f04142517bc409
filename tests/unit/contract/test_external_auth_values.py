"""How values of ``auth-*`` are read."""

from __future__ import annotations

import pytest

from services.contract.annotations.external import (
    parse_auth_url,
    parse_durations,
    parse_filled,
    parse_method,
    parse_parameter,
    parse_signin,
)
from services.contract.annotations.values import MalformedError


@pytest.mark.parametrize(
    "text",
    [
        "http://auth.example/check",
        "https://$host/oauth2/auth?x=$request_uri",
        "http://oauth2-proxy.ns.svc.cluster.local:4180/oauth2/auth",
        "http://[2001:db8::1]:8080/",
    ],
)
def test_addresses_that_are_asked(text: str) -> None:
    assert parse_auth_url(text) == text


@pytest.mark.parametrize(
    "text",
    ["auth.example", "ftp://a/", "http://", "http:///x", "http://a..b/", "http://a/ b", "http://a/\r\nX: y", "http://a/#x",
     "http://a/$nothing_known", "http://a/$", "http://user@a/", 'http://a/";'],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_auth_url(text)


def test_durations() -> None:
    assert parse_durations("200 202 401 5m") == ("200 300", "202 300", "401 300")
    assert parse_durations("10s") == ("200 10", "301 10", "302 10")
    assert parse_durations("200 1h, any 5s, 200 1m") == ("200 3600", "any 5")
    assert parse_durations("401 1M, 200 1y") == ("401 2592000", "200 31536000")
    for bad in ("", "x 5m", "200 5m,", "200 5q", "20 5m", "200", "200 5", "200 10m; 401 5m"):
        with pytest.raises(MalformedError):
            parse_durations(bad)


def test_the_rest() -> None:
    assert parse_signin("https://$host/oauth2/start?rd=$escaped_request_uri")
    assert parse_filled("$remote_user$http_authorization")
    assert (parse_method("POST"), parse_parameter("rd")) == ("POST", "rd")
    for read, bad in (
        (parse_signin, "a b"),
        (parse_filled, "a\nb"),
        (parse_method, "CONNECT"),
        (parse_parameter, "a&b"),
    ):
        with pytest.raises(MalformedError):
            read(bad)
