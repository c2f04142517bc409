"""The server name in a ClientHello, as OpenSSL writes it and in any pieces."""

from __future__ import annotations

import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge.core.client_hello import HelloReader, NotTLSError, name_in_first


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


def server_name(data: bytes) -> str | None:
    """The name in ``data``; None: it is not complete."""
    return HelloReader().feed(data)


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
    reader = HelloReader()
    for end in range(len(data) - 1):
        assert server_name(data[:end]) is None
        assert reader.feed(data[end : end + 1]) is None
    assert reader.feed(data[-1:]) == "a.example"
    assert reader.received == data


def test_the_smallest_records_one_by_one_cost_time_in_proportion_to_their_number() -> None:
    """A client that sends as little as it can, as often as it can, must not make us read it all again each time."""
    copied = 0

    class Counted(bytearray):
        def __getitem__(self, key):  # type: ignore[no-untyped-def]
            nonlocal copied
            found = super().__getitem__(key)
            copied += len(found) if isinstance(key, slice) else 1
            return found

    reader = HelloReader()
    reader.received = Counted()
    large = hello("a.example")[5:]
    grown = b"\x01" + (60_000).to_bytes(3) + large[4:] + bytes(60_000 - len(large))
    for at in range(len(grown) - 10):
        assert reader.feed(b"\x16\x03\x01\x00\x01" + grown[at : at + 1]) is None
    assert copied < 20 * len(grown)


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
    with contextlib.suppress(NotTLSError):
        server_name(data[:at] + damage + data[at + len(damage) :])


@given(st.data())
def test_the_short_way_says_the_same_or_nothing(data: st.DataObject) -> None:
    """Whatever is done to a hello, the first bytes alone give the same name as the reader, or leave it to it."""
    received = bytearray(hello(data.draw(st.sampled_from(["a.example", "M.Example.", None]))))
    for _ in range(data.draw(st.integers(0, 3))):
        received[data.draw(st.integers(0, len(received) - 1))] = data.draw(st.integers(0, 255))
    first = bytes(received[: data.draw(st.one_of(st.just(len(received)), st.integers(0, len(received))))])
    short = name_in_first(first)
    if short is not None:
        assert short == server_name(first)


def test_the_short_way_is_taken_by_a_usual_hello() -> None:
    assert name_in_first(hello("A.Example")) == "a.example"
    assert name_in_first(hello("a.example") + b"more") == "a.example"
    assert name_in_first(in_records(hello("a.example"), 100)) is None
    assert name_in_first(hello("a.example")[:-1]) is None
