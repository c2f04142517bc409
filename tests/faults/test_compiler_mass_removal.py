"""A list that suddenly lacks most objects is held for a second look; what was told by a watch never is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proto.objects import ObjectKey, key_of
from tests.support.compiling import CLASS, SUBJECTS, FollowingEdge, Plant, endpoints, ingress, plant, world
from tests.support.nats import NatsServer
from tests.support.waiting import eventually

ALL = 40


@pytest.fixture
async def made(nats: NatsServer, tmp_path: Path) -> AsyncIterator[Plant]:
    async with plant(nats.url, tmp_path) as made:
        yield made


def apps(first: int, last: int) -> list[ObjectKey]:
    return [key_of(ingress(f"app-{number}")) for number in range(first, last)]


def app_hosts(edge: FollowingEdge) -> int:
    return sum(host.startswith("app-") for host in edge.hosts)


async def test_a_mass_removal_by_a_list_is_held_while_the_world_goes_on(made: Plant) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(ALL))
    await eventually(lambda: edge.holds(compiler))
    await watcher.remove(*apps(0, 30), relisted=True)
    held = await eventually(lambda: compiler.state.held)
    await eventually(lambda: compiler.state.held is not None and compiler.state.held.routes_after == 10)
    assert held.routes_now == 40
    await watcher.put(ingress("meanwhile"), endpoints("10.1.0.7"))
    await eventually(lambda: edge.holds(compiler) and "meanwhile.example.com" in edge.hosts)
    assert app_hosts(edge) == ALL
    assert compiler.state.status().held is not None
    for _ in range(3):
        await watcher.beacon()  # more of the same list is no second look
    await watcher.put(ingress("meanwhile-2"))
    await eventually(lambda: edge.holds(compiler) and "meanwhile-2.example.com" in edge.hosts)
    assert app_hosts(edge) == ALL
    await watcher.list_again()
    await eventually(lambda: edge.holds(compiler) and app_hosts(edge) == 10)
    assert compiler.state.held is None


async def test_objects_that_come_back_end_the_hold(made: Plant) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(ALL))
    await eventually(lambda: edge.holds(compiler))
    await watcher.remove(*apps(0, ALL), relisted=True)
    await eventually(lambda: compiler.state.held)
    await watcher.put(*(ingress(f"app-{number}") for number in range(ALL)))
    await eventually(lambda: compiler.state.held is None)
    await watcher.list_again()
    await watcher.put(ingress("after"))
    await eventually(lambda: edge.holds(compiler) and "after.example.com" in edge.hosts)
    assert app_hosts(edge) == ALL


async def test_approval_lets_it_pass(made: Plant) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(ALL))
    await eventually(lambda: edge.holds(compiler))
    answers = await made.bus.ask(SUBJECTS.approve_request, timeout=5, at_most=1)
    assert json.loads(answers[0].data) is None
    await watcher.remove(*apps(0, ALL), relisted=True)
    await eventually(lambda: compiler.state.held is not None and compiler.state.held.routes_after == 0)
    answers = await made.bus.ask(SUBJECTS.approve_request, timeout=5, at_most=1)
    assert json.loads(answers[0].data)["routes_after"] == 0
    await eventually(lambda: edge.holds(compiler) and app_hosts(edge) == 0)
    head = compiler.state.log.head
    assert head is not None
    assert head.delta.cause.reason == "approve"


async def test_what_a_watch_told_is_never_held(made: Plant) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(ALL))
    await eventually(lambda: edge.holds(compiler))
    await watcher.remove(*apps(0, ALL), beacon=False)
    await eventually(lambda: edge.holds(compiler) and app_hosts(edge) == 0)


@pytest.mark.parametrize("number", [1, 10, 19])
async def test_a_list_that_lacks_few_passes(made: Plant, number: int) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(ALL))
    await eventually(lambda: edge.holds(compiler))
    await watcher.remove(*apps(0, number), relisted=True)
    await eventually(lambda: edge.holds(compiler) and app_hosts(edge) == ALL - number)


async def test_a_mass_removal_that_arrives_bit_by_bit_is_one(made: Plant) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(ALL))
    await eventually(lambda: edge.holds(compiler))
    for number in range(ALL):
        await watcher.remove(*apps(number, number + 1), relisted=True, beacon=False)
        await eventually(lambda: len(compiler.state.intake.hold) or app_hosts(edge) < ALL)
    await watcher.list_again()  # now it is counted
    await eventually(lambda: compiler.state.held)
    assert app_hosts(edge) >= ALL - 10


async def test_a_class_lost_by_a_list_is_a_mass_removal(made: Plant) -> None:
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(ALL))
    await eventually(lambda: edge.holds(compiler))
    await watcher.remove(key_of(CLASS), relisted=True)
    await eventually(lambda: compiler.state.held)
    await watcher.put(endpoints("10.1.0.9"))
    await eventually(lambda: edge.holds(compiler) and edge.positions[-1] == (1, 2))
    assert app_hosts(edge) == ALL


async def test_endpoints_lost_by_a_list_are_a_mass_removal(made: Plant) -> None:
    """Routes whose Upstream would lose its last endpoint count as lost."""
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(ALL))
    await eventually(lambda: edge.holds(compiler))
    digest = edge.generations.table.digest
    await watcher.remove(key_of(endpoints("10.1.0.1")), relisted=True)
    await eventually(lambda: compiler.state.held)
    assert edge.generations.table.digest == digest


async def test_the_hold_survives_a_restart_of_the_compiler(made: Plant) -> None:
    """The new one never saw the objects; the published table tells what would go."""
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(ALL))
    await eventually(lambda: edge.holds(compiler))
    await watcher.remove(*apps(0, 30), relisted=True)
    await eventually(lambda: compiler.state.held)
    await compiler.kill()
    again = made.compiler("compiler-2")
    await eventually(lambda: again.state.held)
    await watcher.put(ingress("meanwhile"), ingress("app-35", path="/other"))
    await eventually(lambda: "meanwhile.example.com" in edge.hosts)
    assert app_hosts(edge) == ALL
    assert again.state.held is not None
    await watcher.list_again()
    await eventually(lambda: edge.holds(again) and app_hosts(edge) == 10)
    assert again.state.held is None


async def test_while_a_compiler_was_away(made: Plant) -> None:
    """Told removals pass at its start, inferred ones are held, and those of objects that come back are not."""
    watcher, compiler, edge = made.publisher(), made.compiler(), await made.edge()
    await watcher.put(*world(ALL))
    await eventually(lambda: edge.holds(compiler))
    await compiler.kill()
    await watcher.remove(*apps(0, 5))
    await watcher.remove(*apps(5, ALL), relisted=True)
    again = made.compiler("compiler-2")
    await eventually(lambda: again.state.held)
    await eventually(lambda: app_hosts(edge) == ALL - 5)
    await watcher.put(*(ingress(f"app-{number}") for number in range(5, ALL)))
    await eventually(lambda: again.state.held is None)
    await eventually(lambda: edge.holds(again) and app_hosts(edge) == ALL - 5)


async def test_two_compilers_hold_and_let_go_together(made: Plant) -> None:
    watcher, edge = made.publisher(), await made.edge()
    first, second = made.compiler("compiler-1"), made.compiler("compiler-2")
    await watcher.put(*world(ALL))
    await eventually(lambda: edge.holds(first) and edge.holds(second))
    await watcher.remove(*apps(0, ALL), relisted=True)
    await eventually(lambda: first.state.held and second.state.held)
    answers = await made.bus.ask(SUBJECTS.approve_request, timeout=5, at_most=1)
    assert json.loads(answers[0].data)["routes_now"] == ALL
    await eventually(lambda: edge.holds(first) and edge.holds(second) and app_hosts(edge) == 0)
    await eventually(lambda: first.position == second.position)
    await watcher.put(ingress("after"))
    await eventually(lambda: edge.holds(first) and edge.holds(second) and "after.example.com" in edge.hosts)
