"""Hosts: canonical form, validity, order of lookup."""

from __future__ import annotations

import pytest

from services.contract.hosts import host_key, wildcard_of


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"t.example", "t.example"),
        (b"T.Example", "t.example"),
        (b"t.example:8080", "t.example"),
        (b"t.example:", "t.example"),
        (b"t.example.", "t.example"),
        (b"T.example.:80", "t.example"),
        (b"localhost", "localhost"),
        (b"a_b.example", "a_b.example"),
        (b"10.0.0.1:80", "10.0.0.1"),
        (b"[::1]:80", "[::1]"),
        (b"[2001:DB8::0:1]", "[2001:db8::1]"),
    ],
)
def test_canonical_form(value: bytes, expected: str) -> None:
    assert host_key(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b".",
        b".example",
        b"a..b",
        b"t.example..",
        b"t.example:65536",
        b"t.example:0",
        b"t.example:x",
        b"t.example:80:80",
        b"t.example/../x",
        b"t.example\0.evil.example",
        b"*.wild.example",
        b"user@t.example",
        b"a, b",
        b"a b",
        b"[::1",
        b"[::1]x",
        b"[1.2.3]",
        b"[fe80::1%25eth0]",
        b"caf\xc3\xa9.example",
        b"a" * 254,
        b"a" * 300 + b".example",
    ],
)
def test_refused(value: bytes) -> None:
    assert host_key(value) is None


def test_one_label_wildcards() -> None:
    assert wildcard_of("a.foo.com") == "*.foo.com"
    assert wildcard_of("a_b-1.foo.com") == "*.foo.com"
    assert wildcard_of("a.b.foo.com") == "*.b.foo.com"
    assert wildcard_of("localhost") is None
    assert wildcard_of("[::1]") is None
    assert wildcard_of("a~.foo.com") is None
