"""The budget for what waits on its way out: who is counted, and who leaves."""

from __future__ import annotations

import asyncio
from collections import Counter

from services.edge.outflow import Outflow


class Client:
    """Holds so many bytes; it has no socket."""

    transport = asyncio.Transport()

    def __init__(self, flow: Outflow, size: int) -> None:
        self._flow = flow
        self.size = size
        self.gone = False
        flow.note(self)

    def untaken(self) -> int:
        return self.size

    def give_up(self) -> None:
        self.gone = True


class Loop:
    """Runs what is due when it is told to."""

    def __init__(self) -> None:
        self.due: list[object] = []

    def call_soon(self, callback: object, *_: object) -> None:
        self.due.append(callback)

    def turn(self) -> None:
        due, self.due = self.due, []
        for callback in due:
            callback()  # type: ignore[operator]


def outflow(budget: int) -> tuple[Outflow, Loop, Counter[str]]:
    loop, counters = Loop(), Counter[str]()
    return Outflow(loop, counters, budget), loop, counters  # type: ignore[arg-type]


def test_who_has_taken_nothing_for_longest_leaves_first() -> None:
    flow, loop, counters = outflow(100)
    first, second, third = (Client(flow, 30) for _ in range(3))
    first.size = 25
    flow.look()
    fourth = Client(flow, 40)
    assert flow.held == 125
    loop.turn()
    assert [each.gone for each in (first, second, third, fourth)] == [False, True, False, False]
    assert (flow.held, flow.clients, counters["overload-untaken"]) == (95, 3, 1)


def test_whoever_took_something_since_the_last_look_stays() -> None:
    flow, loop, _ = outflow(100)
    reader, other = Client(flow, 40), Client(flow, 40)
    reader.size = 39
    late = Client(flow, 40)
    loop.turn()
    assert (reader.gone, other.gone, late.gone) == (False, True, False)


def test_where_all_take_something_the_one_that_did_so_first_leaves() -> None:
    flow, loop, _ = outflow(100)
    clients = [Client(flow, 60) for _ in range(3)]
    for each in clients:
        each.size = 59
    loop.turn()
    assert [each.gone for each in clients] == [True, True, False]
    assert flow.held == 59


def test_nobody_leaves_amid_a_write() -> None:
    flow, loop, _ = outflow(10)
    alone = Client(flow, 50)
    assert not alone.gone
    loop.turn()
    assert alone.gone
    assert flow.held == 0


def test_what_was_taken_does_not_count() -> None:
    flow, loop, counters = outflow(100)
    quick, slow = Client(flow, 60), Client(flow, 30)
    flow.forget(quick)
    flow.forget(quick)
    assert flow.held == 30
    slow.size = 0
    flow.look()
    assert (flow.held, flow.clients) == (0, 0)
    Client(flow, 100)
    loop.turn()
    assert not counters


def test_pressure_begins_at_a_quarter() -> None:
    flow, _, _ = outflow(100)
    client = Client(flow, 25)
    assert not flow.pressed
    client.size = 26
    flow.note(client)
    assert flow.pressed


def test_without_a_budget_nobody_leaves() -> None:
    flow, loop, _ = outflow(0)
    clients = [Client(flow, 1 << 40) for _ in range(3)]
    loop.turn()
    assert not any(each.gone for each in clients)
    assert not flow.pressed


def test_the_loop_is_asked_once_a_turn() -> None:
    flow, loop, _ = outflow(1)
    for _ in range(5):
        Client(flow, 2)
    assert len(loop.due) == 1
