"""Whether a password is the one that a line of an htpasswd file was made of.

Owns the forms of hashes that nginx takes: ``{PLAIN}``, ``{SHA}``, ``{SSHA}``, ``$apr1$`` and, as crypt(3), ``$1$``,
``$2a$``, ``$2b$``, ``$2y$`` (bcrypt), ``$5$``, ``$6$`` (SHA-256, SHA-512). Anything else is no hash: nobody's. Pure.
Sources: ngx_crypt.c; Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512"; apr_md5.c.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Callable
from hmac import compare_digest
from typing import Final

import bcrypt

LONGEST: Final = 256
"""Bytes of a password; crypt(3) of ingress-nginx's image takes no longer ones."""
COSTLIEST: Final = 15
"""The cost of bcrypt: two seconds of a processor."""
MOST_ROUNDS: Final = 500_000
"""Rounds of SHA-crypt: a third of a second of a processor."""

_ALPHABET: Final = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_md5_crypt = re.compile(rb"\$(1|apr1)\$([^$]{0,8})\$[./0-9A-Za-z]{22}").fullmatch
_sha_crypt = re.compile(rb"\$([56])\$(?:rounds=([0-9]{1,9})\$)?([^$]{0,16})\$[./0-9A-Za-z]{43,86}").fullmatch
_bcrypt = re.compile(rb"\$2[aby]\$([0-9]{2})\$[./0-9A-Za-z]{53}").fullmatch
_BCRYPT_TAKES: Final = 72
"""Bytes of a password; it never looks at more."""


def is_dear(stored: bytes) -> bool:
    """Whether comparing with ``stored`` takes so long that requests would notice."""
    return stored.startswith(b"$")


def matches(password: bytes, stored: bytes) -> bool:
    """Whether ``stored`` was made of ``password``; False for what is no hash, or one that costs too much."""
    if len(password) > LONGEST or b"\0" in password:
        return False
    if stored.startswith(b"{"):
        return _labelled(password, stored)
    if found := _bcrypt(stored):
        return int(found[1]) <= COSTLIEST and _bcrypt_matches(password, stored)
    if found := _md5_crypt(stored):
        return compare_digest(md5_crypt(password, found[2], b"$%b$" % found[1]), stored)
    if found := _sha_crypt(stored):
        rounds = int(found[2] or 5000)
        if rounds > MOST_ROUNDS:
            return False
        begin = stored[: stored.rindex(b"$") + 1]
        return compare_digest(begin + sha_crypt(password, found[3], max(1000, rounds), wide=found[1] == b"6"), stored)
    return False


def _bcrypt_matches(password: bytes, stored: bytes) -> bool:
    try:
        return bcrypt.checkpw(password[:_BCRYPT_TAKES], stored)
    except ValueError:  # a cost or salt that is none
        return False


def _labelled(password: bytes, stored: bytes) -> bool:
    label, _, value = stored.partition(b"}")
    match label.upper():
        case b"{PLAIN":
            return compare_digest(password, value)
        case b"{SHA":
            return compare_digest(hashlib.sha1(password).digest(), _decoded(value)[:20])  # noqa: S324 - as it is stored
        case b"{SSHA":
            known = _decoded(value)
            salted = hashlib.sha1(password + known[20:]).digest()  # noqa: S324 - likewise
            return compare_digest(salted, known[:20])
    return False


def _decoded(value: bytes) -> bytes:
    try:
        return b64decode(value, validate=True)
    except NoBase64:
        return b""


def md5_crypt(password: bytes, salt: bytes, magic: bytes) -> bytes:
    """``$apr1$`` and ``$1$``: the whole stored form."""
    digest = hashlib.md5
    inner = digest(password + salt + password).digest()
    text = password + magic + salt + _repeated(inner, len(password))
    length = len(password)
    while length:
        text += b"\0" if length & 1 else password[:1]
        length >>= 1
    state = digest(text).digest()
    for number in range(1000):
        state = digest(_mixed(number, state, password, salt)).digest()
    groups = [(state[first], state[first + 6], state[first + 12]) for first in range(4)]
    groups.append((state[4], state[10], state[5]))
    return magic + salt + b"$" + b"".join(_written(*group) for group in groups) + _written(0, 0, state[11], 2)


def sha_crypt(password: bytes, salt: bytes, rounds: int, *, wide: bool) -> bytes:
    """``$5$``, or ``$6$`` if ``wide``: the hash alone."""
    digest: Callable[[bytes], hashlib._Hash] = hashlib.sha512 if wide else hashlib.sha256
    inner = digest(password + salt + password).digest()
    text = password + salt + _repeated(inner, len(password))
    length = len(password)
    while length:
        text += inner if length & 1 else password
        length >>= 1
    state = digest(text).digest()
    long_password = _repeated(digest(password * len(password)).digest(), len(password))
    long_salt = _repeated(digest(salt * (16 + state[0])).digest(), len(salt))
    for number in range(rounds):
        state = digest(_mixed(number, state, long_password, long_salt)).digest()
    third = len(state) // 3
    written = b""
    for number in range(third):
        turned = number % 3 if wide else -number % 3
        group = [state[number], state[number + third], state[number + 2 * third]]
        written += _written(*group[turned:], *group[:turned])
    return written + (_written(0, 0, state[63], 2) if wide else _written(0, state[31], state[30], 3))


def _mixed(number: int, state: bytes, password: bytes, salt: bytes) -> bytes:
    """What a round hashes."""
    odd = number & 1
    return b"".join(
        (
            password if odd else state,
            salt if number % 3 else b"",
            password if number % 7 else b"",
            state if odd else password,
        )
    )


def _repeated(block: bytes, length: int) -> bytes:
    return (block * (length // len(block) + 1))[:length]


def _written(high: int, middle: int, low: int, letters: int = 4) -> bytes:
    number = high << 16 | middle << 8 | low
    return bytes(_ALPHABET[number >> 6 * place & 63] for place in range(letters))
