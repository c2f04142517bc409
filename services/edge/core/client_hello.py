"""The server name that a TLS client asks for, read from its ClientHello before any handshake object exists.

The context decides about client certificates and must therefore be chosen first (RFC 8446 section 4.1.2, RFC 6066
section 3). Owns only this reading; whether the hello is right otherwise is OpenSSL's to judge.
"""

from __future__ import annotations

from typing import Final

HELLO_LIMIT: Final = 64 * 1024
"""The largest ClientHello that is waited for."""

_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0


class NotTLSError(Exception):
    """The first bytes are no TLS record of a ClientHello."""


class IncompleteError(Exception):
    """The ClientHello is not complete yet: more bytes are needed."""


def server_name(data: bytes) -> str:
    """The server name, lower case; empty where none is sent. Raises NotTLSError, IncompleteError."""
    hello = _handshake_message(data)
    try:
        return _name_in(hello)
    except IndexError:
        return ""  # lengths that do not fit: OpenSSL will refuse the handshake


def _handshake_message(data: bytes) -> bytes:
    """The ClientHello's body, put together from its records."""
    message = b""
    at = 0
    while True:
        if len(data) < at + 5:
            if data[at : at + 1] not in (b"", bytes((_HANDSHAKE,))):
                raise NotTLSError
            raise IncompleteError
        if data[at] != _HANDSHAKE or data[at + 1] != 3:
            raise NotTLSError
        size = int.from_bytes(data[at + 3 : at + 5])
        if not 0 < size <= 16384:
            raise NotTLSError
        message += data[at + 5 : at + 5 + size]
        if message and message[0] != _CLIENT_HELLO:
            raise NotTLSError
        if len(message) >= 4:
            wanted = int.from_bytes(message[1:4])
            if wanted > HELLO_LIMIT:
                raise NotTLSError
            if len(message) >= 4 + wanted:
                return message[4 : 4 + wanted]
        if len(data) < at + 5 + size:
            raise IncompleteError
        at += 5 + size


def _name_in(hello: bytes) -> str:
    at = 34  # version and random
    at += 1 + hello[at]  # session id
    at += 2 + int.from_bytes(hello[at : at + 2])  # cipher suites
    at += 1 + hello[at]  # compression methods
    end = at + 2 + int.from_bytes(hello[at : at + 2])
    at += 2
    while at + 4 <= min(end, len(hello)):
        kind = int.from_bytes(hello[at : at + 2])
        size = int.from_bytes(hello[at + 2 : at + 4])
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
