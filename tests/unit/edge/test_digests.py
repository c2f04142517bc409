"""Nonces: who made them, for how long they are good, and that none is used twice in the same way."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import md5

import pytest

from proto.resources import Credentials
from proto.sealing import Sealer, secret_place
from services.edge import digests
from services.edge.core.digests import Proof
from services.edge.core.policies.digests import Challenged, Judged
from services.edge.digests import WINDOW, Digests, Uses
from tests.support.edge import SEALER


def hashed(*parts: bytes) -> bytes:
    return md5(b":".join(parts)).hexdigest().encode()


HA1 = hashed(b"ann", b"r", b"secret")


def held(**entries: bytes) -> Credentials:
    return Credentials(
        sealed_entries={name: SEALER.seal(secret_place("ns", "users", name), text) for name, text in entries.items()}
    )


FILE = held(auth=b"ann:r:" + HA1)


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def challenged(
    nonce: bytes = b"", uses: int = 1, *, credentials: Credentials = FILE, by_user: bool = False
) -> Challenged:
    if not nonce:
        return Challenged("ns/users", credentials, by_user, b"GET", None)
    written = b"%08x" % uses
    response = hashed(HA1, nonce, written, b"c", b"auth", hashed(b"GET", b"/"))
    return Challenged(
        "ns/users", credentials, by_user, b"GET", Proof(b"ann", b"r", nonce, b"/", response, b"c", uses, written)
    )


def nonce_of(known: Digests) -> bytes:
    judged = known.judge(challenged())
    assert judged is not None
    assert not judged.counterproof
    assert not judged.stale
    return judged.nonce


def test_a_nonce_of_one_edge_is_good_at_another_until_it_is_old() -> None:
    clock = Clock()
    one, other = Digests(SEALER, clock), Digests(SEALER, clock)
    nonce = nonce_of(one)
    assert other.judge(challenged(nonce)).counterproof  # type: ignore[union-attr]
    clock.now += digests.LIFETIME / 1000
    stale = one.judge(challenged(nonce))
    assert stale is not None
    assert stale.stale
    assert stale.nonce != nonce
    clock.now -= digests.LIFETIME / 1000 + digests.SKEW / 1000 + 1
    assert other.judge(challenged(nonce, 2)).stale  # type: ignore[union-attr]


def test_a_nonce_that_nobody_made() -> None:
    clock = Clock()
    known = Digests(SEALER, clock)
    raw = urlsafe_b64decode(nonce_of(known))
    stranger = Digests(Sealer("limen", [("00" * 8, bytes(range(1, 65)))]), clock)
    for nonce in (
        b"x",
        b"!",
        b"\xff",
        urlsafe_b64encode(raw[:-1]),
        urlsafe_b64encode(bytes([raw[0] ^ 1]) + raw[1:]),
        stranger._nonce(),
    ):
        assert known.judge(challenged(nonce)).stale  # type: ignore[union-attr]


def test_what_was_overheard_is_of_no_use() -> None:
    known = Digests(SEALER, Clock())
    nonce = nonce_of(known)
    assert known.judge(challenged(nonce, 1)).counterproof  # type: ignore[union-attr]
    assert known.judge(challenged(nonce, 1)).stale  # type: ignore[union-attr]
    assert known.judge(challenged(nonce, 2)).counterproof  # type: ignore[union-attr]


def test_both_layouts_and_secrets_that_cannot_be_read() -> None:
    known = Digests(SEALER, Clock())
    nonce = nonce_of(known)
    by_user = held(ann=b"r:" + HA1 + b"\n", bob=b"r:" + b"0" * 32)
    assert known.judge(challenged(nonce, credentials=by_user, by_user=True)).counterproof  # type: ignore[union-attr]
    wrong = held(auth=b"ann:q:" + HA1)
    assert known.judge(challenged(nonce, 2, credentials=wrong)) is not None
    assert not known.judge(challenged(nonce, 2, credentials=wrong)).counterproof  # type: ignore[union-attr]
    assert known.judge(challenged(nonce, credentials=Credentials())) is None
    assert known.judge(challenged(nonce, credentials=Credentials(sealed_entries={"auth": b"damaged"}))) is None


def test_a_proof_of_another_password() -> None:
    known = Digests(SEALER, Clock())
    nonce = nonce_of(known)
    question = challenged(nonce)
    assert question.proof is not None
    other = Challenged("ns/users", held(auth=b"ann:r:" + b"0" * 32), False, b"GET", question.proof)
    judged = known.judge(other)
    assert isinstance(judged, Judged)
    assert not judged.counterproof
    assert not judged.stale


def test_uses_come_out_of_order_within_a_window() -> None:
    uses = Uses()
    assert [uses.is_new(b"n", 1, use) for use in (5, 3, 3, 4, 0, 6, 5)] == [True, True, False, True, False, True, False]
    assert uses.is_new(b"n", 1, 5 + WINDOW)
    assert not uses.is_new(b"n", 1, 1)
    assert uses.is_new(b"n", 1, 7)
    assert uses.is_new(b"n", 1, 10 * WINDOW)
    assert not uses.is_new(b"n", 1, 8 * WINDOW)


def test_what_is_forgotten_is_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "REMEMBERED_AT_MOST", 2)
    uses = Uses()
    assert all(uses.is_new(b"%d" % made, made, 1) for made in (5, 6, 7))
    assert not uses.is_new(b"5", 5, 2)
    assert not uses.is_new(b"4", 4, 1)
    assert uses.is_new(b"6", 6, 2)
    assert uses.is_new(b"8", 8, 1)
