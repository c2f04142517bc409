"""The Lease: at most one watcher is active, and the one that stops hands over at once.

Owns the record in ``coordination.k8s.io``. Ordering is by the record's resourceVersion, time by this process' monotonic
clock alone: a holder is gone when its record has not changed for the length of the lease as *we* saw it pass, whatever
clocks are written in it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from datetime import UTC, datetime
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from services.watcher.sources.kubernetes.client import ApiError

_log = logging.getLogger(__name__)

LENGTH: Final = 15.0
RENEW_EVERY: Final = 3.0
HELD_PART: Final = 2 / 3
"""So much of the length a holder acts after its last renewal; the rest is for a pause between looking and sending."""
LOOK_EVERY: Final = 1.0

CONFLICT: Final = 409
NOT_FOUND: Final = 404


class Api(Protocol):
    """What the Lease needs of the client."""

    async def get(self, path: str) -> bytes:
        """The body of a GET."""

    async def send(self, method: str, path: str, body: bytes) -> bytes:
        """The body of the answer to a write."""


class _Spec(Struct, frozen=True, rename="camel", omit_defaults=True):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class _Meta(Struct, frozen=True, rename="camel", omit_defaults=True):
    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class _Record(Struct, frozen=True, rename="camel"):
    metadata: _Meta
    spec: _Spec = _Spec()
    api_version: str = "coordination.k8s.io/v1"
    kind: str = "Lease"


_RECORD = msgspec.json.Decoder(_Record)


class Lease:
    """``identity``: this process, unique among all; ``length``: seconds after which one that was not renewed may be
    taken. One at a time calls its methods."""

    def __init__(self, api: Api, namespace: str, name: str, identity: str, length: float = LENGTH) -> None:
        self._api = api
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._meta = _Meta(name, namespace)
        self._identity = identity
        self._length = length
        self._record: _Record | None = None
        self._seen_at = 0.0
        self._renewed_at: float | None = None
        self.error = ""

    @property
    def held(self) -> bool:
        """Whether this process may act now."""
        return self._renewed_at is not None and time.monotonic() - self._renewed_at < self._length * HELD_PART

    @property
    def holder(self) -> str:
        """Who holds it, as last seen."""
        return (self._record and self._record.spec.holder_identity) or ""

    async def acquire(self) -> None:
        """Return when this process holds the Lease."""
        while True:
            if await self._try():
                break
            await asyncio.sleep(LOOK_EVERY * random.uniform(0.7, 1.0))  # noqa: S311 - jitter
        _log.info("this watcher is active (lease %s held by %s)", self._meta.name, self._identity)

    async def keep(self) -> None:
        """Renew until somebody else is seen to hold the Lease.

        While the API server is away nobody can take it: this process stops acting (``held``) and carries on if the
        record is still its own afterwards.
        """
        while True:
            await asyncio.sleep(min(RENEW_EVERY, self._length / 5) if self.held else LOOK_EVERY)
            if not await self._try() and self.holder not in ("", self._identity):
                _log.warning("lease %s is held by %s now", self._meta.name, self.holder)
                self._renewed_at = None
                return

    async def release(self) -> None:
        """Hand over at once, if this process holds the Lease; errors are logged, the Lease then runs out."""
        if self._renewed_at is None or self._record is None or self.holder != self._identity:
            return
        self._renewed_at = None
        given_up = msgspec.structs.replace(self._record.spec, holder_identity="", lease_duration_seconds=1)
        try:
            async with asyncio.timeout(2):
                try:
                    await self._write(given_up)
                except ApiError as error:
                    if error.status != CONFLICT:
                        raise
                    # A renewal that was cut short has been stored all the same.
                    await self._look(time.monotonic())
                    if self.holder == self._identity:
                        await self._write(given_up)
        except (ApiError, TimeoutError) as error:
            _log.warning("cannot release lease %s: %s", self._meta.name, error)
        else:
            _log.info("released lease %s", self._meta.name)

    async def _try(self) -> bool:
        """Take or renew the Lease if it is free, run out or ours; whether it is ours now."""
        began = time.monotonic()
        try:
            await self._look(began)
            if not self._free(began):
                self._tell(f"held by {self.holder}", logging.INFO)
                return False
            await self._write(self._claim())
        except ApiError as error:
            if error.status != CONFLICT:  # that one only says that somebody else was quicker
                self._tell(f"lease {self._meta.name}: {error}", logging.WARNING)
            return False
        self._tell("", logging.INFO)
        self._renewed_at = self._seen_at = began
        return True

    async def _look(self, now: float) -> None:
        try:
            found = _read(await self._api.get(f"{self._path}/{self._meta.name}"))
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            found = None
        if found != self._record:
            self._seen_at = now
        self._record = found

    def _free(self, now: float) -> bool:
        if self._record is None or self.holder in ("", self._identity):
            return True
        length = self._record.spec.lease_duration_seconds or self._length
        return now - self._seen_at > length

    def _claim(self) -> _Spec:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = self._record.spec if self._record else _Spec()
        ours = spec.holder_identity == self._identity
        return _Spec(
            self._identity,
            int(self._length),
            spec.acquire_time if ours else now,
            now,
            (spec.lease_transitions or 0) + (0 if ours or self._record is None else 1),
        )

    async def _write(self, spec: _Spec) -> None:
        if self._record is None:
            body = msgspec.json.encode(_Record(self._meta, spec))
            answer = await self._api.send("POST", self._path, body)
        else:
            body = msgspec.json.encode(_Record(self._record.metadata, spec))
            answer = await self._api.send("PUT", f"{self._path}/{self._meta.name}", body)
        self._record = _read(answer)

    def _tell(self, error: str, level: int) -> None:
        if error and error != self.error:
            _log.log(level, "%s", error)
        self.error = error


def _read(body: bytes) -> _Record:
    """The Lease that the API server (or something before it) answered with. Raises ApiError."""
    try:
        return _RECORD.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ApiError(0, f"the Lease cannot be read: {error}") from None
