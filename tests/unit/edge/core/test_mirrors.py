"""Copies of requests: where they go, and with which head."""

from __future__ import annotations

import pytest

from proto.policies import Mirror
from services.contract.annotations.copies import host_of_target, parse_mirror_host, parse_mirror_target
from services.contract.annotations.values import MalformedError
from services.edge.core.policies.addressed import Place, place_of
from services.edge.core.policies.mirrors import Copied, target_of
from tests.unit.edge.core.test_phases import asked, generation, policed, route

HEAD = (
    b"POST /x?q=1 HTTP/1.1\r\nHost: a.example\r\nX-Real-IP: 192.0.2.7\r\nConnection: upgrade\r\nUpgrade: w\r\n"
    b"Content-Length: 5\r\nCookie: c\r\nX-Request-ID: 1\r\n\r\n"
)


def copied(policy: Mirror, *lines: str, method: str = "POST") -> Copied | None:
    table = generation(route(policy))
    make = policed(table).mirroring
    assert make is not None
    return make(asked(table, "/x?q=1", *lines, method=method), HEAD)


def test_the_copy_is_the_endpoints_request_with_another_line_and_host() -> None:
    copy = copied(Mirror("http://shadow:81/m", "shadow"), "Content-Length: 5")
    assert copy is not None
    assert copy.head == (
        b"POST /m?q=1 HTTP/1.1\r\nHost: shadow\r\nX-Real-IP: 192.0.2.7\r\nCookie: c\r\nX-Request-ID: 1\r\n"
    )
    assert (copy.place.tls, copy.place.name, copy.place.port) == (False, "shadow", 81)
    assert copy.body
    assert not copy.harmless


def test_without_a_body() -> None:
    assert copied(Mirror("http://s", "s", body=False), "Content-Length: 5").body is False  # type: ignore[union-attr]
    assert copied(Mirror("http://s", "s"), method="GET").body is False  # type: ignore[union-attr]


def test_an_address_that_the_request_spoils_gets_none() -> None:
    assert copied(Mirror("http://$arg_nothing/", "s")) is None


def test_a_host_that_comes_to_nothing_is_the_targets() -> None:
    copy = copied(Mirror("http://s:81/", "$arg_nothing"))
    assert copy is not None
    assert b"\r\nHost: s\r\n" in copy.head


@pytest.mark.parametrize(
    ("target", "varies", "wanted"),
    [
        (b"", False, b"/x?q=1"),
        (b"/m", False, b"/m?q=1"),
        (b"/m?a=b", False, b"/m?a=b&q=1"),
        (b"/m", True, b"/m"),
    ],
)
def test_what_the_copy_asks_for(target: bytes, varies: bool, wanted: bytes) -> None:
    assert target_of(target, asked(generation(route()), "/x?q=1"), varies=varies) == wanted


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        (b"http://a", Place(False, b"a", 80, b"")),
        (b"https://a:8443/b?c", Place(True, b"a", 8443, b"/b?c")),
        (b"https://[::1]?c", Place(True, b"[::1]", 443, b"/?c")),
        (b"http://a:0/", None),
        (b"http://a:65536/", None),
        (b"ftp://a/", None),
        (b"http://a/ b", None),
        (b"http://a@b/", None),
    ],
)
def test_addresses_are_read_strictly(address: bytes, wanted: Place | None) -> None:
    assert place_of(address) == wanted


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://a.example:81/x", "a.example"),
        ("https://a.example$request_uri", "a.example"),
        ("https://[::1]:81/", "[::1]"),
        ("https://$host/x", ""),
    ],
)
def test_the_host_is_what_the_target_names(target: str, host: str) -> None:
    assert parse_mirror_target(target) == target
    assert host_of_target(target) == host


@pytest.mark.parametrize("text", ["shadow", "ftp://a/", "http://a;return 200/", "http://a/$nothing_known"])
def test_targets_that_are_none(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_mirror_target(text)


@pytest.mark.parametrize("text", ["a b", "a;b", "a\n", '"a"', "$nothing_known"])
def test_hosts_that_are_none(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_mirror_host(text if text != "a\n" else "a\nb")
