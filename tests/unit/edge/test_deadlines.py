"""The sweep that ends whatever waits too long."""

from __future__ import annotations

import asyncio

import pytest

from services.edge.deadlines import NEVER, Deadlines, Timed
from tests.support.waiting import eventually


class Waiting:
    """Something that waits, and may fail when it is told that it waited too long."""

    def __init__(self, deadline: float, fails: bool = False) -> None:
        self.deadline = deadline
        self.fails = fails
        self.expired = 0

    def expire(self, now: float) -> None:
        self.expired += 1
        if self.fails:
            raise RuntimeError("a defect")
        self.deadline = NEVER


async def test_a_defect_in_one_does_not_stop_time_for_the_others(caplog: pytest.LogCaptureFixture) -> None:
    deadlines = Deadlines(asyncio.get_running_loop())
    broken = [Waiting(0.0, fails=True) for _ in range(8)]
    others = [Waiting(0.0) for _ in range(8)]
    for timed in (*broken, *others):
        deadlines.watch(timed)
    await eventually(lambda: all(timed.expired for timed in (*broken, *others)))
    assert [timed.expired for timed in others] == [1] * 8
    assert "a defect" in caplog.text


async def test_what_was_discarded_is_not_looked_at_and_nothing_runs_for_nobody() -> None:
    deadlines = Deadlines(asyncio.get_running_loop())
    gone = Waiting(0.0)
    deadlines.watch(gone).discard(gone)
    await eventually(lambda: deadlines._handle is None)
    late = Waiting(0.0)
    deadlines.watch(late)
    await eventually(lambda: late.expired == 1)
    assert gone.expired == 0


async def test_what_another_ended_in_the_same_sweep_is_not_told_any_more() -> None:
    deadlines = Deadlines(asyncio.get_running_loop())
    told = []

    class Pair:
        """One of two that end, or put off, the other when they are told first."""

        def __init__(self) -> None:
            self.deadline = 0.0
            self.other: Pair
            self.slot: set[Timed] = set()

        def expire(self, now: float) -> None:
            told.append(self)
            self.deadline = NEVER
            self.other.end(now)

        def end(self, _now: float) -> None:
            self.slot.discard(self)

    class Patient(Pair):
        """Has more time instead."""

        def end(self, _now: float) -> None:
            self.deadline = NEVER

    for kind in (Pair, Patient):
        told.clear()
        pair = [kind(), kind()]
        pair[0].other, pair[1].other = pair[1], pair[0]
        for each in pair:
            each.slot = deadlines.watch(each)
            for _ in range(3):  # the next one is in the same slot
                deadlines.watched += 1
        await eventually(lambda: bool(told))
        assert len(told) == 1
