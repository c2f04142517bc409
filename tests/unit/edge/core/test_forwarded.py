"""Who the client is, and whose word is taken for it."""

from __future__ import annotations

from typing import Any

import pytest

from proto.codec import record_of
from proto.resources import Settings
from services.edge.core.forwarded import Told, client_facts, tell, trust_of
from services.edge.core.generation import Generation
from services.edge.core.prepared import prepare
from services.edge.core.request_head import read_headers


def told(settings: Settings, *lines: str, address: str = "10.0.0.9", tls: bool = False) -> Told:
    """What an endpoint is told of a request with these lines."""
    block = "\r\n".join(("", "Host: h.example", *lines, "", "")).encode()
    return tell(client_facts(address, 8080, tls), read_headers(block, 1), trust_of(settings))


def value(said: Told, name: str) -> str:
    """The one value of a header."""
    values = [line.partition(": ")[2] for line in said.lines.decode().split("\r\n") if line.startswith(f"{name}:")]
    assert len(values) <= 1
    return values[0] if values else ""


def test_by_default_nobody_is_believed() -> None:
    said = told(Settings(), "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https", "X-Forwarded-Host: x")
    assert (said.client, said.https, said.authority) == ("10.0.0.9", False, b"h.example")
    assert value(said, "X-Forwarded-For") == value(said, "X-Real-IP") == "10.0.0.9"
    assert value(said, "X-Forwarded-Port") == "8080"
    assert value(told(Settings(), tls=True), "X-Forwarded-Port") == "443"


@pytest.mark.parametrize(
    ("chain", "networks", "client"),
    [
        ("1.1.1.1", ("0.0.0.0/0",), "1.1.1.1"),
        ("1.1.1.1, 2.2.2.2", ("0.0.0.0/0",), "1.1.1.1"),
        ("1.1.1.1, 2.2.2.2, 10.0.0.8", ("10.0.0.0/8",), "2.2.2.2"),
        ("evil, 10.0.0.8", ("10.0.0.0/8",), "10.0.0.8"),
        ("", ("10.0.0.0/8",), "10.0.0.9"),
        ("1.1.1.1", ("192.168.0.0/16", "rubbish"), "10.0.0.9"),
        ("2001:db8::1", ("10.0.0.0/8",), "2001:db8::1"),
    ],
)
def test_the_client_is_the_last_address_that_no_forwarder_has(
    chain: str, networks: tuple[str, ...], client: str
) -> None:
    trusting = Settings(use_forwarded_headers=True, proxy_real_ip_cidr=networks)
    said = told(trusting, *([f"X-Forwarded-For: {chain}"] if chain else []))
    assert said.client == value(said, "X-Real-IP") == value(said, "X-Forwarded-For") == client


def test_trust_in_all_of_ipv4_is_trust_in_everybody_but_for_the_addresses_that_others_tell() -> None:
    lines = ("X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: x", "X-Forwarded-Port: 8443")
    said = told(Settings(use_forwarded_headers=True), *lines, address="2001:db8::9")
    assert (said.client, said.https, said.authority, said.port) == ("2001:db8::9", True, b"x", 8443)
    assert value(said, "X-Forwarded-For") == "2001:db8::9"
    both = Settings(use_forwarded_headers=True, proxy_real_ip_cidr=("0.0.0.0/0", "::/0"))
    assert told(both, *lines, address="2001:db8::9").client == "1.1.1.1"
    some = Settings(use_forwarded_headers=True, proxy_real_ip_cidr=("10.0.0.0/8",))
    assert told(some, *lines, address="2001:db8::9").https is False


@pytest.mark.parametrize(("scheme", "https"), [("http", False), ("HTTP", False), ("HTTPS", True), ("wss", True)])
def test_a_scheme_that_is_not_http_needs_no_redirect(scheme: str, https: bool) -> None:
    said = told(Settings(use_forwarded_headers=True), f"X-Forwarded-Proto: {scheme}")
    assert (said.https, value(said, "X-Forwarded-Proto"), said.port) == (https, scheme, 443 if https else 8080)


def test_the_whole_chain_if_asked_for() -> None:
    settings = Settings(use_forwarded_headers=True, compute_full_forwarded_for=True)
    assert value(told(settings, "X-Forwarded-For: 1.1.1.1, 2.2.2.2"), "X-Forwarded-For") == "1.1.1.1, 2.2.2.2, 10.0.0.9"


def test_what_is_believed_must_still_be_well_formed() -> None:
    trusting = Settings(use_forwarded_headers=True)
    lines = ("X-Forwarded-Proto: ht tp", "X-Forwarded-Port: x", "X-Forwarded-Host: a b")
    said = told(trusting, *lines)
    assert (value(said, "X-Forwarded-Proto"), value(said, "X-Forwarded-Port")) == ("http", "8080")
    assert said.authority == b"h.example"
    assert told(trusting, "X-Forwarded-Proto: HTTPS").https


def test_an_ipv4_client_of_an_ipv6_socket_is_an_ipv4_client() -> None:
    assert told(Settings(), address="::ffff:1.2.3.4").client == "1.2.3.4"
    assert told(Settings(), address="fe80::1%eth0").client == "fe80::1"


def test_forwarders_may_tell_by_other_headers() -> None:
    lines = ("CF-Connecting-IP: 1.1.1.1", "X-Forwarded-For: 2.2.2.2", "X-Host: told.example", "X-Forwarded-Host: x")
    names: dict[str, Any] = {"forwarded_for_header": "CF-Connecting-IP", "forwarded_host_header": "X-Host"}
    said = told(Settings(use_forwarded_headers=True, **names), *lines)
    assert said.client == value(said, "X-Real-IP") == value(said, "X-Forwarded-For") == "1.1.1.1"
    assert said.authority == value(said, "X-Forwarded-Host").encode() == b"told.example"
    assert value(said, "X-Original-Forwarded-For") == "1.1.1.1"
    whole = told(Settings(use_forwarded_headers=True, compute_full_forwarded_for=True, **names), *lines)
    assert value(whole, "X-Forwarded-For") == "2.2.2.2, 10.0.0.9"
    doubted = told(Settings(**names), *lines)
    assert (doubted.client, doubted.authority) == ("10.0.0.9", b"h.example")
    assert value(doubted, "X-Original-Forwarded-For") == "1.1.1.1"
    assert value(doubted, "X-Original-Forwarded-Host") == "told.example"
    alone = told(Settings(enable_real_ip=True, **names), *lines, "CF-Connecting-IP: 3.3.3.3")
    assert alone.client == "1.1.1.1"
    assert alone.authority == b"h.example"


def test_what_other_headers_tell_holds_for_one_request() -> None:
    table = Generation.first(
        [record_of("global", Settings(use_forwarded_headers=True, forwarded_for_header="X-C"))], 1, 1, b""
    )
    facts, standing = client_facts("10.0.0.9", 80, False), None
    for client in ("1.1.1.1", "2.2.2.2", "10.0.0.9"):
        lines = f"X-C: {client}\r\n" if client != "10.0.0.9" else ""
        prepared = prepare(facts, read_headers(f"\r\nHost: h\r\n{lines}\r\n".encode(), 1), table, standing)
        standing = prepared.standing
        assert standing.address == client
        assert prepared.middle.count(b"X-Original-Forwarded-For") == (client != "10.0.0.9")
