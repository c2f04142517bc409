"""Values that follow from a request's headers alone.

Pure. Several lines of one name are joined as nginx joins them (since 1.23).
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Callable
from typing import Final
from urllib.parse import quote_from_bytes

from msgspec import Struct


class Read(Struct, frozen=True, gc=False):
    """How a value is read. ``key``: what a block in lower case has in it if there may be a value; ``value``: a block,
    and the same in lower case -> the value; None: there is none. ``lines`` finds the lines of the header without
    which there is none (and what they say, with white space at the end); ``joined_by``: the value is what they say,
    several joined by this."""

    key: bytes
    value: Callable[[bytes, bytes], bytes | None]
    lines: re.Pattern[bytes] | None = None
    joined_by: bytes | None = None

    def __call__(self, block: bytes, lower: bytes) -> bytes | None:
        return self.value(block, lower) if lower.find(self.key) >= 0 else None


def header(name: str, joined_by: bytes = b", ") -> Read:
    """What reads a header by its name in lower case, with dashes."""
    key = b"\r\n%b:" % name.encode()
    length = len(key)

    def read(block: bytes, lower: bytes) -> bytes | None:
        at = lower.find(key)
        if at < 0:
            return None
        end = lower.find(b"\r", at + length)
        value = block[at + length : end].strip(b" \t")
        more = lower.find(key, end)
        while more >= 0:
            end = lower.find(b"\r", more + length)
            value += joined_by + block[more + length : end].strip(b" \t")
            more = lower.find(key, end)
        return value

    lines = re.compile(rb"\n(?i:%b):[\t ]*+([^\r]*+)" % re.escape(name.encode()))
    return Read(key, read, lines, joined_by)


_cookies: Final = header("cookie", b"; ")
_authorization: Final = header("authorization")
_set_cookies: Final = header("set-cookie", b"\n")


def cookie(name: str) -> Read:
    """What reads one cookie of a request (nginx: any case of its name)."""
    wanted = name.encode()

    def read(block: bytes, lower: bytes) -> bytes | None:
        for pair in (_cookies(block, lower) or b"").split(b";"):
            found, equals, value = pair.strip(b" \t").partition(b"=")
            if equals and found.lower() == wanted:
                return value
        return None

    return Read(_cookies.key, read, _cookies.lines)


def set_cookie(name: str) -> Read:
    """What reads one cookie that a response sets."""
    wanted = name.encode()

    def read(block: bytes, lower: bytes) -> bytes | None:
        for line in (_set_cookies(block, lower) or b"").split(b"\n"):
            found, equals, value = line.partition(b";")[0].partition(b"=")
            if equals and found.strip(b" \t").lower() == wanted:
                return value
        return None

    return Read(_set_cookies.key, read, _set_cookies.lines)


def _user(block: bytes, lower: bytes) -> bytes | None:
    """The user of Basic authentication; nobody looked whether the password is right."""
    scheme, _, credentials = (_authorization(block, lower) or b"").partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        name, colon, _ = b64decode(credentials.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return name if colon else None


_traced: Final = header("@traceparent")
"""Put there by the edge (``services.edge.core.tracing.MARK``)."""
_sent_trace: Final = header("traceparent")


def _trace_parent(block: bytes, lower: bytes) -> bytes | None:
    own = _traced(block, lower)
    return _sent_trace(block, lower) if own is None else own


def _trace_id(block: bytes, lower: bytes) -> bytes | None:
    parts = (_trace_parent(block, lower) or b"").split(b"-")
    return parts[1] if len(parts) >= 4 else None


def _span_id(block: bytes, lower: bytes) -> bytes | None:
    return (_traced(block, lower) or b"--").split(b"-")[2] or None


host: Final = header("host")
user: Final = Read(_authorization.key, _user, _authorization.lines)
trace_parent: Final = Read(b"traceparent:", _trace_parent)
"""The W3C trace context that went on: of the request's span, else as the client sent it."""
trace_id: Final = Read(trace_parent.key, _trace_id)
"""The trace id in it."""
span_id: Final = Read(_traced.key, _span_id, _traced.lines)
"""The id of the request's span, if it has one."""


def escaped(target: bytes) -> str:
    """``target`` as it may stand in a query: all but letters, digits and ``-._~`` as ``%`` and two digits."""
    return quote_from_bytes(target, safe="")
