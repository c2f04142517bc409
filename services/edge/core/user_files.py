"""Files of names and hashes, as htpasswd writes them. Pure. Source of the rule: ngx_http_auth_basic_module."""

from __future__ import annotations

import re

_end = re.compile(rb"[:\r\n]")


def users_in(text: bytes) -> dict[bytes, bytes]:
    """Hash by name; of lines with the same name the first counts. Lines that begin with ``#`` say nothing, and what
    stands behind a second colon is a comment."""
    found: dict[bytes, bytes] = {}
    for line in text.split(b"\n"):
        name, colon, rest = line.partition(b":")
        if colon and name and not line.startswith(b"#"):
            found.setdefault(name, _end.split(rest, 1)[0])
    return found
