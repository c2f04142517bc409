"""One compiler on a real bus: from an object message to a signed version that an edge takes over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from proto.objects import key_of
from proto.reports import Findings, RoleStatus
from services.runtime.status import gather_status
from tests.support.compiling import SUBJECTS, Plant, endpoints, ingress, plant, source, world
from tests.support.nats import NatsServer
from tests.support.waiting import eventually


@pytest.fixture
async def made(nats: NatsServer, tmp_path: Path) -> AsyncIterator[Plant]:
    async with plant(nats.url, tmp_path) as made:
        yield made


async def test_an_object_becomes_a_version_that_an_edge_serves(made: Plant) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world())
    await eventually(lambda: edge.holds(compiler) and "app-0.example.com" in edge.hosts)
    before = compiler.position
    await watcher.put(ingress("second"))
    await eventually(lambda: "second.example.com" in edge.hosts)
    assert compiler.position == (before[0], before[1] + 1)
    assert edge.positions == sorted(set(edge.positions))


async def test_nothing_is_compiled_before_every_kind_was_listed(made: Plant) -> None:
    watcher, compiler = made.publisher(), made.compiler()
    await watcher.put(ingress("early"), source(synced=False))
    await eventually(lambda: len(compiler.state.intake.feed) == 2)
    assert compiler.position == (0, 0)
    assert not compiler.state.ready
    await watcher.put(*world())
    await eventually(lambda: compiler.state.ready)


async def test_equal_content_is_never_published_twice(made: Plant) -> None:
    watcher, compiler = made.publisher(), made.compiler()
    await watcher.put(*world(3))
    await eventually(lambda: compiler.state.ready)
    position = compiler.position
    await compiler.stop()
    again = made.compiler()
    await eventually(lambda: again.state.ready)
    assert again.position == position
    await watcher.put(endpoints("10.1.0.1"))  # as it is
    await watcher.put(ingress("app-0", path="/other"))
    await eventually(lambda: again.position == (position[0], position[1] + 1))


async def test_changes_that_pile_up_are_one_version(made: Plant) -> None:
    watcher, compiler = made.publisher(), made.compiler()
    await watcher.put(*world())
    await eventually(lambda: compiler.state.ready)
    before = compiler.position[1]
    await watcher.put(*(ingress(f"burst-{number}") for number in range(500)))
    await eventually(lambda: compiler.state.compiler.route_count() == 501)
    await eventually(lambda: compiler.state.log.table.digest == compiler.state.compiler.digest)
    assert compiler.position[1] - before <= 20


async def test_status_and_findings_are_answered(made: Plant) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    told: list[Findings] = []

    async def on_findings(message) -> None:  # type: ignore[no-untyped-def]
        told.append(msgspec.json.decode(message.data, type=Findings))

    await made.bus.subscribe(SUBJECTS.findings, on_findings)
    broken = ingress("broken", path="no-slash")
    await watcher.put(*world(), broken)
    await eventually(lambda: edge.holds(compiler))
    await eventually(lambda: any("default/app-0" in findings.served for findings in told))
    answers = await made.bus.ask(f"{SUBJECTS.findings}.ask", at_most=1, timeout=5)
    complete = msgspec.json.decode(answers[0].data, type=Findings)
    assert complete.complete
    assert complete.served == ("default/app-0",)
    assert [found.code for found in complete.diagnostics if found.object == key_of(broken)] == ["path-invalid"]

    async def live() -> RoleStatus | None:
        found = await gather_status(made.bus, SUBJECTS, timeout=2, at_most=1)
        return found[0] if found and found[0].counts["live"] == 1 else None

    status = await eventually(live)
    assert (status.role, status.ready, status.active) == ("compiler", True, True)
    assert status.edges[0].edge == "edge-1"
    assert status.digest == compiler.state.compiler.digest.hex()


async def test_two_objects_of_one_host_are_diagnosed_and_told(made: Plant) -> None:
    events: list[str] = []

    async def on_event(message) -> None:  # type: ignore[no-untyped-def]
        events.append(msgspec.json.decode(message.data)["type"].removeprefix("io.limen."))

    await made.bus.subscribe(SUBJECTS.events, on_event)
    watcher, compiler = made.publisher(), made.compiler()
    await watcher.put(*world())
    await eventually(lambda: {"snapshot.published", "route.added", "ingress.accepted"} <= set(events))
    events.clear()
    await watcher.put(endpoints("10.1.0.1", "10.1.0.2"))
    await eventually(lambda: {"snapshot.published", "upstream.changed"} <= set(events))
    await watcher.put(ingress("broken", path="no-slash"))
    await eventually(lambda: "ingress.rejected" in events)
    await watcher.remove(key_of(ingress("app-0")))
    await eventually(lambda: "route.removed" in events)
    assert compiler.state.last_error == ""
