"""The server name in a ClientHello, as OpenSSL writes it and in any pieces."""

from __future__ import annotations

import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge.core.client_hello import IncompleteError, NotTLSError, server_name


def hello(name: str | None) -> bytes:
    """A real ClientHello."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def in_records(data: bytes, size: int) -> bytes:
    """The same handshake message in records of ``size`` bytes."""
    message = data[5:]
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(part).to_bytes(2) + part for part in parts)


@pytest.mark.parametrize(
    ("name", "expected"), [("A.Example", "a.example"), (None, ""), ("x" * 60 + ".example", "x" * 60 + ".example")]
)
def test_the_name(name: str | None, expected: str) -> None:
    data = hello(name)
    assert server_name(data) == expected
    assert server_name(data + b"more") == expected
    for size in (1, 3, 100):
        assert server_name(in_records(data, size)) == expected


def test_every_beginning_is_incomplete() -> None:
    data = hello("a.example")
    for end in range(len(data)):
        with pytest.raises(IncompleteError):
            server_name(data[:end])


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1",
        b"\x80\x2e\x01\x03",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x00\x01\x02",
        b"\x16\x03\x01\xff\xff",
    ],
)
def test_not_tls(data: bytes) -> None:
    with pytest.raises(NotTLSError):
        server_name(data)


@given(st.integers(5, 300), st.binary(min_size=1, max_size=4))
def test_damage_never_raises_anything_else(at: int, damage: bytes) -> None:
    data = hello("a.example")
    with contextlib.suppress(IncompleteError, NotTLSError):
        server_name(data[:at] + damage + data[at + len(damage) :])
