"""Following a real bus: every version arrives, in order, whatever becomes of the messages on the way."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from proto.codec import encode
from proto.resources import ResourceKey, ResourceRecord
from proto.snapshots import SCHEMA, BaseRef, Position
from services.edge.core.generation import Generation
from services.edge.follow.follower import Follower
from services.edge.follow.generations import Generations
from services.runtime.bus import Bus, BusOptions
from tests.support.nats import NatsServer
from tests.support.snapshots import Log, Publisher, answering, host, upstream, verifier
from tests.support.waiting import eventually


class Edge:
    """A follower with its generations; what it would serve is the last of ``swapped``."""

    def __init__(self, url: str) -> None:
        self.bus = Bus(BusOptions(servers=(url,), name="edge"))
        self.swapped: list[Generation] = []
        self.generations = Generations(self.swapped.append)
        self.follower = Follower(self.bus, publisher_subjects(), verifier(), self.generations)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.bus.start()
        await self.follower.listen()
        self._task = asyncio.create_task(self.follower.run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.bus.close()

    @property
    def position(self) -> Position:
        return self.generations.position

    async def reaches(self, log: Log, timeout: float = 5.0) -> None:
        """Wait until this edge serves exactly the log's table."""
        await eventually(
            lambda: self.position == Position(log.epoch, log.version), timeout, f"version {log.epoch}.{log.version}"
        )
        self.serves(log)

    def serves(self, log: Log) -> None:
        table = self.generations.table
        assert {record.key: record for record in table.records()} == log.table
        assert table.digest == log.digest
        assert self.swapped[-1].version == self.position.version
        assert self.swapped[-1].count("virtualhost") == table.count("virtualhost")


def publisher_subjects():  # type: ignore[no-untyped-def]
    return Publisher(None, Log()).subjects  # type: ignore[arg-type]


@pytest.fixture
async def edge(nats: NatsServer) -> AsyncIterator[Edge]:
    edge = Edge(nats.url)
    yield edge
    await edge.stop()


async def test_starts_from_a_base_and_follows(edge: Edge, publisher: Publisher) -> None:
    await publisher.start(host("a.example.com"), upstream("default/echo:80", 1))
    await edge.start()
    await edge.reaches(publisher.log)
    for number in range(20):
        await publisher.step(host(f"h{number}.example.com"))
    await publisher.step(remove=[ResourceKey("virtualhost", "a.example.com")])
    await edge.reaches(publisher.log)
    assert edge.follower.catch_ups == 1
    assert not edge.follower.stale
    assert edge.follower.error == ""
    assert edge.generations.applied is not None
    assert edge.generations.applied.swap_seconds < 0.05


async def test_an_edge_before_the_compiler(edge: Edge, publisher: Publisher) -> None:
    await edge.start()
    await edge.bus.wait_connected()
    await publisher.start(host("a.example.com"))
    await edge.reaches(publisher.log)


async def test_base_and_deltas_since(edge: Edge, publisher: Publisher) -> None:
    await publisher.start(host("a.example.com"))
    for number in range(450):
        await publisher.step(upstream("default/echo:80", number + 1))
    await edge.start()
    await edge.reaches(publisher.log)
    assert len(edge.swapped) == 1, "one swap for the whole run"


async def test_a_large_base_in_many_chunks(edge: Edge, publisher: Publisher) -> None:
    records = [host(f"h{number}.example.com", f"default/{os.urandom(200).hex()}:80") for number in range(10_000)]
    await publisher.start(*records)
    assert publisher.log.base.chunks > 3
    await edge.start()
    await edge.reaches(publisher.log)


async def test_a_new_base_is_taken_as_a_difference(edge: Edge, publisher: Publisher) -> None:
    await publisher.start(*(host(f"h{number}.example.com") for number in range(1000)))
    await edge.start()
    await edge.reaches(publisher.log)
    plan = edge.swapped[-1].host("h1.example.com")
    await publisher.rebase(
        host("h0.example.com", "default/new:80"), remove=[ResourceKey("virtualhost", "h2.example.com")]
    )
    await edge.reaches(publisher.log)
    assert edge.swapped[-1].host("h1.example.com") is plan, "what did not change is carried over"


async def test_duplicates_cause_no_swap(edge: Edge, publisher: Publisher) -> None:
    await publisher.start(host("a.example.com"))
    await edge.start()
    await edge.reaches(publisher.log)
    message = publisher.log.step(host("b.example.com"))
    await publisher.append(message)
    await edge.reaches(publisher.log)
    swaps = edge.generations.swaps
    for _ in range(3):
        await publisher.forge_live(message)
    await eventually(lambda: edge.follower.rejected["old"] >= 3)
    assert edge.generations.swaps == swaps


async def test_reordered_messages(edge: Edge, publisher: Publisher) -> None:
    await publisher.start(host("a.example.com"), live=False)
    await edge.start()
    await edge.reaches(publisher.log)
    messages = [publisher.log.step(host(f"{name}.example.com")) for name in "bcdefg"]
    for message in messages:
        await publisher.append(message)
    for index in (2, 0, 1, 4, 3, 5):
        await publisher.forge_live(messages[index])
    await edge.reaches(publisher.log, 1.0)


async def test_a_gap_is_caught_up_within_a_second(edge: Edge, publisher: Publisher) -> None:
    await publisher.start(host("a.example.com"), live=False)
    await edge.start()
    await edge.reaches(publisher.log)
    lost = publisher.log.step(host("b.example.com"))
    seen = publisher.log.step(host("c.example.com"))
    await publisher.append(lost)
    await publisher.append(seen)
    await publisher.forge_live(seen)
    await edge.reaches(publisher.log, 1.0)
    assert edge.follower.catch_ups == 2


async def test_what_the_log_does_not_hold_yet_waits_for_what_is_missing(edge: Edge, publisher: Publisher) -> None:
    await publisher.start(host("a.example.com"), live=False)
    await edge.start()
    await edge.reaches(publisher.log)
    first = publisher.log.step(host("b.example.com"))
    second = publisher.log.step(host("c.example.com"))
    await publisher.forge_live(second)
    await publisher.append(first)
    await publisher.forge_live(first)
    await edge.reaches(publisher.log, 1.0)


async def test_pruned_deltas_are_replaced_by_the_base(edge: Edge, publisher: Publisher) -> None:
    await publisher.start(host("a.example.com"))
    await edge.start()
    await edge.reaches(publisher.log)
    await edge.stop()
    for number in range(10):
        await publisher.step(host(f"h{number}.example.com"))
    await publisher.chunks(publisher.log.pack())
    await publisher.step(host("last.example.com"))
    await publisher.bus.purge(publisher.subjects.deltas_stream, keep=1)
    again = Edge(edge.bus._connection._options.servers[0])
    again.generations = edge.generations
    again.swapped = edge.swapped
    again.follower = Follower(again.bus, publisher.subjects, verifier(), again.generations)
    try:
        await again.start()
        await again.reaches(publisher.log)
    finally:
        await again.stop()


FORGERIES = {
    "garbage": b"\x00garbage",
    "empty": b"",
    "oversized": b"\x93\x01" + bytes(700_000),
    "another key": Log(seed=bytes(32), epoch=9).step(host("evil.example.com")),
    "another instance": Log("other", epoch=9).step(host("evil.example.com")),
    "future schema": encode((SCHEMA + 1, "unknown")),
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_forged_live_messages_move_nothing(
    edge: Edge, publisher: Publisher, forgery: str, caplog: pytest.LogCaptureFixture
) -> None:
    await publisher.start(host("a.example.com"))
    await edge.start()
    await edge.reaches(publisher.log)
    swaps = edge.generations.swaps
    with caplog.at_level(logging.WARNING):
        await publisher.forge_live(FORGERIES[forgery])
        await eventually(lambda: edge.follower.rejected.total() == 1)
    assert "refused" in caplog.text
    await publisher.step(host("b.example.com"))
    await edge.reaches(publisher.log)
    assert edge.generations.swaps == swaps + 1
    assert edge.follower.error == ""


async def test_a_truncated_message_moves_nothing(edge: Edge, publisher: Publisher) -> None:
    await publisher.start(host("a.example.com"))
    await edge.start()
    await edge.reaches(publisher.log)
    message = publisher.log.step(host("b.example.com"))
    await publisher.forge_live(message[:-3])
    await eventually(lambda: edge.follower.rejected["malformed"] == 1)
    await publisher.append(message)
    await edge.reaches(publisher.log)


async def test_a_forged_head_in_the_stream_is_passed_over(edge: Edge, publisher: Publisher) -> None:
    await publisher.start(host("a.example.com"))
    await publisher.append(Log(seed=bytes(32), epoch=9).step(host("evil.example.com")))
    await edge.start()
    await edge.reaches(publisher.log)
    assert edge.follower.rejected["signature"] > 0
    await publisher.step(host("b.example.com"))
    await edge.reaches(publisher.log)


async def test_forgeries_between_deltas_are_passed_over(edge: Edge, publisher: Publisher) -> None:
    stranger = Log(seed=bytes(32), epoch=9)
    await publisher.start(host("a.example.com"))
    for number in range(300):
        await publisher.step(host(f"h{number}.example.com"))
        if number % 3 == 0:
            await publisher.append(stranger.step(host("evil.example.com")))
    await edge.start()
    await edge.reaches(publisher.log)
    assert edge.follower.rejected["signature"] >= 100


async def test_a_forged_base_is_not_believed(edge: Edge, publisher: Publisher) -> None:
    await publisher.start(host("a.example.com"))
    good = publisher.log.base
    forged = Log(seed=bytes(32))
    chunks, _ = forged.rebase(host("evil.example.com"))
    subject = publisher.subjects.base_chunk(good.epoch, good.version, 0)
    await publisher.bus.append(subject, chunks[0])
    await edge.start()
    await eventually(lambda: edge.follower.rejected["digest"] > 0)
    assert edge.generations.generation is None
    publisher_chunks = publisher.log.pack(version=good.version)
    await publisher.bus.append(subject, publisher_chunks[0])
    await edge.reaches(publisher.log)


async def test_what_cannot_be_decoded_is_refused_and_reported(edge: Edge, publisher: Publisher) -> None:
    await publisher.start(host("a.example.com"))
    await edge.start()
    await edge.reaches(publisher.log)
    noticed: list[str] = []
    edge.follower.on_error_changed(lambda: noticed.append(edge.follower.error))
    await publisher.step(ResourceRecord("upstream", "default/bad:80", b"\xff not an upstream"))
    await eventually(lambda: noticed, 1.0)
    assert "default/bad:80" in noticed[0]
    assert edge.position.version == 1
    assert edge.follower.rejected["build"] == 1
    # a later version without it is taken
    await publisher.step(host("b.example.com"), remove=[ResourceKey("upstream", "default/bad:80")])
    await edge.reaches(publisher.log)
    assert noticed[-1] == ""


async def test_versions_upon_a_refused_one_cost_little_and_the_first_good_one_is_taken(
    edge: Edge, publisher: Publisher
) -> None:
    await publisher.start(host("a.example.com"))
    await edge.start()
    await edge.reaches(publisher.log)
    await publisher.step(ResourceRecord("upstream", "default/bad:80", b"\xff not an upstream"))
    await eventually(lambda: edge.follower.error)
    for number in range(60):
        await publisher.step(host(f"h{number}.example.com"))
        await asyncio.sleep(0)
    assert edge.position.version == 1
    assert edge.follower.catch_ups < 10, "not one for each of them"
    await publisher.step(remove=[ResourceKey("upstream", "default/bad:80")])
    await edge.reaches(publisher.log)
    assert edge.follower.error == ""


async def test_a_delta_that_lies_about_its_digest_is_refused(edge: Edge, publisher: Publisher) -> None:
    await publisher.start(host("a.example.com"))
    await edge.start()
    await edge.reaches(publisher.log)
    before = dict(publisher.log.table), publisher.log.digest, publisher.log.version
    delta = publisher.log.delta([host("b.example.com")])
    await publisher.append(publisher.log.signed(replace(delta, digest=bytes(32))))
    await eventually(lambda: edge.follower.rejected["digest"] > 0)
    assert edge.position.version == before[2]
    assert "digest" in edge.follower.error
    # a new base leads out of it
    await publisher.rebase(host("c.example.com"))
    await edge.reaches(publisher.log)
    assert edge.follower.error == ""


async def test_a_newer_schema_is_refused_and_the_old_generation_kept(edge: Edge, publisher: Publisher) -> None:
    await publisher.start(host("a.example.com"))
    await edge.start()
    await edge.reaches(publisher.log)
    delta = publisher.log.delta([host("b.example.com")])
    await publisher.append(publisher.log.signed(replace(delta, schema=SCHEMA + 1)))
    await eventually(lambda: edge.follower.error)
    assert "upgrade edges" in edge.follower.error
    assert edge.position.version == 1


async def test_an_older_log_is_never_followed(edge: Edge, publisher: Publisher) -> None:
    publisher.log.epoch = 5
    publisher.log.base = BaseRef(5, 1, 1, 0, b"", b"")
    await publisher.start(host("a.example.com"))
    await edge.start()
    await edge.reaches(publisher.log)
    older = Publisher(publisher.bus, Log(epoch=4))
    await older.rebase(answering("a.example.com", 404))
    for _ in range(5):
        await older.step(answering("b.example.com", 404))
    await eventually(lambda: edge.follower.rejected["old"] >= 6)
    assert edge.position == Position(5, 1)
    await edge.follower._look()
    edge.serves(publisher.log)
    assert edge.follower.error == ""


async def test_a_new_epoch_is_followed_although_sequences_start_again(
    edge: Edge, publisher: Publisher, nats: NatsServer
) -> None:
    await publisher.start(host("a.example.com"))
    for number in range(5):
        await publisher.step(host(f"h{number}.example.com"))
    await edge.start()
    await edge.reaches(publisher.log)
    await nats.restart(empty=True)
    edge.serves(publisher.log)
    await publisher.bus.wait_connected()
    reborn = Publisher(publisher.bus, Log(epoch=2))
    await reborn.start(host("a.example.com"), host("new.example.com"))
    await edge.reaches(reborn.log)


async def test_the_same_table_in_a_new_epoch_is_only_relabelled(
    edge: Edge, publisher: Publisher, nats: NatsServer
) -> None:
    records = [host(f"h{number}.example.com") for number in range(50)]
    await publisher.start(*records)
    await edge.start()
    await edge.reaches(publisher.log)
    plan = edge.swapped[-1].host("h1.example.com")
    reborn = Publisher(publisher.bus, Log(epoch=2))
    chunks, message = reborn.log.rebase(*records)
    del chunks  # not even needed
    await reborn.append(message)
    await edge.reaches(reborn.log)
    assert edge.swapped[-1].host("h1.example.com") is plan


async def test_killed_and_restarted(edge: Edge, publisher: Publisher, nats: NatsServer) -> None:
    await publisher.start(host("a.example.com"))
    await edge.start()
    await edge.reaches(publisher.log)
    nats.kill()
    await eventually(lambda: not edge.bus.connected)
    edge.serves(publisher.log)
    await nats.restart()
    await publisher.bus.wait_connected()
    await publisher.step(host("b.example.com"))
    await edge.reaches(publisher.log)
