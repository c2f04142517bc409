"""Nonces of digest authentication, and who has proved to know a password with one.

A nonce says when it was made, and that an edge of this instance made it: any worker of any edge takes it, for a while.
Owns which of their uses this worker has seen, so that a proof that somebody overheard is of no use here; what is
remembered is bounded, and a nonce that was forgotten for it is stale.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from hmac import compare_digest
from time import time
from typing import Final

from proto.sealing import Sealer
from services.edge.core.digests import Proof, counterproof, proves
from services.edge.core.policies.digests import Challenged, Judged
from services.edge.core.user_files import digest_users_in
from services.edge.user_secrets import UserSecrets

LIFETIME: Final = 60_000
"""Milliseconds for which a nonce may be used."""
SKEW: Final = 5_000
"""Milliseconds by which the clock of the edge that made it may be ahead."""
REMEMBERED_AT_MOST: Final = 10_000
"""Nonces of which a worker knows the uses."""
WINDOW: Final = 1024
"""Uses of a nonce that may come out of order: requests of a client reach us on several connections."""

_TIME, _SALT, _SEAL = 6, 9, 15
_NOBODY: Final = b"0" * 32


class Digests:
    """See the module. ``clock``: seconds since 1970, as on every machine."""

    def __init__(self, sealer: Sealer, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._secrets = UserSecrets(sealer, digest_users_in)
        self._key = sealer.derived("digest authentication")
        self._uses = Uses()

    def judge(self, challenged: Challenged) -> Judged | None:
        """Whether the client has proved what it must; None: that cannot be told."""
        users = self._secrets.users(challenged.name, challenged.credentials, by_user=challenged.by_user)
        if users is None:
            return None
        proof = challenged.proof
        if proof is None:
            return Judged(nonce=self._nonce())
        secret = users.get(b"%b:%b" % (proof.user, proof.realm))
        if not proves(proof, challenged.method, secret or _NOBODY) or secret is None:
            return Judged(nonce=self._nonce())
        if not self._is_good(proof):
            return Judged(nonce=self._nonce(), stale=True)
        return Judged(counterproof(proof, secret))

    def _nonce(self) -> bytes:
        made = int(self._clock() * 1000).to_bytes(_TIME) + secrets.token_bytes(_SALT)
        return urlsafe_b64encode(made + self._seal(made))

    def _seal(self, made: bytes) -> bytes:
        return blake2b(made, key=self._key, digest_size=_SEAL).digest()

    def _is_good(self, proof: Proof) -> bool:
        """Whether an edge made the nonce, not long ago, and this use of it is a new one."""
        try:
            plain = urlsafe_b64decode(proof.nonce)
        except (NoBase64, ValueError):
            return False
        made, seal = plain[: _TIME + _SALT], plain[_TIME + _SALT :]
        if not compare_digest(seal, self._seal(made)):
            return False
        at, now = int.from_bytes(made[:_TIME]), int(self._clock() * 1000)
        return at - SKEW <= now < at + LIFETIME and self._uses.is_new(made, at, proof.uses)


class Uses:
    """Which uses of nonces were seen: for each the highest, and a bit for every one of WINDOW up to it. Those made
    before one that was forgotten while it was good are taken for used up, if they are not known."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, tuple[int, int, int]] = OrderedDict()
        self._forgotten = -1

    def is_new(self, nonce: bytes, made: int, use: int) -> bool:
        """Whether this use of ``nonce``, made at that time, was not seen; now it was."""
        known = self._seen.get(nonce)
        if known is None:
            if made <= self._forgotten or use < 1:
                return False
            self._seen[nonce] = made, use, 1
            if len(self._seen) > REMEMBERED_AT_MOST:
                _, (oldest, _, _) = self._seen.popitem(last=False)
                self._forgotten = max(self._forgotten, oldest)
            return True
        _, highest, bits = known
        if use > highest:
            shift = use - highest
            bits = ((bits << shift) | 1) & _MASK if shift < WINDOW else 1
            self._seen[nonce] = made, use, bits
            return True
        bit = 1 << (highest - use)
        if highest - use >= WINDOW or use < 1 or bits & bit:
            return False
        self._seen[nonce] = made, highest, bits | bit
        return True


_MASK: Final = (1 << WINDOW) - 1
