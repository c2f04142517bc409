"""The header that a balancer puts before a client's bytes, to say who the client is: PROXY protocol, versions 1 and 2.

Owns its grammar (the specification of HAProxy 2.x, which nginx and all balancers follow), to read and to write. Pure:
bytes in, in pieces of any size; a header and the client's first bytes out. Nothing of what follows the header is looked
at.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from msgspec import Struct

LINE_LIMIT: Final = 107
"""Bytes of the longest header of version 1, with its CRLF (specification section 2.1)."""
BLOCK_LIMIT: Final = 4096
"""Bytes of the longest header of version 2 that is taken (nginx: 4096)."""

_V1: Final = b"PROXY "
_V2: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_line: Final = re.compile(
    rb"PROXY TCP([46]) ([0-9A-Fa-f:.]{2,45}) ([0-9A-Fa-f:.]{2,45}) ([0-9]{1,5}) ([0-9]{1,5})"
).fullmatch
_FIXED: Final = 16
_STREAM_OVER_IPV4: Final = 0x11
_STREAM_OVER_IPV6: Final = 0x21


class NotProxiedError(Exception):
    """What came first is no such header; the message says in a word or two why."""


class Header(Struct, frozen=True, gc=False):
    """Both ends of the client's connection to the balancer. ``address`` is empty where the header names nobody: the
    balancer speaks for itself (a health check), or the client came by something else than TCP."""

    address: str = ""
    port: int = 0
    server: str = ""
    server_port: int = 0


def line_for(header: Header) -> bytes:
    """``header`` in version 1, which nginx sends too."""
    if not header.address or not header.server:
        return b"PROXY UNKNOWN\r\n"
    family = 6 if ":" in header.address else 4
    ends = f"{header.address} {header.server} {header.port} {header.server_port}"
    return f"PROXY TCP{family} {ends}\r\n".encode()


class HeaderReader:
    """Reads one header. ``rest``: what followed it."""

    __slots__ = ("_data", "rest")

    def __init__(self) -> None:
        self._data = b""
        self.rest = b""

    def feed(self, data: bytes) -> Header | None:
        """The header, once it is whole. Raises NotProxiedError."""
        data = self._data = self._data + data
        if data[:6] == _V1[: len(data)]:
            return self._text(data)
        if data[:12] == _V2[: len(data)]:
            return self._binary(data)
        raise NotProxiedError("no header")

    def _text(self, data: bytes) -> Header | None:
        end = data.find(b"\r\n", 0, LINE_LIMIT)
        if end < 0:
            if len(data) >= LINE_LIMIT:
                raise NotProxiedError("too long")
            return None
        self.rest = data[end + 2 :]
        line = data[:end]
        if line == b"PROXY UNKNOWN" or line.startswith(b"PROXY UNKNOWN "):
            return Header()
        match = _line(line)
        if match is None:
            raise NotProxiedError("malformed")
        kind = IPv4Address if match[1] == b"4" else IPv6Address
        try:
            client, server = (str(kind(match[group].decode())) for group in (2, 3))
        except AddressValueError:
            raise NotProxiedError("malformed address") from None
        return Header(client, _port(match[4]), server, _port(match[5]))

    def _binary(self, data: bytes) -> Header | None:
        if len(data) < _FIXED:
            return None
        version, command = data[12] >> 4, data[12] & 0xF
        if version != 2 or command > 1:
            raise NotProxiedError("unknown version")
        length = _FIXED + int.from_bytes(data[14:16])
        if length > BLOCK_LIMIT:
            raise NotProxiedError("too long")
        if len(data) < length:
            return None
        self.rest = data[length:]
        if command == 0:
            return Header()
        return _addresses(data[13], data[_FIXED:length])


def _addresses(family: int, block: bytes) -> Header:
    """The ends of a connection as version 2 has them; what follows them (TLVs) is passed over."""
    if family == _STREAM_OVER_IPV4:
        kind: type[IPv4Address | IPv6Address] = IPv4Address
        size = 4
    elif family == _STREAM_OVER_IPV6:
        kind, size = IPv6Address, 16
    else:
        return Header()
    if len(block) < 2 * size + 4:
        raise NotProxiedError("too short")
    client, server = str(kind(block[:size])), str(kind(block[size : 2 * size]))
    ports = block[2 * size :]
    return Header(client, int.from_bytes(ports[:2]), server, int.from_bytes(ports[2:4]))


def _port(text: bytes) -> int:
    number = int(text)
    if number > 65535 or (len(text) > 1 and text[:1] == b"0"):
        raise NotProxiedError("malformed port")
    return number
