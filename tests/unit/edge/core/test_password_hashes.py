"""Hashes of passwords against what openssl, htpasswd and crypt(3) make of the same ones."""

from __future__ import annotations

import hashlib
from base64 import b64encode

import bcrypt
import pytest

from services.edge.core import password_hashes
from services.edge.core.password_hashes import is_dear, matches
from services.edge.core.user_files import users_in

SSHA = b"{SSHA}" + b64encode(hashlib.sha1(b"secretNaCl").digest() + b"NaCl")

KNOWN = [
    ("pässword", b"$apr1$abcdefgh$rRdIxwY5XRHT4TMtBPZn.0"),
    ("", b"$apr1$abcdefgh$L.PT565ESX4Tp2bqNs7Ie."),
    ("x", b"$1$abc$OGyl6dDvZCDiGmIVbeuCq/"),
    ("Hello world!", b"$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
    ("Hello world!", b"$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"),
    ("Hello world!", b"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJ"
     b"uesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"),
    ("y" * 200, b"$6$abcdefghijklmnop$Dzx2pybE/2dtgylcDHTIphbpsItmN3wBGGnCWb3yuGSoXb0"
     b"KEtrfhee2ur9qAX0pnSmc7NPoNtAuEOpdT7FsF1"),
    ("bar", b"$2y$04$abcdefghijklmnopqrstuuEnktNu4dNa/sMz6nY.lAbxawdTTajT2"),
    ("x" * 100, b"$2y$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i"),
    ("password", b"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="),
    ("secret", SSHA),
    ("as it is", b"{PLAIN}as it is"),
]  # fmt: skip


@pytest.mark.parametrize(("password", "stored"), KNOWN)
def test_known_hashes(password: str, stored: bytes) -> None:
    right = password.encode()
    assert matches(right, stored)
    wrong = b"z" + right[1:] if right else b"z"
    assert not matches(wrong, stored)
    assert is_dear(stored) is stored.startswith(b"$")


@pytest.mark.parametrize(
    "stored",
    [
        b"plain text",
        b"",
        b"rqXexS6ZhobKA",  # crypt(3) with DES
        b"{SHA}",
        b"{SHA}not base64",
        b"{SSHA}",
        b"{MD5}X03MO1qnZdYdgyfeuILPmQ==",
        b"$apr1$",
        b"$apr1$abcdefgh$short",
        b"$5$$",
        b"$2y$04$tooshort",
        b"$2y$99$abcdefghijklmnopqrstuuEnktNu4dNa/sMz6nY.lAbxawdTTajT2",
        b"$y$j9T$abc$" + b"x" * 43,
    ],
)
def test_what_is_no_hash_is_nobodys(stored: bytes) -> None:
    assert not matches(stored, stored)
    assert not matches(b"plain text", stored)
    assert not matches(b"", stored)


def test_what_costs_too_much_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = bcrypt.hashpw(b"p", bcrypt.gensalt(5))
    assert matches(b"p", stored)
    monkeypatch.setattr(password_hashes, "COSTLIEST", 4)
    assert not matches(b"p", stored)
    rounds = b"$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"
    monkeypatch.setattr(password_hashes, "MOST_ROUNDS", 9_999)
    assert not matches(b"Hello world!", rounds)


def test_passwords_are_bounded_and_hold_no_nul() -> None:
    assert matches(b"x" * 256, b"{PLAIN}" + b"x" * 256)
    assert not matches(b"x" * 257, b"{PLAIN}" + b"x" * 257)
    assert not matches(b"a\0b", b"{PLAIN}a\0b")


def test_files_of_users() -> None:
    text = (
        b"# who\nann:{PLAIN}a:a comment\r\nbob:{PLAIN}b\r\nann:{PLAIN}later\nno colon\n:nobody\n#eve:{PLAIN}e\nlast:x"
    )
    assert users_in(text) == {b"ann": b"{PLAIN}a", b"bob": b"{PLAIN}b", b"last": b"x"}
    assert users_in(b"") == {}
