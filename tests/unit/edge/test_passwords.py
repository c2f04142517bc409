"""Who is right about a password: Secrets that are opened, comparisons beside the loop, and what is remembered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Iterator

import bcrypt
import pytest

from proto.resources import Credentials
from proto.sealing import secret_place
from services.edge import passwords
from services.edge.core.policies.passwords import Login
from services.edge.passwords import Passwords
from tests.support.edge import SEALER

HASH = bcrypt.hashpw(b"right", bcrypt.gensalt(4))


def held(**entries: bytes) -> Credentials:
    return Credentials(
        sealed_entries={name: SEALER.seal(secret_place("ns", "users", name), text) for name, text in entries.items()}
    )


def login(credentials: Credentials, user: bytes, password: bytes, *, by_user: bool = False) -> Login:
    return Login("ns/users", credentials, by_user, user, password)


class Counted:
    """A comparison that waits for its gate."""

    def __init__(self) -> None:
        self.calls = 0
        self.gate = threading.Event()

    def __call__(self, password: bytes, _stored: bytes) -> bool:
        self.calls += 1
        self.gate.wait(10)
        return password == b"right"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    made = Counted()
    monkeypatch.setattr(passwords, "matches", made)
    yield made
    made.gate.set()


async def answer(said: bool | Awaitable[bool | None] | None) -> bool | None:
    return await said if isinstance(said, Awaitable) else said


async def test_files_and_maps_of_users() -> None:
    known = Passwords(asyncio.get_running_loop(), SEALER)
    file = held(auth=b"ann:{PLAIN}a\nbob:" + HASH + b"\n")
    assert known.check(login(file, b"ann", b"a")) is True
    assert known.check(login(file, b"ann", b"b")) is False
    assert known.check(login(file, b"eve", b"a")) is False
    assert await answer(known.check(login(file, b"bob", b"right"))) is True
    assert await answer(known.check(login(file, b"bob", b"wrong"))) is False
    users = held(ann=b"{PLAIN}a\neve:{PLAIN}e", auth=b"{PLAIN}x")
    assert known.check(login(users, b"ann", b"a", by_user=True)) is True
    assert known.check(login(users, b"auth", b"x", by_user=True)) is True
    assert known.check(login(users, b"eve", b"e", by_user=True)) is False, "one user for each key"


async def test_a_secret_that_cannot_be_read_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    known = Passwords(asyncio.get_running_loop(), SEALER)
    moved = Credentials(sealed_entries={"auth": SEALER.seal(secret_place("ns", "other", "auth"), b"ann:{PLAIN}a")})
    assert known.check(login(moved, b"ann", b"a")) is None
    assert known.check(login(held(other=b"ann:{PLAIN}a"), b"ann", b"a")) is None
    assert known.check(login(held(auth=b"ann:{PLAIN}a"), b"ann", b"a")) is True, "a change is seen"
    assert "ns/users" in caplog.text
    assert "PLAIN" not in caplog.text


async def test_what_was_right_is_remembered_until_the_hash_is_another(counted: Counted) -> None:
    counted.gate.set()
    known = Passwords(asyncio.get_running_loop(), SEALER)
    file = held(auth=b"bob:$2y$1")
    assert await answer(known.check(login(file, b"bob", b"right"))) is True
    assert known.check(login(file, b"bob", b"right")) is True
    assert counted.calls == 1
    for _ in range(2):
        assert await answer(known.check(login(file, b"bob", b"wrong"))) is False
    assert counted.calls == 3, "what was wrong is not"
    assert await answer(known.check(login(held(auth=b"bob:$2y$2"), b"bob", b"right"))) is True
    assert counted.calls == 4
    assert known.check(login(held(auth=b"ann:$2y$1"), b"bob", b"right")) is False, "gone"
    assert not any(b"right" in digest for digest in known._right)


async def test_who_asks_the_same_at_once_shares_and_leaving_takes_it_from_nobody(counted: Counted) -> None:
    known = Passwords(asyncio.get_running_loop(), SEALER)
    file = held(auth=b"bob:$2y$1")
    both = [asyncio.ensure_future(answer(known.check(login(file, b"bob", b"right")))) for _ in range(2)]
    await asyncio.sleep(0)
    both[0].cancel()
    counted.gate.set()
    assert await both[1] is True
    assert counted.calls == 1


async def test_comparisons_are_bounded(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "COMPARED_AT_MOST", 2)
    monkeypatch.setattr(passwords, "REMEMBERED_AT_MOST", 1)
    known = Passwords(asyncio.get_running_loop(), SEALER)
    file = held(auth=b"ann:$2y$1\nbob:$2y$2\neve:$2y$3")
    first = [asyncio.ensure_future(answer(known.check(login(file, name, b"right")))) for name in (b"ann", b"bob")]
    await asyncio.sleep(0)
    assert known.check(login(file, b"eve", b"right")) is None
    counted.gate.set()
    assert await asyncio.gather(*first) == [True, True]
    assert await answer(known.check(login(file, b"eve", b"right"))) is True
    assert len(known._right) == 1


async def test_nobody_waits_for_ever(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_PATIENCE", 0.01)
    known = Passwords(asyncio.get_running_loop(), SEALER)
    assert await answer(known.check(login(held(auth=b"bob:$2y$1"), b"bob", b"right"))) is None
