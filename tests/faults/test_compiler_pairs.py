"""Two compilers at once do no harm: edges never flap and always converge, whoever is slow, stopped or killed."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proto.codec import decode_resource
from proto.objects import Ingress
from proto.resources import PathMatch, ResourceRecord, VirtualHost
from services.compiler.core.options import CompileOptions
from services.edge.follow.follower import Follower
from tests.support.compiling import SUBJECTS, FollowingEdge, Plant, Publisher, ingress, plant, world
from tests.support.nats import NatsServer
from tests.support.processes import Process, limen, process
from tests.support.waiting import eventually


@pytest.fixture
async def made(nats: NatsServer, tmp_path: Path) -> AsyncIterator[Plant]:
    async with plant(nats.url, tmp_path) as made:
        yield made


class Witness:
    """Watches one host of an edge whose path counts upwards, and notes every value that it serves."""

    def __init__(self, edge: FollowingEdge) -> None:
        self.seen: list[int] = []
        self._edge = edge
        edge.generations.on_applied(lambda applied, change: self._note())

    def _note(self) -> None:
        body = self._edge.generations.table.body("virtualhost", "count.example.com")
        if body is None:
            return
        host = decode_resource(ResourceRecord("virtualhost", "count.example.com", body))
        assert isinstance(host, VirtualHost)
        values = [int(route.match.value[1:]) for route in host.routes if _is_count(route.match)]
        self.seen += values

    @property
    def never_went_back(self) -> bool:
        return self.seen == sorted(self.seen)


def _is_count(match: PathMatch) -> bool:
    return match.value[1:].isdigit()


def count(number: int) -> Ingress:
    return ingress("count", path=f"/{number}")


async def churn(watcher: Publisher, first: int, changes: int) -> None:
    for number in range(first, first + changes):
        await watcher.put(count(number), beacon=number % 20 == 0)


@contextmanager
def compiler_process(made: Plant, name: str) -> Iterator[Process]:
    command = limen(
        "compiler", "--nats", made.url, "--name", name, "--state", made.folder / name,
        "--signing-key", made.keys / "signing.key", "--objects-key", made.keys / "objects.key",
    )  # fmt: skip
    with process(*command, log=made.folder / f"{name}.log") as child:
        yield child


async def test_both_live_under_churn(made: Plant) -> None:
    watcher, edge = made.publisher(), await made.edge()
    first, second = made.compiler("compiler-1"), made.compiler("compiler-2")
    witness = Witness(edge)
    await watcher.put(*world(20))
    await eventually(lambda: edge.holds(first) and edge.holds(second))
    for number in range(300):
        await watcher.put(count(number), beacon=number % 50 == 0)
    await eventually(lambda: witness.seen[-1:] == [299])
    await eventually(lambda: edge.holds(first) and edge.holds(second))
    assert witness.never_went_back
    assert edge.positions == sorted(set(edge.positions))
    assert edge.positions[-1][0] == 1
    written = edge.positions[-1][1]
    assert written <= 303, f"{written} versions for 302 changes: somebody repeats what is there"
    assert first.position == second.position


async def test_the_standby_takes_over_when_the_active_one_is_gone(made: Plant) -> None:
    watcher, edge = made.publisher(), await made.edge()
    first, second = made.compiler("compiler-1"), made.compiler("compiler-2")
    witness = Witness(edge)
    await watcher.put(*world(5))
    await eventually(lambda: edge.holds(first) and edge.holds(second))
    active, standby = (first, second) if first.state.leadership.wrote_newest else (second, first)
    for number in range(20):
        await watcher.put(count(number))
    await active.kill()
    for number in range(20, 40):
        await watcher.put(count(number))
    await eventually(lambda: witness.seen[-1:] == [39])
    assert standby.state.active
    assert witness.never_went_back
    third = made.compiler("compiler-3")
    await eventually(lambda: third.state.ready)
    await watcher.put(count(40))
    await eventually(lambda: witness.seen[-1:] == [40] and edge.holds(third))


async def test_a_stopped_process_that_goes_on_writes_nothing_old(made: Plant) -> None:
    """SIGSTOP for a while under churn, then SIGCONT, again and again, now one and now the other."""
    watcher, edge = made.publisher(), await made.edge()
    witness = Witness(edge)
    with compiler_process(made, "one") as one, compiler_process(made, "two") as two:
        await watcher.put(*world(5))
        await eventually(lambda: len(edge.hosts) >= 5, 15)
        for turn, paused in enumerate((one, two, one, two)):
            paused.send(signal.SIGSTOP)
            await churn(watcher, turn * 100, 50)
            await eventually(lambda turn=turn: witness.seen[-1:] == [turn * 100 + 49])  # type: ignore[misc]
            paused.send(signal.SIGCONT)
            await churn(watcher, turn * 100 + 50, 50)
            await eventually(lambda turn=turn: witness.seen[-1:] == [turn * 100 + 99])  # type: ignore[misc]
        assert witness.never_went_back
        assert edge.positions == sorted(set(edge.positions))
        assert edge.positions[-1][0] == 1


async def test_killed_at_any_moment_the_next_one_goes_on(made: Plant) -> None:
    """kill -9 in the middle of churn, six times: versions stay dense within the epoch, and the edge is right."""
    watcher, edge = made.publisher(), await made.edge()
    witness = Witness(edge)
    await watcher.put(*world(5))
    for turn in range(6):
        with compiler_process(made, f"turn-{turn % 2}") as child:
            await eventually(lambda: edge.generations.generation is not None, 15)
            await churn(watcher, turn * 40, 40)
            child.kill()
    last = made.compiler("last")
    await watcher.beacon()
    await eventually(lambda: edge.holds(last) and witness.seen[-1:] == [239])
    assert witness.never_went_back
    versions = [version for epoch, version in edge.positions if epoch == 1]
    assert edge.positions[-1][0] == 1
    assert versions == sorted(set(versions))
    await _log_is_dense(made, edge.follower)


async def _log_is_dense(made: Plant, follower: Follower) -> None:
    state = await made.bus.state(SUBJECTS.deltas_stream)
    assert state is not None
    assert state.messages == state.last - state.first + 1
    assert follower.error == ""


async def test_two_that_compile_different_things_do_not_fight_at_full_speed(made: Plant) -> None:
    """As during an upgrade, when a newer release makes something else of the same objects."""
    watcher, edge = made.publisher(), await made.edge()
    one = made.compiler("one")
    await watcher.put(*world(5))
    await eventually(lambda: edge.holds(one))
    other = made.compiler("other", compile=CompileOptions(default_backend_service="default/web"))
    await eventually(lambda: other.state.ready)
    started, before = time.monotonic(), one.position[1]
    await eventually(lambda: time.monotonic() - started > 4)
    assert one.position[1] - before <= 8
    await other.kill()
    await watcher.put(count(1))
    await eventually(lambda: edge.holds(one), 35)
