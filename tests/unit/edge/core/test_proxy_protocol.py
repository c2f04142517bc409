"""PROXY headers: what is read, however it is split, and what is not."""

from __future__ import annotations

import socket

import pytest

from services.edge.core.proxy_protocol import BLOCK_LIMIT, Header, HeaderReader, NotProxiedError

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def binary(family: int, block: bytes, command: int = 0x21) -> bytes:
    return SIGNATURE + bytes((command, family)) + len(block).to_bytes(2) + block


def ends(family: socket.AddressFamily, client: str, server: str, ports: tuple[int, int]) -> bytes:
    both = socket.inet_pton(family, client) + socket.inet_pton(family, server)
    return both + ports[0].to_bytes(2) + ports[1].to_bytes(2)


IPV4 = ends(socket.AF_INET, "192.0.2.1", "198.51.100.2", (50000, 443))
IPV6 = ends(socket.AF_INET6, "2001:db8::1", "2001:db8::2", (50000, 80))

READ = {
    "v1-ipv4": (
        b"PROXY TCP4 192.0.2.1 198.51.100.2 50000 443\r\n",
        Header("192.0.2.1", 50000, "198.51.100.2", 443),
    ),
    "v1-ipv6": (b"PROXY TCP6 2001:db8::1 2001:db8::2 50000 80\r\n", Header("2001:db8::1", 50000, "2001:db8::2", 80)),
    "v1-unknown": (b"PROXY UNKNOWN\r\n", Header()),
    "v1-unknown-with-more": (b"PROXY UNKNOWN ffff:f...f:ffff 65535 65535\r\n", Header()),
    "v2-ipv4": (binary(0x11, IPV4), Header("192.0.2.1", 50000, "198.51.100.2", 443)),
    "v2-ipv6": (binary(0x21, IPV6), Header("2001:db8::1", 50000, "2001:db8::2", 80)),
    "v2-with-tlvs": (binary(0x11, IPV4 + b"\x03\x00\x04abcd"), Header("192.0.2.1", 50000, "198.51.100.2", 443)),
    "v2-local": (binary(0x11, IPV4, 0x20), Header()),
    "v2-local-without-addresses": (binary(0x00, b"", 0x20), Header()),
    "v2-unix": (binary(0x31, bytes(216)), Header()),
    "v2-datagram": (binary(0x12, IPV4), Header()),
}


@pytest.mark.parametrize(("data", "header"), READ.values(), ids=READ)
def test_a_header_is_read_whole_and_byte_by_byte(data: bytes, header: Header) -> None:
    rest = b"GET / HTTP/1.1\r\n\r\n"
    whole = HeaderReader()
    assert whole.feed(data + rest) == header
    assert whole.rest == rest
    reader = HeaderReader()
    for at in range(len(data) - 1):
        assert reader.feed(data[at : at + 1]) is None
    assert reader.feed(data[-1:] + rest) == header
    assert reader.rest == rest


REFUSED = {
    "a-request": b"GET / HTTP/1.1\r\n",
    "a-tls-hello": b"\x16\x03\x01\x00\xc4\x01\x00",
    "lower-case": b"proxy TCP4 192.0.2.1 198.51.100.2 1 2\r\n",
    "no-such-family": b"PROXY TCP5 192.0.2.1 198.51.100.2 1 2\r\n",
    "families-mixed": b"PROXY TCP4 2001:db8::1 198.51.100.2 1 2\r\n",
    "not-an-address": b"PROXY TCP4 192.0.2.256 198.51.100.2 1 2\r\n",
    "leading-zeros": b"PROXY TCP4 192.0.02.1 198.51.100.2 1 2\r\n",
    "port-too-large": b"PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n",
    "port-with-a-zero": b"PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n",
    "two-spaces": b"PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n",
    "bare-line-feed": b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n" + b"x" * 107,
    "too-long": b"PROXY TCP4 " + b"1" * 200,
    "too-long-unknown": b"PROXY UNKNOWN " + b"1" * 200 + b"\r\n",
    "v2-version-1": binary(0x11, IPV4, 0x11),
    "v2-command-2": binary(0x11, IPV4, 0x22),
    "v2-too-short": binary(0x11, IPV4[:-1]),
    "v2-too-long": binary(0x11, bytes(BLOCK_LIMIT)),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_anything_else_is_refused_whole_and_byte_by_byte(data: bytes) -> None:
    with pytest.raises(NotProxiedError):
        HeaderReader().feed(data)
    reader = HeaderReader()
    with pytest.raises(NotProxiedError):
        any(reader.feed(data[at : at + 1]) for at in range(len(data)))
