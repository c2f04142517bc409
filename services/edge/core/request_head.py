"""Headers of requests: what the strict grammar let through becomes one frozen value, or the request is refused.

Owns which doubt is answered how (RFC 9112, and stricter where two parsers could read two things). Must not know where
the bytes come from nor where they go. Everything not named here goes on as the bytes that came.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct

from services.contract.hosts import MAX_HOST_LENGTH, host_key
from services.edge.core import grammar
from services.edge.core.header_names import names_that_go_on

CHUNKED = -1
"""``length`` of a body in chunks."""

NO_HOST: Final = b"_"
"""``authority`` where the client named none: nginx's name for the server of everything else, which is what endpoints
then get as Host from ingress-nginx."""


class HeadLimits(Struct, frozen=True, gc=False):
    """How large a head may be: ``line``: its first line, and each header; ``block``: all headers together. Which names
    go on, beside ordinary ones: with ``underscores``, and ``odd`` ones."""

    line: int = grammar.LINE_LIMIT
    block: int = grammar.HEADERS_LIMIT
    underscores: bool = False
    odd: bool = False


USUAL_LIMITS: Final = HeadLimits()


class RefusedError(Exception):
    """A request that is answered with ``status`` and the connection's end. ``reason``: one word for a metric."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = reason


class Forwarded(Struct, frozen=True, gc=False):
    """What a forwarder in front said: the values of X-Forwarded-For, -Host, -Proto and -Port (empty: it did not)."""

    for_: bytes = b""
    host: bytes = b""
    proto: bytes = b""
    port: bytes = b""


NOT_FORWARDED = Forwarded()


class RequestHeaders(Struct, frozen=True, gc=False):
    """The headers of a request.

    ``block``: as received, from the CRLF after the request line to the empty line. ``host``: for routing, lower case
    without port; ``authority``: as the client wrote it. ``length``: of the body, CHUNKED, or 0. ``persistent``: the
    client wants to keep the connection. ``upgrade``: the protocol it asks for. ``passed``: the lines that go on as
    they came. ``body_expected``: the client waits for ``100 Continue``.
    """

    block: bytes
    minor: int
    host: str
    authority: bytes
    length: int
    persistent: bool
    body_expected: bool
    upgrade: bytes
    request_id: bytes
    forwarded: Forwarded
    passed: bytes


_TAKEN: Final = (
    b"host",
    b"connection",
    b"content-length",
    b"transfer-encoding",
    b"upgrade",
    b"expect",
    b"keep-alive",
    b"te",
    b"trailer",
    b"proxy(?:-connection|-authorization|-authenticate)?",
    b"http2-settings",
    b"x-request-id",
    b"x-real-ip",
    b"x-scheme",
    b"forwarded",
    b"x-forwarded-(?:for|host|port|proto|scheme|prefix)",
    b"x-original-forwarded-(?:for|host)",
    b"ssl-client-[^:]*+",
    b"x-auth-(?!(?:token|key|signature|timestamp|nonce):)[^:]*+",
)
"""Names that are read, and written anew where they are to go on. Of X-Auth-* those pass with which a client itself
proves who it is; the others tell what somebody in front has found out, and nobody is in front."""

_reserved: Final = re.compile(b"|".join(name.replace(b"[^:]*+", b".*").replace(b":)", b"$)") for name in _TAKEN))
"""The same without what ends a name."""

_split = re.compile(rb"\n(%b):[\t ]*+([^\r]*+)\r(?=\n)" % grammar.one_of(_TAKEN)).split
"""A block as (what goes on, name, value), again and again, and at last what goes on."""

_AUTHORITY_LIMIT: Final = MAX_HOST_LENGTH + len(".:65535")
LINES: Final = rb"(%b)" % grammar.lines_but(grammar.PLAIN_TOKEN, _TAKEN, grammar.COUNT_LIMIT // 4 - 1)
"""A group of lines that go on."""


def one_taken(group: int, *before: int) -> bytes:
    """A line that is taken out, with the lines that follow it. ``group``: that of the length, if it is that, before
    those of the request id and the lines; ``before``: the same of such lines before, for each may be there once."""
    no_length = b"".join(b"(?(%d)(?!))" % other for other in before)
    no_id = b"".join(b"(?(%d)(?!))" % (other + 1) for other in before)
    return (
        rb"(?:[cC](?:(?i:onnection:[\t ]*+keep-alive)|(?i:ontent-length):%b[\t ]*+([0-9]{1,18}+))[\t ]*+" % no_length
        + (rb"|[xX](?i:-request-id):%b[\t ]*+(%b*+))\r\n%b" % (no_id, grammar.VALUE, LINES))
    )


usual_block = re.compile(
    rb"\r\n%b(?:%b)?(?i:host):[\t ]*+([0-9A-Za-z.:_~-]{1,%d}+)[\t ]*+\r\n%b(?:%b(?:%b)?)?\r\n"
    % (LINES, one_taken(2), _AUTHORITY_LIMIT, LINES, one_taken(7, 2), one_taken(10, 2, 7))
).match
"""A whole block as most clients send it: of the names that are read it has Host, perhaps a length and a request id, and
``Connection: keep-alive``, at most one of them before and two after it, with ordinary names. There may be more lines
than COUNT_LIMIT: five groups of them, and four that are read."""

_websocket_key = re.compile(rb"\r\nsec-websocket-key:[\t ]*+[0-9A-Za-z+/]", re.IGNORECASE).search
_protocols = re.compile(rb"%b++(?:/%b++)?(?:[\t ]*+,[\t ]*+%b++(?:/%b++)?)*+" % ((grammar.TOKEN,) * 4)).fullmatch
_NEVER_REMOVED = frozenset((b"close", b"keep-alive", b"upgrade", b"te", b"host", b"content-length"))
_digits = re.compile(rb"[0-9]{1,18}").fullmatch
_canonical = lru_cache(4096)(host_key)


def read_headers(block: bytes, minor: int, authority: bytes = b"", limits: HeadLimits = USUAL_LIMITS) -> RequestHeaders:
    """The headers in ``block``, which matched ``grammar.plain_block`` or ``grammar.any_block``.

    ``authority`` comes from a target in absolute form and replaces Host (RFC 9112 section 3.2.2). Raises RefusedError.
    """
    if len(block) > 4 * grammar.COUNT_LIMIT:
        check_size(block, limits)
    hosts: list[bytes] = []
    lengths: list[bytes] = []
    codings: list[bytes] = []
    connection: list[bytes] = []
    upgrade = expect = request_id = real_for = host = proto = port = b""
    parts = _split(block)
    for name, value in zip(parts[1::3], parts[2::3], strict=True):
        name = name.lower()
        value = value.rstrip(b" \t")
        if name == b"host":
            hosts.append(value)
        elif name == b"connection":
            connection.append(value)
        elif name == b"content-length":
            lengths.append(value)
        elif name == b"transfer-encoding":
            codings.append(value)
        elif name == b"upgrade":
            upgrade = upgrade + b", " + value if upgrade else value
        elif name == b"expect":
            expect = value
        elif name == b"x-request-id":
            request_id = value
        elif name == b"x-forwarded-for":
            real_for = real_for + b", " + value if real_for else value
        elif name == b"x-forwarded-host":
            host = value
        elif name == b"x-forwarded-proto":
            proto = value
        elif name == b"x-forwarded-port":
            port = value
    passed = b"".join(parts[::3])[2:-2]
    routing, authority = _read_host(hosts, authority, minor)
    length = _read_length(lengths, codings, minor) if lengths or codings else 0
    if lengths and not length:
        passed += b"Content-Length: 0\r\n"
    persistent, upgrades = minor == 1, False
    if connection:
        persistent, upgrades, passed = _read_connection(connection, minor, passed)
    if upgrade:  # with a body it could not be told where the other protocol begins: the endpoint is not asked
        upgrade = _read_upgrade(upgrade, block) if upgrades and minor == 1 and not length else b""
    forwarded = Forwarded(real_for, host, proto, port) if real_for or host or proto or port else NOT_FORWARDED
    waits = minor == 1 and length != 0 and expect.lower() == b"100-continue"
    return RequestHeaders(
        block, minor, routing, authority, length, persistent, waits, upgrade, request_id, forwarded, passed
    )


def read_block(data: bytes, at: int, minor: int, usual_first: bool) -> RequestHeaders | None:
    """The headers that begin at ``at``; None: not all there, not well formed, or with names that are not ordinary.

    ``usual_first``: worth trying the quick way, which gives the same for what it takes. Raises RefusedError.
    """
    if usual_first and minor == 1 and len(data) <= grammar.LINE_LIMIT:
        usual = usual_block(data, at)
        if usual is not None:
            return read_usual(usual)
    match = grammar.plain_block(data, at)
    return None if match is None else read_headers(match[0], minor)


def read_usual(match: re.Match[bytes]) -> RequestHeaders:
    """The headers that matched ``usual_block``: what ``read_headers`` would make of them. Raises RefusedError."""
    block = match[0]
    if len(block) > 4 * grammar.COUNT_LIMIT:
        check_size(block, USUAL_LIMITS)
    first, one, id_1, second, authority, third, two, id_2, fourth, three, id_3, fifth = match.groups(b"")
    host = _canonical(authority)
    if host is None:
        raise RefusedError(400, "host")
    passed = b"".join((first, second, third, fourth, fifth))
    length = 0
    if digits := one or two or three:
        length = int(digits)
        if not length:
            passed += b"Content-Length: 0\r\n"
    request_id = id_1 or id_2 or id_3
    if request_id:
        request_id = request_id.rstrip(b" \t")
    return RequestHeaders(block, 1, host, authority, length, True, False, b"", request_id, NOT_FORWARDED, passed)


def check_size(block: bytes, limits: HeadLimits) -> None:
    """Refuse a block that is larger than it may be. Raises RefusedError."""
    if len(block) > limits.block:
        raise RefusedError(431, "headers-too-large")
    if block.count(b"\r\n") - 2 > grammar.COUNT_LIMIT:
        raise RefusedError(431, "too-many-headers")
    if len(block) > limits.line and any(len(line) > limits.line for line in block.split(b"\r\n")):
        raise RefusedError(431, "header-too-large")


def _read_host(hosts: Sequence[bytes], authority: bytes, minor: int) -> tuple[str, bytes]:
    """(canonical host, authority): one valid Host in HTTP/1.1; HTTP/1.0 may leave it out (the catch-all answers, and
    what is told of the host is the name that ingress-nginx gives it: endpoints refuse a Host that is empty)."""
    if len(hosts) != 1:
        if hosts or minor == 1:
            raise RefusedError(400, "host-count")
        if not authority:
            return "", NO_HOST
    written = authority or hosts[0]
    host = _canonical(written) if len(written) <= _AUTHORITY_LIMIT else None  # what is remembered is short
    if host is None or (hosts and authority and host_key(hosts[0]) is None):
        raise RefusedError(400, "host")
    return host, written


def _read_length(lengths: Sequence[bytes], codings: Sequence[bytes], minor: int) -> int:
    if codings:
        if lengths or minor == 0 or len(codings) > 1:
            raise RefusedError(400, "framing")
        if codings[0].lower() != b"chunked":
            raise RefusedError(
                501 if codings[0].lower() in (b"gzip", b"deflate", b"compress") else 400, "transfer-encoding"
            )
        return CHUNKED
    if len(lengths) > 1 or _digits(lengths[0]) is None:
        raise RefusedError(400, "content-length")
    return int(lengths[0])


def _read_connection(values: Sequence[bytes], minor: int, passed: bytes) -> tuple[bool, bool, bytes]:
    """(persistent, asks for an upgrade, ``passed`` without the lines that Connection names)."""
    tokens = {token.strip(b" \t").lower() for value in values for token in value.split(b",")}
    named = tokens - _NEVER_REMOVED
    if named:
        passed = b"".join(line[0] for line in grammar.field.finditer(passed) if line[1].lower() not in named)
    if minor == 0:
        return b"keep-alive" in tokens and b"close" not in tokens, False, passed
    return b"close" not in tokens, b"upgrade" in tokens, passed


def _read_upgrade(value: bytes, block: bytes) -> bytes:
    """The protocol to ask the endpoint for; h2c is never passed on (it would hide requests from the edge)."""
    protocols = [part.strip(b" \t").lower() for part in value.split(b",")]
    if b"h2c" in protocols or _protocols(value) is None:
        return b""
    if b"websocket" in protocols and _websocket_key(block) is None:
        raise RefusedError(400, "websocket-key")
    return value


def ordinary(block: bytes, limits: HeadLimits) -> bytes:
    """``block``, which matched ``grammar.any_block``, without the lines whose names do not go on."""
    return names_that_go_on(block, _reserved, underscores=limits.underscores, odd=limits.odd)
