"""Heads of endpoints' responses, read as strictly as requests, and how their bodies are framed (RFC 9112 section 6.3).

Must not know what the client wants. A head that does not fit raises BadResponseError, which is answered as 502.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from services.edge.core import grammar

CHUNKED = -1
UNTIL_CLOSE = -2
"""``length`` of a body in chunks, and of one that ends with the connection."""


class BadResponseError(Exception):
    """A response that is not read: the endpoint is at fault."""


class ResponseHead(Struct, frozen=True, gc=False):
    """A response's head.

    ``block``: as received. ``length``: of the body as the headers say it (see the constants). ``passed``: status line
    and the headers that go on, each line with its CRLF; ``framed``: Content-Length is among them. ``ready``: they need
    nothing but an end. ``security_line``: the endpoint's Strict-Transport-Security line. ``persistent``: the endpoint
    keeps the connection. ``dated``: it carries Date. ``secured``, ``named``: ``passed`` says what there is to be
    said by Strict-Transport-Security, and as Server.
    """

    block: bytes
    status: int
    length: int
    passed: bytes
    framed: bool
    ready: bool
    persistent: bool
    dated: bool
    upgrade: bytes = b""
    security_line: bytes = b""
    secured: bool = False
    named: bool = False


_TAKEN: Final = (
    b"content-length",
    b"connection",
    b"server",
    b"transfer-encoding",
    b"keep-alive",
    b"upgrade",
    b"trailer",
    b"proxy-connection",
    b"strict-transport-security",
)
"""Names that are read, and written anew where they are to go on."""

_split = re.compile(rb"\n(%b):[\t ]*+([^\r]*+)\r(?=\n)" % grammar.one_of(_TAKEN)).split
"""A head as (what goes on, name, value), again and again, and at last what goes on."""

LINES: Final = grammar.lines_but(grammar.TOKEN, _TAKEN, 1000)
"""A group of lines that go on, less its parentheses."""


def usual_lines(at_most: int, group: int, *lengths: int) -> bytes:
    """Up to ``at_most`` lines that are taken, with the lines that follow each. ``group``: the number of the next group;
    groups come in turn with a length and with lines that go on. ``lengths``: the groups of lengths before."""
    if not at_most:
        return b""
    alone = b"".join(b"(?(%d)(?!))" % before for before in lengths)
    line = (
        rb"(?:[sS](?i:erver):%b*+|[cC](?i:onnection:[\t ]*+keep-alive)[\t ]*+|[kK](?i:eep-alive):%b*+"
        rb"|%b[cC](?i:ontent-length):[\t ]*+([0-9]{1,18}+)[\t ]*+)\r\n(%b)"
    ) % (grammar.VALUE, grammar.VALUE, alone, LINES)
    return b"(?:%b%b)?" % (line, usual_lines(at_most - 1, group + 2, *lengths, group))


usual_head = re.compile(
    rb"(HTTP/1\.1 ([2-9][0-9]{2})(?: %b*+)?\r\n%b)%b\r\n" % (grammar.VALUE, LINES, usual_lines(4, 3))
).match
"""A whole head as most endpoints send it: of the names that are read it has at most four, among them one
Content-Length, Server, Keep-Alive and ``Connection: keep-alive``."""

_date = re.compile(rb"\n[dD](?i:ate):").search
_server = re.compile(rb"\nserver:[\t ]*+([^\r]*+)\r", re.IGNORECASE).findall
_digits = re.compile(rb"[0-9]{1,18}").fullmatch


def is_dated(block: bytes) -> bool:
    """Whether Date is among the lines."""
    return block.find(b"\nDate: ") > 0 or _date(block) is not None


def read_whole(data: bytes, usual_first: bool) -> ResponseHead | None:
    """The head that ``data`` begins with; None: it is not all there, not well formed, or larger than usual. Raises
    BadResponseError.

    ``usual_first``: worth trying the quick way, which gives the same for heads that it takes.
    """
    if usual_first:
        match = usual_head(data)
        if match is not None and match.end() <= grammar.RESPONSE_LIMIT:
            return _read_usual(match)
    match = grammar.response_head(data)
    if match is None or match.end() > grammar.RESPONSE_LIMIT:
        return None
    return read_response(match)


def _read_usual(match: re.Match[bytes]) -> ResponseHead:
    """The head that matched ``usual_head``: what ``read_response`` would make of it."""
    block = match[0]
    start, code, one, first, two, second, three, third, four, fourth = match.groups(b"")
    passed = b"".join((start, first, second, third, fourth))
    return usual(block, int(code), one or two or three or four, passed, is_dated(block))


def usual(block: bytes, status: int, length: bytes, passed: bytes, dated: bool) -> ResponseHead:
    """A head of the usual form, taken apart. ``length``: of the body as it says, if it does; ``passed``: without it."""
    if not length or status in (204, 304):
        return _framed(block, status, length or None, passed, True, dated)
    passed = b"%bContent-Length: %b\r\n" % (passed, length)
    return ResponseHead(block, status, int(length), passed, True, dated, True, dated)


def read_response(match: re.Match[bytes]) -> ResponseHead:
    """The head that matched ``grammar.response_head``. Raises BadResponseError."""
    block = match[0]
    minor = match[1]
    length: bytes | None = None
    chunked = False
    connection = b""
    upgrade = security = b""
    parts = _split(block)
    for name, value in zip(parts[1::3], parts[2::3], strict=True):
        name = name.lower()
        value = value.rstrip(b" \t")
        if name == b"content-length":
            if length is not None and length != value:
                raise BadResponseError("two lengths")
            length = value
        elif name == b"connection":
            connection = connection + b"," + value.lower() if connection else value.lower()
        elif name == b"transfer-encoding":
            if chunked or value.lower() != b"chunked" or minor == b"0":
                raise BadResponseError("transfer coding")
            chunked = True
        elif name == b"upgrade":
            upgrade = value
        elif name == b"strict-transport-security":
            security = b"Strict-Transport-Security: %b\r\n" % value
    passed = b"".join(parts[::3])[:-2]
    persistent = minor == b"1"
    if connection and (connection != b"keep-alive" or not persistent):
        tokens = [token.strip(b" \t") for token in connection.split(b",")]
        persistent = b"close" not in tokens if persistent else b"keep-alive" in tokens
        if named := frozenset(tokens) - _KNOWN_TOKENS:
            passed = _without(passed, named)
    dated = is_dated(block)
    if minor == b"0":
        passed = b"HTTP/1.1" + passed[8:]
    if chunked and length is not None:
        raise BadResponseError("both framings")
    if length is not None and _digits(length) is None:
        raise BadResponseError("content length")
    return _framed(block, int(match[2]), length, passed, persistent, dated, chunked, upgrade, security)


def _framed(
    block: bytes,
    status: int,
    length: bytes | None,
    passed: bytes,
    persistent: bool,
    dated: bool,
    chunked: bool = False,
    upgrade: bytes = b"",
    security: bytes = b"",
) -> ResponseHead:
    """A head by how its body is framed: chunks, a length that is a number, or the connection's end."""
    size = CHUNKED if chunked else UNTIL_CLOSE if length is None else int(length)
    bodiless = status in (204, 304)  # whatever the headers say; a 304 may tell the length it would have
    if status == 204 and (chunked or size > 0):
        persistent = False  # the body that must not be may come all the same, for whoever would be served next
    framed = length is not None and status != 204
    if framed:
        assert length is not None
        passed = b"%bContent-Length: %b\r\n" % (passed, length)
    size = 0 if bodiless else size
    return ResponseHead(block, status, size, passed, framed, dated and size >= 0, persistent, dated, upgrade, security)


class Naming(Struct, frozen=True, gc=False):
    """What clients are told of who serves them. ``own``: our line, empty: nothing at all; ``endpoints``: what the
    endpoint calls itself instead, if it does."""

    own: bytes = b""
    endpoints: bool = False


NAMELESS: Final = Naming()


def server_told(head: ResponseHead, naming: Naming) -> bytes:
    """The Server line of a response with ``head``, if it has one."""
    return b"" if head.named else (server_line(head) if naming.endpoints else b"") or naming.own


def server_line(head: ResponseHead) -> bytes:
    """What the endpoint calls itself, as a line; empty if it does not say."""
    names = _server(head.block)
    return b"Server: %b\r\n" % names[-1].rstrip(b" \t") if names else b""


_secured = re.compile(rb"\nstrict-transport-security:", re.IGNORECASE).search


def dressed_head(head: ResponseHead, dress: Callable[[int, bytes], bytes]) -> ResponseHead:
    """``head`` with its lines as ``dress`` (status, lines -> lines) gives them back."""
    line_end = head.passed.find(b"\n") + 1
    passed = head.passed[:line_end] + dress(head.status, head.passed[line_end:])
    dated = is_dated(passed)
    block = b"%b\r\n%b%b" % (passed, head.security_line, server_line(head))  # what is remembered of heads goes by it
    secured, named = _secured(passed) is not None, _server(passed) != []
    ready = head.ready and dated and not secured and not named
    return replace(head, block=block, passed=passed, dated=dated, ready=ready, secured=secured, named=named)


_KNOWN_TOKENS = frozenset((b"", b"close", b"keep-alive", b"upgrade", b"content-length", b"transfer-encoding", b"date"))


def _without(passed: bytes, named: frozenset[bytes]) -> bytes:
    line_end = passed.find(b"\r\n") + 2
    kept = (line[0] for line in grammar.field.finditer(passed, line_end) if line[1].lower() not in named)
    return passed[:line_end] + b"".join(kept)


class ResponseReader:
    """Collects a response head that comes in pieces, refuses early what can no longer become one. ``limit``: how large
    it may be; ``_scanned``: where the line begins that is not all there."""

    __slots__ = ("_data", "_limit", "_scanned")

    def __init__(self, limit: int = grammar.RESPONSE_LIMIT) -> None:
        self._data = bytearray()
        self._limit = limit
        self._scanned = 0

    def feed(self, data: bytes) -> tuple[ResponseHead, bytes] | None:
        """(head, what follows it), or None while it is not complete. Raises BadResponseError."""
        buffer = self._data
        before = len(buffer)
        buffer += data
        if buffer.find(b"\r\n\r\n", max(0, before - 3)) < 0:
            if len(buffer) > self._limit:
                raise BadResponseError("head is too large")
            self._check_beginning()
            return None
        whole = bytes(buffer)
        match = grammar.response_head(whole)
        if match is None:
            raise BadResponseError("not a response")
        if match.end() > self._limit:
            raise BadResponseError("head is too large")
        return read_response(match), whole[match.end() :]

    def _check_beginning(self) -> None:
        """An endpoint that says nonsense may well say no more, and wait: nobody waits for it."""
        buffer = self._data
        while (end := buffer.find(b"\r\n", self._scanned)) >= 0:
            line = bytes(buffer[self._scanned : end + 2])
            if not (grammar.field.fullmatch(line) if self._scanned else grammar.status_line(line[:-2])):
                raise BadResponseError("not a response")
            self._scanned = end + 2
        rest = bytes(buffer[self._scanned :])
        if not (grammar.beginning_of_field(rest) if self._scanned else grammar.beginning_of_status(rest)):
            raise BadResponseError("not a response")
