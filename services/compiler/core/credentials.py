"""Credentials in the table: which Secrets are referred to for telling who is at the other end, and what each holds.

Owns the references of hosts to Credentials. Pure. Must not know what they are used for.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from proto.codec import record_of
from proto.objects import Secret
from proto.resources import Credentials, ResourceKey
from services.compiler.core.store import ObjectStore
from services.compiler.core.table import CompiledTable

AUTHORITY = "ca.crt"
REVOKED = "ca.crl"
USERS = "auth"


class CredentialsState(Struct, frozen=True, gc=False):
    """What a Secret is good for: it has a ``pair`` to show, an ``authority`` to believe. ``problem``: why it is good
    for no TLS, as the end of a sentence about it; empty: it is good for something. ``exists``: there is one; ``users``:
    with a file of passwords."""

    pair: bool = False
    authority: bool = False
    problem: str = ""
    exists: bool = True
    users: bool = False


def state_of(secret: Secret | None) -> CredentialsState:
    """What ``secret`` is good for."""
    if secret is None:
        return CredentialsState(problem="does not exist", exists=False)
    users = USERS in secret.sealed
    if secret.problem and secret.tls is None:
        return CredentialsState(problem=f"cannot be used: {secret.problem}", users=users)
    pair, authority = secret.tls is not None, AUTHORITY in secret.sealed
    problem = "" if pair or authority else f"holds neither a pair nor {AUTHORITY}"
    return CredentialsState(pair, authority, problem, users=users)


def credentials_of(secret: Secret) -> Credentials:
    """The Credentials resource of ``secret``."""
    chain, key = (secret.tls.chain, secret.tls.sealed_key) if secret.tls is not None else ((), b"")
    entries = {name: sealed for name, sealed in secret.sealed.items() if name not in (AUTHORITY, REVOKED)}
    return Credentials(chain, key, secret.sealed.get(AUTHORITY, b""), secret.sealed.get(REVOKED, b""), entries)


class CredentialsSet:
    """Credentials by the name of their Secret."""

    def __init__(self, store: ObjectStore, table: CompiledTable) -> None:
        self._store = store
        self._table = table
        self._leaning: dict[str, frozenset[str]] = {}
        self._used_by: dict[str, int] = {}
        self._states: dict[str, CredentialsState] = {}
        self._dirty: set[str] = set()

    def state(self, name: str) -> CredentialsState:
        """What the Secret of that name is good for now."""
        state = self._states.get(name)
        if state is None:
            state = self._states[name] = state_of(self._store.secrets.get(name))
        return state

    def touch(self, name: str) -> bool:
        """A Secret changed. Returns whether it is good for something else than it was when somebody asked."""
        if name in self._used_by:
            self._dirty.add(name)
        before = self._states.pop(name, None)
        return before is not None and before != self.state(name)

    def lean(self, host: str, names: Iterable[str]) -> None:
        """Say to which Credentials a host refers now."""
        before, after = self._leaning.pop(host, frozenset()), frozenset(names)
        if after:
            self._leaning[host] = after
        for name in after - before:
            self._used_by[name] = self._used_by.get(name, 0) + 1
            self._dirty.add(name)
        for name in before - after:
            self._used_by[name] -= 1
            if not self._used_by[name]:
                del self._used_by[name]
                self._states.pop(name, None)
            self._dirty.add(name)

    def compile(self) -> None:
        """Put what is referred to into the table, and drop what is not any more."""
        for name in self._dirty:
            secret = self._store.secrets.get(name)
            if name in self._used_by and secret is not None:
                self._table.put(record_of(name, credentials_of(secret)))
            else:
                self._table.remove(ResourceKey("credentials", name))
        self._dirty = set()

    def is_used(self, name: str) -> bool:
        """Whether a host refers to the Credentials of that name."""
        return name in self._used_by
