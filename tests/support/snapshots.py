"""A compiler's writing half for tests: keeps a table, signs its deltas, packs bases, puts both on the bus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

from msgspec.structs import replace

from proto.codec import encode, pack_base, record_of, split_chunks
from proto.digest import EMPTY, combine, entry_hash
from proto.resources import (
    Endpoint,
    Forward,
    PathMatch,
    Resource,
    ResourceKey,
    ResourceRecord,
    Respond,
    Route,
    Upstream,
    VirtualHost,
)
from proto.signing import Signer, Verifier, key_id_of
from proto.snapshots import SCHEMA, BaseRef, Cause, Delta, SignedDelta
from proto.subjects import Subjects
from services.runtime.bus import Bus, StreamMissing, StreamSpec

SEED = bytes(range(32))


def signer(seed: bytes = SEED) -> Signer:
    """A signing key that is the same in every test."""
    return Signer(key_id_of(Signer("", seed).public()), seed)


def verifier(instance: str = "limen", seed: bytes = SEED) -> Verifier:
    """What checks ``signer``'s signatures."""
    return Verifier(instance, [(signer(seed).key_id, signer(seed).public())])


def host(name: str, upstream: str = "default/echo:80") -> ResourceRecord:
    """A host whose every path goes to ``upstream``."""
    route = Route(PathMatch("prefix", "/"), Forward(upstream), (), "default/test", "/")
    return record_of(name, VirtualHost(name, routes=(route,)))


def answering(name: str, status: int) -> ResourceRecord:
    """A host that the edge itself answers with ``status``."""
    route = Route(PathMatch("prefix", "/"), Respond(status), (), "default/test", "/")
    return record_of(name, VirtualHost(name, routes=(route,)))


def upstream(name: str, *ports: int, address: str = "127.0.0.1", dns: bool = False) -> ResourceRecord:
    """An Upstream with an endpoint on each port."""
    return record_of(name, Upstream(tuple(Endpoint(address, port) for port in sorted(ports)), dns))


def resource(name: str, value: Resource) -> ResourceRecord:
    """Any resource as a record."""
    return record_of(name, value)


class Log:
    """The table and the log of one epoch; ``step`` and ``rebase`` return what would be published."""

    def __init__(self, instance: str = "limen", epoch: int = 1, seed: bytes = SEED) -> None:
        self.instance = instance
        self.epoch = epoch
        self.version = 0
        self.digest = EMPTY
        self.base = BaseRef(epoch, 1, 1, 0, b"", EMPTY)
        self.table: dict[ResourceKey, ResourceRecord] = {}
        self.signer = signer(seed)

    def delta(self, upserts: Iterable[ResourceRecord] = (), removals: Iterable[ResourceKey] = ()) -> Delta:
        """The next delta, the table moved on by it."""
        upserts, removals = tuple(upserts), tuple(removals)
        for key in removals:
            self._take(self.table.pop(key, None))
        for record in upserts:
            self._take(self.table.get(record.key))
            self.table[record.key] = record
            self.digest = combine(self.digest, added=entry_hash(record.kind, record.name, record.body))
        self.version += 1
        return Delta(
            SCHEMA,
            self.instance,
            self.epoch,
            self.version,
            self.digest,
            self.base,
            Cause("test"),
            0.0,
            upserts,
            removals,
        )

    def _take(self, old: ResourceRecord | None) -> None:
        if old is not None:
            self.digest = combine(self.digest, removed=entry_hash(old.kind, old.name, old.body))

    def step(self, *upserts: ResourceRecord, remove: Sequence[ResourceKey] = ()) -> bytes:
        """The next signed delta as a message."""
        return self.signed(self.delta(upserts, remove))

    def signed(self, delta: Delta) -> bytes:
        """``delta`` as a message, signed whatever it says."""
        body = encode(delta)
        proof = self.signer.prove(delta.instance, delta.epoch, delta.version, delta.digest, body)
        return encode(SignedDelta(SCHEMA, proof, body))

    def pack(self, version: int | None = None) -> list[bytes]:
        """The chunks of the present table; ``base`` refers to them from now on, as of ``version``."""
        packed = pack_base(list(self.table.values()))
        chunks = split_chunks(packed)
        self.base = BaseRef(
            self.epoch,
            self.version if version is None else version,
            len(chunks),
            len(packed),
            blake2b(packed, digest_size=32).digest(),
            self.digest,
        )
        return chunks

    def rebase(self, *upserts: ResourceRecord, remove: Sequence[ResourceKey] = ()) -> tuple[list[bytes], bytes]:
        """The chunks of a new base and the signed delta that names it as its own content."""
        delta = self.delta(upserts, remove)
        chunks = self.pack()
        return chunks, self.signed(replace(delta, base=self.base, upserts=(), removals=(), rebased=True))


class Publisher:
    """A ``Log`` on a real bus."""

    def __init__(self, bus: Bus, log: Log) -> None:
        self.bus = bus
        self.log = log
        self.subjects = Subjects(log.instance)

    async def streams(self, *, live: bool = True) -> None:
        """The streams, as a compiler makes them; without ``live`` nothing is republished: the test does it."""
        subjects = self.subjects
        republish = (subjects.delta, subjects.live_delta) if live else None
        for spec in (
            StreamSpec(name=subjects.deltas_stream, subjects=(subjects.delta,), republish=republish),
            StreamSpec(name=subjects.bases_stream, subjects=(subjects.bases,), max_per_subject=1),
            StreamSpec(name=subjects.events_stream, subjects=(subjects.events,)),
            StreamSpec(
                name=f"KV_{subjects.edges_bucket}", subjects=(subjects.edge_reports,), max_per_subject=1, max_age=30
            ),
        ):
            await self.bus.ensure_stream(spec)

    async def start(self, *records: ResourceRecord, live: bool = True) -> None:
        """Streams, and ``records`` as a base and the first delta."""
        await self.streams(live=live)
        await self.rebase(*records)

    async def rebase(self, *records: ResourceRecord, remove: Sequence[ResourceKey] = ()) -> None:
        """A new base with ``records`` in it, and the delta that says so."""
        chunks, message = self.log.rebase(*records, remove=remove)
        await self.chunks(chunks)
        await self.append(message)

    async def step(self, *records: ResourceRecord, remove: Sequence[ResourceKey] = ()) -> None:
        """One more delta."""
        await self.append(self.log.step(*records, remove=remove))

    async def chunks(self, chunks: Sequence[bytes]) -> None:
        """Store the chunks of the log's newest base."""
        for number, chunk in enumerate(chunks):
            subject = self.subjects.base_chunk(self.log.base.epoch, self.log.base.version, number)
            await self.bus.append(subject, chunk)

    async def append(self, message: bytes) -> int:
        """Store a message as a delta, whatever it is."""
        return await self.bus.append(self.subjects.delta, message)

    async def forge_live(self, message: bytes) -> None:
        """Send a message on the live subject without storing it."""
        await self.bus.publish(self.subjects.live_delta, message)

    async def drop_streams(self) -> None:
        """Forget everything, as an operator might."""
        for stream in (self.subjects.deltas_stream, self.subjects.bases_stream):
            try:
                await self.bus.purge(stream)
            except StreamMissing:
                continue
