"""The wall clock jumps by an hour, there and back: nothing is ordered by it, so nothing flaps and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proto.objects import key_of
from tests.support.compiling import Plant, endpoints, ingress, plant, world
from tests.support.nats import NatsServer
from tests.support.waiting import eventually

HOUR = 3600.0


@pytest.fixture
async def made(nats: NatsServer, tmp_path: Path) -> AsyncIterator[Plant]:
    async with plant(nats.url, tmp_path) as made:
        yield made


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
async def test_changes_go_on_and_nothing_goes_back(made: Plant, monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    watcher, edge = made.publisher(), await made.edge()
    compiler, standby = made.compiler(), made.compiler("compiler-2")
    await watcher.put(*world(20))
    await eventually(lambda: edge.holds(compiler) and edge.holds(standby))
    real = time.time
    for number, offset in enumerate((jump, 0.0, jump)):
        monkeypatch.setattr(time, "time", lambda offset=offset: real() + offset)
        await watcher.put(ingress(f"after-{number}"), endpoints(f"10.1.0.{number + 2}"))
        await eventually(lambda number=number: f"after-{number}.example.com" in edge.hosts and edge.holds(compiler))
        other = await made.edge(f"edge-{number + 2}")
        await eventually(lambda other=other: other.holds(compiler))
    assert edge.positions == sorted(set(edge.positions)), "nothing went back, nothing came twice"
    assert {epoch for epoch, _ in edge.positions} == {1}, "nobody began anew"
    assert not compiler.state.intake.hold
    assert not compiler.state.log.lost


async def test_a_mass_removal_is_held_all_the_same(made: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that runs an hour ahead is no second look."""
    watcher, edge, compiler = made.publisher(), await made.edge(), made.compiler()
    await watcher.put(*world(40))
    await eventually(lambda: edge.holds(compiler))
    hosts = edge.hosts
    await watcher.remove(*(key_of(ingress(f"app-{number}")) for number in range(30)), relisted=True)
    await eventually(lambda: compiler.state.held)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + HOUR)
    await watcher.put(ingress("meanwhile"))
    await eventually(lambda: edge.hosts == hosts | {"meanwhile.example.com"})
    assert compiler.state.held
    await watcher.list_again()
    await eventually(lambda: edge.holds(compiler) and len(edge.hosts) < len(hosts))
