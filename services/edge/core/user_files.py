"""Files of names and hashes, as htpasswd and htdigest write them. Pure. Source: ngx_http_auth_basic_module."""

from __future__ import annotations

import re

_end = re.compile(rb"[:\r\n]")
_md5 = re.compile(rb"[0-9a-fA-F]{32}").fullmatch


def users_in(text: bytes) -> dict[bytes, bytes]:
    """Hash by name; of lines with the same name the first counts. Lines that begin with ``#`` say nothing, and what
    stands behind a second colon is a comment."""
    found: dict[bytes, bytes] = {}
    for line in text.split(b"\n"):
        name, colon, rest = line.partition(b":")
        if colon and name and not line.startswith(b"#"):
            found.setdefault(name, _end.split(rest, 1)[0])
    return found


def digest_users_in(text: bytes) -> dict[bytes, bytes]:
    """Of a file as htdigest writes it: hash by ``name:realm``, the first that is there; lines that end in no hash of
    MD5 say nothing."""
    found: dict[bytes, bytes] = {}
    for line in text.splitlines():
        user, _, secret = line.rpartition(b":")
        if b":" in user and not line.startswith((b"#", b":")) and _md5(secret) is not None:
            found.setdefault(user, secret)
    return found
