"""The server name that a TLS client asks for, read from its ClientHello before any handshake object exists.

The context decides about client certificates and must therefore be chosen first (RFC 8446 section 4.1.2, RFC 6066
section 3). Owns only this reading; whether the hello is right otherwise is OpenSSL's to judge.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

HELLO_LIMIT: Final = 64 * 1024
"""The largest ClientHello that is waited for."""

_RECORD_LIMIT: Final = 16384
_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0
_extension: Final = Struct(">HH").unpack_from


class NotTLSError(Exception):
    """The first bytes are no TLS record of a ClientHello."""


def name_in_first(data: bytes) -> str | None:
    """The server name in the first bytes of a connection, where they begin with a whole hello in one record, as they
    nearly always do. None: they do not, and a HelloReader is to judge them."""
    if len(data) < 48 or data[0] != _HANDSHAKE or data[1] != 3 or data[5] != _CLIENT_HELLO:
        return None
    end = 9 + int.from_bytes(data[6:9])
    if end - 5 != int.from_bytes(data[3:5]) or end > len(data) or end > _RECORD_LIMIT:
        return None
    return _name_in_hello(data[9:end])


class HelloReader:
    """Collects a ClientHello that comes in pieces and records of any size; each byte is looked at once.

    ``received``: everything that came, for the handshake itself.
    """

    __slots__ = ("_at", "_message", "received")

    def __init__(self) -> None:
        self.received = bytearray()
        self._message = bytearray()
        self._at = 0

    def feed(self, data: bytes | memoryview) -> str | None:
        """The server name, lower case, empty where none is sent; None while the hello is not complete.

        Raises NotTLSError.
        """
        self.received += data
        message = self._message
        while (record := self._next_record()) is not None:
            message += record
            if message[0] != _CLIENT_HELLO:
                raise NotTLSError
            wanted = int.from_bytes(message[1:4])
            if wanted > HELLO_LIMIT:
                raise NotTLSError
            if len(message) >= 4 + wanted:
                return _name_in_hello(bytes(message[4 : 4 + wanted]))
        return None

    def _next_record(self) -> bytes | None:
        received, at = self.received, self._at
        if len(received) > at and received[at] != _HANDSHAKE:
            raise NotTLSError
        if len(received) < at + 5:
            return None
        size = int.from_bytes(received[at + 3 : at + 5])
        if received[at + 1] != 3 or not 0 < size <= _RECORD_LIMIT:
            raise NotTLSError
        if len(received) < at + 5 + size:
            return None
        self._at = at + 5 + size
        return bytes(received[at + 5 : self._at])


def _name_in_hello(hello: bytes) -> str:
    try:
        return _name_in(hello)
    except IndexError:
        return ""  # lengths that do not fit: OpenSSL will refuse the handshake


def _name_in(hello: bytes) -> str:
    at = 34  # version and random
    at += 1 + hello[at]  # session id
    at += 2 + int.from_bytes(hello[at : at + 2])  # cipher suites
    at += 1 + hello[at]  # compression methods
    end = at + 2 + int.from_bytes(hello[at : at + 2])
    at += 2
    end = min(end, len(hello))
    while at + 4 <= end:
        kind, size = _extension(hello, at)
        if kind == _SERVER_NAME:
            return _first_host(hello[at + 4 : at + 4 + size])
        at += 4 + size
    return ""


def _first_host(names: bytes) -> str:
    if len(names) < 5 or names[2] != 0:
        return ""
    name = names[5 : 5 + int.from_bytes(names[3:5])]
    try:
        return name.decode("ascii").lower().rstrip(".")
    except UnicodeDecodeError:
        return ""
