"""Bases are written beside the log and named by the next delta; the history is pruned, and what is left is readable."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proto.snapshots import Position
from services.compiler.bases import BaseStore
from services.compiler.log import Log
from services.compiler.main import read_keys
from services.compiler.options import HistoryOptions
from services.compiler.signed import open_entry
from tests.support.compiling import SUBJECTS, Plant, ingress, plant, world
from tests.support.nats import NatsServer
from tests.support.waiting import eventually


@pytest.fixture
async def made(nats: NatsServer, tmp_path: Path) -> AsyncIterator[Plant]:
    async with plant(nats.url, tmp_path) as made:
        yield made


def reader(made: Plant) -> Log:
    """Somebody who starts and knows nothing but the bus."""
    keys = read_keys(made.options("reader"))
    return Log(made.bus, SUBJECTS, keys.signer, keys.verifier, lambda error: pytest.fail(str(error)))


async def test_a_base_is_written_every_so_often_and_named_by_the_next_delta(made: Plant) -> None:
    compiler, watcher = made.compiler(history=HistoryOptions(base_every=5)), made.publisher()
    await watcher.put(*world(3))
    await eventually(lambda: compiler.state.ready)
    for number in range(12):
        position = compiler.position
        await watcher.put(ingress("app-0", path=f"/{number}"))
        await eventually(lambda position=position: compiler.position > position)  # type: ignore[misc]
        log = compiler.state.log
        await eventually(lambda log=log: log.since_base < 5)  # type: ignore[misc]
    head = compiler.state.log.head
    assert head is not None
    assert head.delta.base.version > 6
    assert not head.delta.rebased
    of_base = await made.bus.range(SUBJECTS.deltas_stream, head.delta.base.sequence, limit=1)
    assert open_entry(of_base[0].data, compiler.state.verifier).position.version == head.delta.base.version
    log = reader(made)
    await log.catch_up()
    assert not log.must_publish
    assert log.table.digest == compiler.state.compiler.digest
    assert log.position == Position(*compiler.position)


async def test_pruning_keeps_every_version_that_is_left_readable(made: Plant) -> None:
    options = HistoryOptions(base_every=4, max_deltas=10)
    compiler, watcher = made.compiler(history=options), made.publisher()
    await watcher.put(*world(3))
    await eventually(lambda: compiler.state.ready)
    for number in range(40):
        position = compiler.position
        await watcher.put(ingress("app-0", path=f"/{number}"))
        await eventually(lambda position=position: compiler.position > position)  # type: ignore[misc]
        await eventually(lambda: compiler.state.log.since_base < 4)
    compiler.service._background.prune()

    async def pruned() -> bool:
        state = await made.bus.state(SUBJECTS.deltas_stream)
        return state is not None and state.messages <= 20

    await eventually(pruned)
    state = await made.bus.state(SUBJECTS.deltas_stream)
    assert state is not None
    assert state.messages >= 10
    kept = await made.bus.range(SUBJECTS.deltas_stream, state.first, limit=100)
    entries = [open_entry(stored.data, compiler.state.verifier, stored.sequence) for stored in kept]
    first = next(entry.delta.base for entry in entries if entry.delta.base.sequence >= entries[0].sequence)
    assert first.version == entries[0].position.version
    table = await BaseStore(made.bus, SUBJECTS).read(first)
    for entry in entries[1:]:
        table.apply(entry.change, entry.delta.digest)
    bases = await made.bus.state(SUBJECTS.bases_stream)
    assert bases is not None
    assert bases.messages <= 6
    edge = await made.edge()
    await eventually(lambda: edge.holds(compiler))


async def test_pruning_by_age_and_bytes_never_takes_the_newest(made: Plant) -> None:
    compiler, watcher = made.compiler(history=HistoryOptions(base_every=3, max_age=1e-6, max_bytes=1)), made.publisher()
    await watcher.put(*world(3))
    await eventually(lambda: compiler.state.ready)
    for number in range(10):
        position = compiler.position
        await watcher.put(ingress("app-0", path=f"/{number}"))
        await eventually(lambda position=position: compiler.position > position)  # type: ignore[misc]
        await eventually(lambda: compiler.state.log.since_base < 3)
    for _ in range(3):
        compiler.service._background.prune()
        await eventually(lambda: not compiler.service._background._tasks)
    log = reader(made)
    await log.catch_up()
    assert not log.must_publish
    assert log.position == Position(*compiler.position)
    await watcher.put(ingress("after"))
    edge = await made.edge()
    await eventually(lambda: edge.holds(compiler) and "after.example.com" in edge.hosts)


async def test_a_base_whose_writer_died_is_named_by_nobody(made: Plant) -> None:
    """Chunks without a delta: the next compiler goes on as if they were not there."""
    compiler, watcher = made.compiler(), made.publisher()
    await watcher.put(*world(3))
    await eventually(lambda: compiler.state.ready)
    await made.bus.append(SUBJECTS.base_chunk(1, 2, 0), b"half of a base")
    await compiler.kill()
    again, edge = made.compiler(), await made.edge()
    await watcher.put(ingress("after"))
    await eventually(lambda: edge.holds(again) and "after.example.com" in edge.hosts)
    assert again.position == (1, 2)
