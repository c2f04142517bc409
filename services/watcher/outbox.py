"""The outbox: what shall stand on the bus against what stands there, and the messages that make up the difference.

The one owner of session, sequence and digest. Reads no clock (times are given) and does no I/O: the publisher sends
what ``take`` gives and reports each outcome. ``docs/bus.md`` specifies the messages.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from msgspec import Struct

from proto.codec import DecodeError, decode, encode
from proto.digest import EMPTY, combine, entry_hash
from proto.objects import Kind, KindCount, Object, ObjectEnvelope, ObjectKey, WatcherBeacon
from proto.signing import AuthenticationError, ObjectAuthenticator
from proto.snapshots import SCHEMA

MAX_OBJECT: Final = 1024 * 1024 - 8 * 1024
"""The largest object: NATS' default limit of a message, less what envelope, subject and headers take."""

TOMBSTONE_AGE: Final = 600.0
"""Seconds that the word "gone" stays on the bus before it is cleaned up."""


class Outgoing(Struct, frozen=True):
    """One message to store. ``data`` is the whole message, ``object`` the part that is compared, ``before`` what stood
    there until now."""

    key: ObjectKey
    data: bytes
    object: bytes
    before: bytes


class Held(Struct, frozen=True):
    """One message that the stream holds: its sequence there and its bytes."""

    sequence: int
    data: bytes


class _Entry(Struct):
    """``object``: its bytes, empty for "gone"."""

    object: bytes
    observed_at: float = 0.0
    resource_version: str = ""
    trace: str = ""
    relisted: bool = False


class Outbox:
    """Everything that concerns one session of an active watcher."""

    def __init__(self, instance: str, authenticator: ObjectAuthenticator, session: str = "") -> None:
        self._instance = instance
        self._authenticator = authenticator
        self.session = session or secrets.token_hex(8)
        self.sequence = 0
        self.digest = EMPTY
        self._wanted: dict[ObjectKey, _Entry] = {}
        self._sent: dict[ObjectKey, bytes] = {}
        self._live: Counter[str] = Counter()
        self._dirty: dict[ObjectKey, None] = {}
        self._doubtful: set[ObjectKey] = set()
        self._in_flight: Counter[ObjectKey] = Counter()
        self._places: dict[ObjectKey, int] = {}
        self._tombstones: dict[ObjectKey, float] = {}
        self._last = 0

    def want(
        self,
        key: ObjectKey,
        value: Object | None,
        observed_at: float,
        resource_version: str = "",
        relisted: bool = False,
    ) -> bool:
        """``value`` shall stand on the bus (None: nothing); whether that is within the size of a message.

        What is too large leaves what stood there before in place.
        """
        data = b"" if value is None else encode(value)
        if len(data) > MAX_OBJECT:
            return False
        self._wanted[key] = _Entry(data, observed_at, resource_version, secrets.token_hex(16), relisted)
        if data == self._sent.get(key, b"") and key not in self._doubtful:
            self._dirty.pop(key, None)
            if not data:
                del self._wanted[key]
        else:
            self._dirty[key] = None
        return True

    def adopt(self, held: Iterable[Held], last: int, now: float) -> list[int]:
        """Take what the stream holds as the truth about the bus. ``last``: its last sequence.

        Returns the sequences of messages that no watcher wrote (unreadable, or not authenticated), which do not count
        and should be deleted. Nothing may be in flight.
        """
        foreign = []
        self._sent, self._places, self._tombstones = {}, {}, {}
        self._live.clear()
        self._doubtful.clear()
        self.digest, self._last = EMPTY, last
        for message in held:
            envelope = self._read(message.data)
            if envelope is None:
                foreign.append(message.sequence)
                continue
            self._places[envelope.key] = message.sequence
            self._note_sent(envelope.key, envelope.object)
            if not envelope.object:
                self._tombstones[envelope.key] = now
        self._dirty = {key: None for key, entry in self._wanted.items() if self._sent.get(key, b"") != entry.object}
        return foreign

    def on_bus(self, kind: Kind) -> Iterator[bytes]:
        """The live objects of ``kind`` that stand on the bus."""
        return (data for key, data in self._sent.items() if key.kind == kind and data)

    def _read(self, data: bytes) -> ObjectEnvelope | None:
        try:
            schema, body, mac = decode(data, tuple[int, bytes, bytes], "object message")
            self._authenticator.check("object", body, mac)
            envelope = decode(body, ObjectEnvelope, "object envelope")
        except (DecodeError, AuthenticationError):
            return None
        return envelope if schema == SCHEMA and envelope.instance == self._instance else None

    def retire(self, kinds: frozenset[Kind], observed_at: float) -> list[ObjectKey]:
        """Objects of ``kinds``, now completely listed, that stand on the bus but that nobody wants, shall go."""
        gone = [key for key, data in self._sent.items() if data and key.kind in kinds and key not in self._wanted]
        for key in gone:
            self.want(key, None, observed_at, relisted=True)
        return gone

    def take(self, limit: int, now: float) -> list[Outgoing]:
        """At most ``limit`` messages to send next, in order. Source objects wait until all others are stored."""
        chosen = [key for key in self._dirty if key.kind != "source"][:limit]
        if not chosen and not self._in_flight:
            chosen = list(self._dirty)[:limit]
        return [self._send(key, now) for key in chosen]

    def _send(self, key: ObjectKey, now: float) -> Outgoing:
        del self._dirty[key]
        self._doubtful.discard(key)
        entry, before = self._wanted[key], self._sent.get(key, b"")
        self.sequence += 1
        body = encode(
            ObjectEnvelope(
                self._instance,
                key,
                self.session,
                self.sequence,
                entry.observed_at,
                entry.resource_version,
                entry.trace,
                entry.object,
                entry.relisted,
            )
        )
        self._note_sent(key, entry.object)
        self._in_flight[key] += 1
        if not entry.object:
            del self._wanted[key]
            self._tombstones[key] = now
        else:
            self._tombstones.pop(key, None)
        mac = self._authenticator.mac("object", body)
        return Outgoing(key, encode((SCHEMA, body, mac)), entry.object, before)

    def _note_sent(self, key: ObjectKey, data: bytes) -> None:
        before, name = self._sent.get(key, b""), f"{key.namespace}/{key.name}"
        self.digest = combine(
            self.digest,
            added=entry_hash(key.kind, name, data) if data else 0,
            removed=entry_hash(key.kind, name, before) if before else 0,
        )
        self._sent[key] = data
        self._live[key.kind] += bool(data) - bool(before)

    def stored(self, outgoing: Outgoing, sequence: int) -> None:
        """The stream has ``outgoing`` under ``sequence``."""
        self._landed(outgoing.key)
        self._places[outgoing.key] = max(sequence, self._places.get(outgoing.key, 0))
        self._last = max(self._last, sequence)

    def failed(self, outgoing: Outgoing) -> None:
        """Nobody knows whether the stream has ``outgoing``: it goes again unless something newer went."""
        self._landed(outgoing.key)
        key = outgoing.key
        if self._sent.get(key) == outgoing.object and key not in self._dirty:
            self._wanted.setdefault(key, _Entry(b""))
            self._dirty[key] = None
            self._doubtful.add(key)

    def refused(self, outgoing: Outgoing) -> None:
        """The bus does not take ``outgoing`` (too large for this server): what stood there before stays."""
        self._landed(outgoing.key)
        if self._sent.get(outgoing.key) == outgoing.object:
            self._note_sent(outgoing.key, outgoing.before)

    def _landed(self, key: ObjectKey) -> None:
        self._in_flight[key] -= 1
        if self._in_flight[key] <= 0:
            del self._in_flight[key]

    def overdue(self, now: float) -> list[tuple[ObjectKey, int]]:
        """Tombstones that may be cleaned up: key and place in the stream."""
        old = [key for key, since in self._tombstones.items() if now - since >= TOMBSTONE_AGE]
        return [(key, self._places[key]) for key in old if key in self._places and key not in self._in_flight]

    def cleaned(self, key: ObjectKey, sequence: int) -> None:
        """The tombstone of ``key`` at ``sequence`` has been deleted from the stream."""
        if self._places.get(key) == sequence and key not in self._in_flight:
            self._tombstones.pop(key, None)
            del self._places[key]
            self._sent.pop(key, None)

    def agrees(self, last: int, messages: int) -> bool:
        """Whether a stream with this last sequence and number of messages is the one that this session left."""
        return last == self._last and messages == len(self._places)

    @property
    def idle(self) -> bool:
        """Nothing to send and nothing on its way."""
        return not self._dirty and not self._in_flight

    @property
    def in_flight(self) -> int:
        """Messages on their way."""
        return self._in_flight.total()

    @property
    def pending(self) -> int:
        """Messages to send or on their way."""
        return len(self._dirty) + self._in_flight.total()

    def counts(self) -> Counter[str]:
        """Live objects on the bus by kind."""
        return +self._live

    def beacon(self, lists: Callable[[Kind], int]) -> bytes:
        """The message that says how far this session is. ``lists``: complete lists made of a kind."""
        counts = self.counts()
        kinds: tuple[Kind, ...] = ("ingress", "ingressclass", "service", "endpointslice", "secret", "configmap")
        body = encode(
            WatcherBeacon(
                self._instance,
                self.session,
                self.sequence,
                self.digest,
                tuple(KindCount(kind, lists(kind), counts[kind]) for kind in kinds),
            )
        )
        return encode((SCHEMA, body, self._authenticator.mac("beacon", body)))
