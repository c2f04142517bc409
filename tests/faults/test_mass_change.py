"""Thousands of Ingresses go and come back at once: changes that pile up are one version, and the end state is right."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proto.objects import key_of
from tests.support.compiling import Plant, ingress, plant, world
from tests.support.nats import NatsServer
from tests.support.waiting import eventually

MANY = 5000


@pytest.fixture
async def made(nats: NatsServer, tmp_path: Path) -> AsyncIterator[Plant]:
    async with plant(nats.url, tmp_path) as made:
        yield made


async def test_changes_that_pile_up_are_few_versions(made: Plant) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    apps = [ingress(f"app-{number}") for number in range(MANY)]
    await watcher.put(*world(MANY))
    await eventually(lambda: edge.holds(compiler), 60)
    hosts, (_, before) = edge.hosts, compiler.position
    await watcher.remove(*map(key_of, apps))
    await eventually(lambda: edge.holds(compiler) and len(edge.hosts) < 10, 60)
    await watcher.put(*apps)
    await eventually(lambda: edge.holds(compiler) and edge.hosts == hosts, 60)
    epoch, version = compiler.position
    assert epoch == 1
    assert version - before < 2 * MANY / 20, "every version carries what came while the one before was written"
    assert edge.positions == sorted(set(edge.positions))
