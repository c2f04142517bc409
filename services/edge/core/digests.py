"""Digest access authentication (RFC 7616 with MD5 and ``qop=auth``): what a client says, and what would prove it.

Pure. Owns the grammar of the Authorization header and the arithmetic. Must not know nonces from one another, nor users.
"""

from __future__ import annotations

import re
from hashlib import md5
from hmac import compare_digest
from typing import Final

from msgspec import Struct

from services.edge.core import grammar

_SCHEME: Final = b"digest "
_QUOTED: Final = rb'"(?:[^"\\]|\\.)*+"'
_parameter = re.compile(
    rb"[\t ]*+(%b++)[\t ]*+=[\t ]*+(%b|%b++)[\t ]*+(?:,|\Z)" % (grammar.TOKEN, _QUOTED, grammar.TOKEN)
).match
_count = re.compile(rb"[0-9a-fA-F]{8}").fullmatch
_hash = re.compile(rb"[0-9a-f]{32}").fullmatch
_unescaped = re.compile(rb"\\(.)", re.DOTALL).sub
_SAID_ONCE: Final = frozenset(
    (b"username", b"realm", b"nonce", b"uri", b"response", b"algorithm", b"cnonce", b"opaque", b"qop", b"nc")
)


class Proof(Struct, frozen=True, gc=False):
    """What a client says to prove that it knows the password of ``user``. ``uses``: how often it says to have used the
    ``nonce``, ``written``: as it wrote that; ``own``: its part of the question."""

    user: bytes
    realm: bytes
    nonce: bytes
    target: bytes
    response: bytes
    own: bytes
    uses: int
    written: bytes


def proof_in(header: bytes | None) -> Proof | None:
    """What an Authorization header says; None: nothing of the kind, or not as it must be."""
    if header is None or header[: len(_SCHEME)].lower() != _SCHEME:
        return None
    said: dict[bytes, bytes] = {}
    at = len(_SCHEME)
    while at < len(header):
        found = _parameter(header, at)
        if found is None:
            return None
        name, value = found[1].lower(), found[2]
        if name in said and name in _SAID_ONCE:
            return None
        said[name] = _unescaped(rb"\1", value[1:-1]) if value.startswith(b'"') else value
        at = found.end()
    if said.get(b"algorithm", b"MD5").upper() != b"MD5" or said.get(b"qop", b"").lower() != b"auth":
        return None
    count, response = said.get(b"nc", b""), said.get(b"response", b"")
    user, nonce, target, own = (said.get(name, b"") for name in (b"username", b"nonce", b"uri", b"cnonce"))
    if b"realm" not in said or not (user and nonce and target and own):
        return None
    if _count(count) is None or _hash(response) is None:
        return None
    return Proof(user, said[b"realm"], nonce, target, response, own, int(count, 16), count)


def proves(proof: Proof, method: bytes, secret: bytes) -> bool:
    """Whether the client knows the password that ``secret`` (the hash of name, realm and password) was made of."""
    return compare_digest(_response(proof, secret, b"%b:%b" % (method, proof.target)), proof.response)


def counterproof(proof: Proof, secret: bytes) -> bytes:
    """What proves to the client that we know it too (``Authentication-Info``)."""
    return _response(proof, secret, b":" + proof.target)


def _response(proof: Proof, secret: bytes, asked: bytes) -> bytes:
    return _md5(b"%b:%b:%b:%b:auth:%b" % (secret.lower(), proof.nonce, proof.written, proof.own, _md5(asked)))


def _md5(text: bytes) -> bytes:
    """As the scheme has it; it guards no secret that is longer than a password."""
    return md5(text, usedforsecurity=False).hexdigest().encode()
