"""Whether passwords are right: compares beside the requests what takes its time.

Owns which passwords were right lately: by a digest that says nothing without this worker's key. What is dear is worked
out once for all who ask the same at once, by few threads, for a bounded number of askers.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from typing import Final

from proto.sealing import Sealer
from services.edge.core.password_hashes import is_dear, matches
from services.edge.core.policies.passwords import Login
from services.edge.core.user_files import users_in
from services.edge.user_secrets import UserSecrets

REMEMBERED_AT_MOST: Final = 10_000
"""Passwords that were right; the least recently used goes first."""
COMPARED_AT_MOST: Final = 64
"""Comparisons under way; who asks for one more is told that nobody can tell."""
_THREADS: Final = 2
_PATIENCE: Final = 30.0
"""Seconds that a request waits for its turn."""


class Passwords:
    """See the module."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sealer: Sealer) -> None:
        self._loop = loop
        self._secrets = UserSecrets(sealer, users_in)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._compared: dict[bytes, asyncio.Future[bool]] = {}
        self._key = secrets.token_bytes(32)
        self._threads = ThreadPoolExecutor(_THREADS, "passwords")

    def check(self, login: Login) -> bool | Awaitable[bool | None] | None:
        """Whether the password is right; None: that cannot be told, now or at all."""
        users = self._secrets.users(login.name, login.credentials, by_user=login.by_user)
        if users is None:
            return None
        stored = users.get(login.user)
        if stored is None:
            return False
        if not is_dear(stored):
            return matches(login.password, stored)
        digest = self._digest(stored, login.password)
        if digest in self._right:
            self._right.move_to_end(digest)
            return True
        return self._compare(digest, stored, login.password)

    def _compare(self, digest: bytes, stored: bytes, password: bytes) -> Awaitable[bool | None] | None:
        under_way = self._compared.get(digest)
        if under_way is None:
            if len(self._compared) >= COMPARED_AT_MOST:
                return None
            under_way = self._loop.run_in_executor(self._threads, matches, password, stored)
            self._compared[digest] = under_way
            under_way.add_done_callback(lambda done: self._done(digest, done))
        return _patiently(under_way)

    def _done(self, digest: bytes, done: asyncio.Future[bool]) -> None:
        del self._compared[digest]
        if not done.cancelled() and done.exception() is None and done.result():
            self._right[digest] = None
            if len(self._right) > REMEMBERED_AT_MOST:
                self._right.popitem(last=False)

    def _digest(self, stored: bytes, password: bytes) -> bytes:
        return blake2b(b"%d:%b%b" % (len(stored), stored, password), key=self._key, digest_size=32).digest()


async def _patiently(comparison: asyncio.Future[bool]) -> bool | None:
    """What comes of it; others may wait for it too. None: it takes too long."""
    try:
        async with asyncio.timeout(_PATIENCE):
            return await asyncio.shield(comparison)
    except TimeoutError:
        return None
