"""Whatever a bus does to messages, an edge only ever serves tables that were published, and never an older one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from proto.snapshots import Position
from proto.subjects import Subjects
from services.edge.follow.follower import Follower
from services.edge.follow.generations import Applied, Generations
from services.runtime.bus import Message, Stored
from tests.support.snapshots import Log, answering, host, verifier

SUBJECTS = Subjects()


class MemoryBus:
    """The log and its bases as a list and a dict."""

    connected = True

    def __init__(self) -> None:
        self.log: list[Stored] = []
        self.bases: dict[str, bytes] = {}
        self.live: Callable[[Message], Awaitable[None]] | None = None

    def on_connected(self, callback: object) -> None: ...

    def on_loss(self, callback: object) -> None: ...

    async def subscribe(self, subject: str, callback: Callable[[Message], Awaitable[None]]) -> None:
        assert subject == SUBJECTS.live_delta
        self.live = callback

    async def last(self, stream: str, subject: str) -> Stored | None:
        await asyncio.sleep(0)
        if stream == SUBJECTS.bases_stream:
            return Stored(subject, 1, self.bases[subject]) if subject in self.bases else None
        return self.log[-1] if self.log else None

    async def range(self, stream: str, start: int, *, limit: int, subject_filter: str) -> list[Stored]:
        await asyncio.sleep(0)
        return [entry for entry in self.log if entry.sequence >= start][:limit]


class World:
    """A compiler's log on that bus, and an edge."""

    def __init__(self) -> None:
        self.bus = MemoryBus()
        self.writer = Log()
        self.published: list[bytes] = []
        self.tables: dict[Position, bytes] = {}
        self.applied: list[Applied] = []
        self.generations = Generations(lambda _: None)
        self.generations.on_applied(lambda applied, _: self.applied.append(applied))
        self.follower = Follower(self.bus, SUBJECTS, verifier(), self.generations)  # type: ignore[arg-type]

    def publish(self, number: int, kind: str) -> None:
        if kind == "epoch":
            self.writer = Log(epoch=self.writer.epoch + 1)
        if kind == "delta" and self.writer.version:
            message = self.writer.step(host(f"h{number % 5}.example.com", f"default/s{number}:80"))
        else:
            chunks, message = self.writer.rebase(answering(f"b{number % 3}.example.com", 400 + number % 50))
            for index, chunk in enumerate(chunks):
                base = self.writer.base
                self.bus.bases[SUBJECTS.base_chunk(base.epoch, base.version, index)] = chunk
        self.tables[Position(self.writer.epoch, self.writer.version)] = self.writer.digest
        sequence = self.bus.log[-1].sequence + 1 if self.bus.log else 1
        self.bus.log.append(Stored(SUBJECTS.delta, sequence, message))
        self.published.append(message)

    async def deliver(self, message: bytes) -> None:
        assert self.bus.live is not None
        await self.bus.live(Message(SUBJECTS.live_delta, message))

    async def catch_up(self) -> None:
        await self.follower._catch_up_or_say_why()


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from(["delta", "delta", "delta", "base", "epoch"])),
        st.tuples(st.just("deliver"), st.integers(0, 30)),
        st.tuples(st.just("newest"), st.just(0)),
        st.tuples(st.just("forge"), st.integers(0, 30)),
        st.tuples(st.just("cut"), st.integers(0, 30)),
        st.tuples(st.just("prune"), st.integers(1, 3)),
        st.tuples(st.just("restore an old copy"), st.integers(1, 3)),
        st.tuples(st.just("look"), st.just(0)),
    ),
    max_size=40,
)


async def run(actions: list[tuple[str, int | str]]) -> World:
    world = World()
    await world.follower.listen()
    world.publish(0, "base")
    for number, (action, what) in enumerate(actions, 1):
        pick = world.published[int(what) % len(world.published)] if isinstance(what, int) else b""
        match action:
            case "publish":
                world.publish(number, str(what))
            case "deliver":
                await world.deliver(pick)
            case "newest":
                await world.deliver(world.published[-1])
            case "forge":
                stranger = Log(seed=bytes(32), epoch=99)
                await world.deliver(stranger.step(answering("evil.example.com", 500)))
                await world.deliver(pick[:-1] + bytes([pick[-1] ^ 1]))
            case "cut":
                await world.deliver(pick[: len(pick) // 2])
            case "prune":
                del world.bus.log[: -int(what)]
            case "restore an old copy":
                # what was lost makes the compiler begin a new epoch, but not before edges have looked
                del world.bus.log[max(1, len(world.bus.log) - int(what)) :]
                await world.catch_up()
                world.publish(number, "epoch")
            case "look":
                await world.catch_up()
    return world


@settings(max_examples=150, deadline=None)
@given(ACTIONS)
def test_only_published_tables_in_their_order_and_the_newest_at_last(actions: list[tuple[str, int | str]]) -> None:
    async def scenario() -> None:
        world = await run(actions)
        # a pruned log always keeps a base that leads to its head
        world.publish(len(actions) + 1, "base")
        await world.catch_up()
        positions = [applied.position for applied in world.applied]
        assert positions == sorted(set(positions)), "never back, never twice"
        for applied in world.applied:
            assert applied.proof.digest == world.tables[applied.position]
        table = world.generations.table
        assert world.generations.position == Position(world.writer.epoch, world.writer.version)
        assert {record.key: record for record in table.records()} == world.writer.table
        assert world.follower.error == ""

    asyncio.run(scenario())
