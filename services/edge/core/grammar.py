"""The strict grammar of HTTP/1.1 heads as regular expressions: what does not match here never leaves the edge.

One expression checks a whole head in C (RFC 9112, RFC 9110 section 5), without a callback per header. Quantifiers are
possessive, so that a head of any content costs time proportional to its length.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

LINE_LIMIT: Final = 8 * 1024
"""The longest request line, and the longest header line (nginx: large_client_header_buffers 4 8k)."""

HEADERS_LIMIT: Final = 32 * 1024
"""The longest block of headers of a request."""

COUNT_LIMIT: Final = 100
"""The largest number of header lines."""

RESPONSE_LIMIT: Final = 32 * 1024
"""The longest head of a response."""

TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
PLAIN_TOKEN: Final = rb"[0-9A-Za-z-]"
"""What ordinary names of headers are made of: others are dropped, as in nginx, and take the slow way."""

VALUE: Final = rb"[\t\x20-\x7e\x80-\xff]"

# Origin form only, of visible ASCII without "#" (a fragment is never sent); everything else takes the slow way.
request_line = re.compile(
    rb"(?![cCtT](?i:ONNECT|RACE) )([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}+) (/[\x21\x22\x24-\x7e]*+) HTTP/1\.([01])(?=\r\n)"
).match
"""(method, target, minor version) of a request line in origin form."""

any_request_line = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}+) ([\x21\x22\x24-\x7e]++) HTTP/1\.([01])(?=\r\n)"
).match
"""The same for any form of target."""

# A block begins with the CRLF that ends the first line and ends with the empty line.
plain_block = re.compile(rb"\r\n(?:" + PLAIN_TOKEN + rb"++:" + VALUE + rb"*+\r\n)*+\r\n").match
"""A whole block of headers with ordinary names."""

any_block = re.compile(rb"\r\n(?:" + TOKEN + rb"++:" + VALUE + rb"*+\r\n)*+\r\n").match
"""A whole block of headers."""

field = re.compile(rb"(" + TOKEN + rb"++):[\t ]*+(" + VALUE + rb"*+)\r\n")
"""(name, value with trailing white space) of each line of a block."""

response_head = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: " + VALUE + rb"*+)?\r\n(?:" + TOKEN + rb"++:" + VALUE + rb"*+\r\n)*+\r\n"
).match
"""A whole head of a response; groups: minor version, status."""

absolute_form = re.compile(rb"(?i:https?)://([^/?@\\]++)(/[^?]*+)?(\?.*+)?").fullmatch
"""Target in absolute form: (authority, path, query). User information does not match."""


def _by_first_letter(names: Sequence[bytes]) -> dict[bytes, bytes]:
    """What either case of the first letter of ``names`` matches, to what follows it: one step leaves few to compare."""
    rests: dict[bytes, list[bytes]] = {}
    for name in names:
        rests.setdefault(b"[%b%b]" % (name[:1], name[:1].upper()), []).append(name[1:])
    return {first: b"(?i:%b)" % b"|".join(found) for first, found in rests.items()}


def one_of(names: Sequence[bytes]) -> bytes:
    """An expression for ``names`` (expressions in lower case that begin with a letter) in any case."""
    return b"|".join(first + rest for first, rest in _by_first_letter(names).items())


def lines_but(token: bytes, names: Sequence[bytes], at_most: int) -> bytes:
    """An expression for up to ``at_most`` header lines with other names than ``names``, made of ``token``."""
    firsts = _by_first_letter(names)
    compared = b"|".join(b"%b(?!%b:)" % (first, rest) for first, rest in firsts.items())
    ordinary = b"(?!%b)%b" % (b"|".join(firsts), token)
    ordinary = b"[%b]" % re.escape(bytes(byte for byte in range(128) if re.match(ordinary, bytes((byte,)))))
    return rb"(?:(?:%b|%b)%b*+:%b*+\r\n){0,%d}+" % (ordinary, compared, token, VALUE, at_most)


def _grows_into(text: bytes) -> bytes:
    """An expression for every beginning of ``text``."""
    pattern = b""
    for byte in reversed(text):
        pattern = rb"(?:" + re.escape(bytes([byte])) + pattern + rb")?"
    return pattern


beginning_of_line = re.compile(
    TOKEN + rb"{0,32}+(?: (?:[\x21\x22\x24-\x7e]*+(?: " + _grows_into(b"HTTP/1.") + rb"|(?: HTTP/1\.[01]\r?))?)?)?"
).fullmatch
"""What can still become a request line."""

status_line = re.compile(rb"HTTP/1\.[01] [1-9][0-9]{2}(?: " + VALUE + rb"*+)?").fullmatch
"""The first line of a response, without its end."""

beginning_of_status = re.compile(
    _grows_into(b"HTTP/1.") + rb"|HTTP/1\.[01](?: (?:[1-9](?:[0-9](?:[0-9](?: " + VALUE + rb"*+)?\r?)?)?)?)?"
).fullmatch
"""What can still become one, with its CR."""

beginning_of_field = re.compile(rb"\r?|" + TOKEN + rb"++(?::" + VALUE + rb"*+\r?)?").fullmatch
"""What can still become a header line or the empty line."""
