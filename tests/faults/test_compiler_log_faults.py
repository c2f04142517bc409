"""The log survives what can happen to it: emptied, rolled back, purged, forged into, an acknowledgement lost."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proto.signing import Signer, key_id_of
from proto.snapshots import BaseRef, Cause, Delta
from services.compiler import metrics
from services.compiler.signed import open_entry, sign
from services.runtime.bus import NoAnswer
from tests.support.compiling import SUBJECTS, FollowingEdge, Plant, RunningCompiler, endpoints, ingress, plant, world
from tests.support.nats import NatsServer
from tests.support.waiting import eventually


@pytest.fixture
async def made(nats: NatsServer, tmp_path: Path) -> AsyncIterator[Plant]:
    async with plant(nats.url, tmp_path) as made:
        yield made


async def check_now(compiler: RunningCompiler) -> None:
    """What the compiler does every 30 seconds."""
    await compiler.service._background._check()


def never_went_back(edge: FollowingEdge) -> bool:
    return edge.positions == sorted(set(edge.positions))


async def test_an_emptied_bus_gets_a_higher_epoch_with_everything(made: Plant, nats: NatsServer) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(30))
    await eventually(lambda: edge.holds(compiler))
    await watcher.put(ingress("later"))
    await eventually(lambda: edge.holds(compiler) and "later.example.com" in edge.hosts)
    digest = edge.generations.table.digest
    epoch = compiler.position[0]
    await nats.restart(empty=True)
    await eventually(lambda: edge.positions[-1][0] > epoch, 15)
    assert edge.generations.table.digest == digest  # not one route went, although the objects are gone from the bus
    assert never_went_back(edge)
    await made.bus.wait_connected()
    await watcher.refill()
    await watcher.put(ingress("after"))
    await eventually(lambda: edge.holds(compiler) and "after.example.com" in edge.hosts)
    fresh = await made.edge("edge-2")
    await eventually(lambda: fresh.holds(compiler))


async def test_a_log_restored_from_an_older_copy_gets_a_higher_epoch(made: Plant, nats: NatsServer) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(3))
    await eventually(lambda: edge.holds(compiler))
    nats.kill()
    shutil.copytree(nats.store, nats.folder / "older")
    await nats.start()
    await made.bus.wait_connected()
    await eventually(lambda: compiler.state.bus.connected)
    for number in range(5):
        await watcher.put(ingress(f"newer-{number}"))
    await eventually(lambda: edge.holds(compiler) and "newer-4.example.com" in edge.hosts)
    epoch, hosts = compiler.position[0], edge.hosts
    nats.kill()
    shutil.rmtree(nats.store)
    shutil.copytree(nats.folder / "older", nats.store)
    await nats.start()
    await eventually(lambda: edge.positions[-1][0] > epoch, 15)
    assert edge.hosts == hosts
    assert never_went_back(edge)
    await made.bus.wait_connected()
    await watcher.refill()
    await watcher.put(ingress("after"))
    await eventually(lambda: edge.holds(compiler) and edge.hosts == hosts | {"after.example.com"})


async def test_a_new_compiler_learns_the_epoch_from_what_edges_hold(made: Plant, nats: NatsServer) -> None:
    """Log, compiler and its state file are gone at once: the edge's signed proof is all that is left."""
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(3))
    await eventually(lambda: edge.holds(compiler))
    for number in range(3):
        await watcher.put(ingress("app-0", path=f"/{number}"))
    await eventually(lambda: edge.holds(compiler))
    before = edge.positions[-1]
    await compiler.kill()
    await nats.restart(empty=True)
    await made.bus.wait_connected()
    await watcher.refill()
    other = made.compiler("compiler-2")
    await watcher.put(ingress("after"))

    async def caught_up() -> bool:
        await watcher.beacon()  # as every few seconds: a log that was lost is doubted without
        return edge.holds(other) and "after.example.com" in edge.hosts

    await eventually(caught_up, 20)
    assert edge.positions[-1][0] > before[0]
    assert never_went_back(edge)


async def test_a_restart_remembers_how_far_it_was(made: Plant, nats: NatsServer) -> None:
    watcher, compiler = made.publisher(), made.compiler()
    await watcher.put(*world(3))
    await eventually(lambda: compiler.state.ready)
    epoch = compiler.position[0]
    await compiler.stop()
    await nats.restart(empty=True)
    await made.bus.wait_connected()
    await watcher.refill()
    again = made.compiler()
    await eventually(lambda: again.state.ready)
    assert again.position == (epoch + 1, 1)


@pytest.mark.parametrize("how", ["purge", "delete"])
@pytest.mark.parametrize("what", ["deltas", "bases", "all"])
async def test_streams_that_an_operator_removed_come_back(made: Plant, how: str, what: str) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(3))
    await eventually(lambda: edge.holds(compiler))
    streams = {"deltas": [SUBJECTS.deltas_stream], "bases": [SUBJECTS.bases_stream]}
    for stream in streams.get(what, [SUBJECTS.deltas_stream, SUBJECTS.bases_stream, SUBJECTS.accepted_stream]):
        if how == "purge":
            await made.bus.purge(stream)
        else:
            await made.bus.ask(f"$JS.API.STREAM.DELETE.{stream}", timeout=5, at_most=1)
    await check_now(compiler)
    fresh = await made.edge("edge-2")
    await eventually(lambda: fresh.holds(compiler))
    await watcher.put(ingress("after"))
    await eventually(lambda: fresh.holds(compiler) and "after.example.com" in fresh.hosts)
    await eventually(lambda: edge.holds(compiler))
    assert never_went_back(edge)
    await made.bus.last_of_each(SUBJECTS.accepted_stream, SUBJECTS.all_accepted)


async def test_the_regular_check_finds_nothing_to_do_on_a_sound_bus(made: Plant) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(3))
    for number in range(3):
        await watcher.put(ingress("app-0", path=f"/{number}"))
        await eventually(lambda: edge.holds(compiler))
    await eventually(lambda: not compiler.service._background._tasks)
    await check_now(compiler)  # the first look at the deltas since the base may look closer
    await eventually(lambda: not len(compiler.state.inbox))
    seen = metrics.EVENTS.labels("CheckDue")._value.get()
    position = compiler.position
    for _ in range(3):
        await check_now(compiler)
    assert metrics.EVENTS.labels("CheckDue")._value.get() == seen
    assert not len(compiler.state.inbox)
    assert compiler.position == position


async def test_a_delta_removed_from_the_middle_is_repaired(made: Plant) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(3))
    for number in range(5):
        await watcher.put(ingress("app-0", path=f"/{number}"))
        await eventually(lambda: edge.holds(compiler))
    head = compiler.state.log.head
    assert head is not None
    await made.bus.delete(SUBJECTS.deltas_stream, head.sequence - 2)
    await check_now(compiler)
    fresh = await made.edge("edge-2")
    await eventually(lambda: fresh.holds(compiler))
    await eventually(lambda: edge.positions[-1] == compiler.position)


async def test_an_append_whose_outcome_is_unknown_is_looked_up(made: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The acknowledgement is lost: the version is there once, whether it was stored or not, and is announced once."""
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world())
    await eventually(lambda: edge.holds(compiler))
    real, store = compiler.state.bus.append, [True, False]

    async def append(subject: str, data: bytes, **options: int) -> int:
        if subject == SUBJECTS.delta and store:
            if store.pop(0):
                await real(subject, data, **options)  # type: ignore[arg-type]
            raise NoAnswer("no answer in time")
        return await real(subject, data, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(compiler.state.bus, "append", append)
    for name in ("stored", "not-stored", "third"):
        await watcher.put(ingress(name))
        await eventually(lambda name=name: edge.holds(compiler) and f"{name}.example.com" in edge.hosts)  # type: ignore[misc]
    assert compiler.position[1] == 1 + 3
    assert never_went_back(edge)


async def test_forged_entries_of_the_log_move_nothing_and_are_removed(made: Plant, tmp_path: Path) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(3))
    await eventually(lambda: edge.holds(compiler))
    head = compiler.state.log.head
    assert head is not None
    stranger = Signer(key_id_of(b"x"), bytes(32))
    base = BaseRef(1, 99, 1, 1, bytes(32), bytes(32))
    _, forged = sign(Delta(1, "limen", 1, 99, bytes(32), base, Cause("evil"), 0.0, rebased=True), stranger)
    genuine = await made.bus.last(SUBJECTS.deltas_stream, SUBJECTS.delta)
    assert genuine is not None
    for data in (forged, b"rubbish", genuine.data[:-10], b"\x00" * 700_000):
        await made.bus.append(SUBJECTS.delta, data)
    await watcher.put(ingress("after"))
    await eventually(lambda: edge.holds(compiler) and "after.example.com" in edge.hosts)
    assert compiler.position == (head.position.epoch, head.position.version + 1)
    newest = await made.bus.last(SUBJECTS.deltas_stream, SUBJECTS.delta)
    assert newest is not None
    assert open_entry(newest.data, compiler.state.verifier).position == compiler.state.log.position
    fresh = await made.edge("edge-2")
    await eventually(lambda: fresh.holds(compiler))


async def test_the_server_killed_and_started_again(made: Plant, nats: NatsServer) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(3))
    await eventually(lambda: edge.holds(compiler))
    position = compiler.position
    await nats.restart()
    await made.bus.wait_connected()
    await watcher.put(ingress("after"))
    await eventually(lambda: edge.holds(compiler) and "after.example.com" in edge.hosts)
    assert compiler.position[0] == position[0]
    assert never_went_back(edge)


async def test_any_start_order(nats: NatsServer, tmp_path: Path) -> None:
    """Compiler and edge are there before the bus is, and the watcher comes last."""
    nats.kill()
    made = Plant(nats.url, tmp_path)
    await made.bus.start()
    try:
        compiler, edge = made.compiler(), await made.edge()
        await nats.start()
        await made.bus.wait_connected()
        watcher = made.publisher()
        await watcher.ensure_stream()
        await watcher.put(*world(2))
        await eventually(lambda: edge.holds(compiler) and edge.positions != [])
    finally:
        await made.close()


async def test_a_snapshot_of_many_chunks(made: Plant) -> None:
    """Well above what one message may hold: it travels as a base, and edges take it over."""
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(4000), endpoints(*(f"10.{a}.{b}.9" for a in range(40) for b in range(250))))
    await eventually(lambda: edge.holds(compiler), 30)
    head = compiler.state.log.head
    assert head is not None
    assert head.delta.rebased
    before = compiler.position
    await watcher.put(ingress("small"))
    await eventually(lambda: edge.holds(compiler) and "small.example.com" in edge.hosts)
    await eventually(lambda: compiler.position != before)  # an edge may serve it before the compiler's append is told
    assert compiler.position == (before[0], before[1] + 1)
    assert compiler.state.log.head is not None
    assert not compiler.state.log.head.delta.rebased
