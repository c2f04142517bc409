"""Limits of clients with several workers: what one counts holds for all, and what a dead one had under way is gone."""

from __future__ import annotations

import os
import random

import pytest

from services.edge import shared_rates
from services.edge.core.leaky_buckets import LeakyBuckets, per_minute, per_second
from services.edge.core.networks import numbered
from services.edge.core.policies.limits import MayAsk, MayEnter
from services.edge.shared_rates import SharedClientRates, SharedCounts


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def workers(number: int, clock: Clock, counts: SharedCounts | None = None) -> list[SharedClientRates]:
    counts = counts or SharedCounts(number)
    return [SharedClientRates(clock, counts, worker) for worker in range(number)]


def asks(address: str = "192.0.2.7", zone: str = "z", limit: int = 1, burst: int = 5) -> MayAsk:
    return MayAsk(address, (per_second(zone, limit, burst),))


def test_a_client_has_one_rate_whatever_workers_it_comes_to() -> None:
    clock = Clock()
    each = workers(3, clock)
    assert [each[number % 3].may_ask(asks()) for number in range(8)] == [True] * 6 + [False] * 2
    assert each[0].may_ask(asks("192.0.2.8"))
    assert each[1].may_ask(asks(zone="other"))
    clock.now += 1
    assert [worker.may_ask(asks()) for worker in each] == [True, False, False]


def test_it_counts_as_one_worker_does() -> None:
    """Against the buckets of a single worker, at random times, over workers at random."""
    clock, random_ = Clock(), random.Random(7)
    each, alone = workers(2, clock), LeakyBuckets()
    buckets = (per_second("a", 3, 4), per_minute("b", 90, 20))
    for _ in range(2000):
        clock.now += random_.choice((0, 0, 0.01, 0.2, 1.5))
        address = f"192.0.2.{random_.randrange(4)}"
        expected = alone.take(numbered(address), buckets, int(clock.now * 1000))
        assert random_.choice(each).may_ask(MayAsk(address, buckets)) is expected


def test_requests_under_way_are_counted_by_all_and_end_once() -> None:
    one, two = workers(2, Clock())
    question = MayEnter("192.0.2.7", "z", 3)
    leave = [one.may_enter(question), two.may_enter(question), one.may_enter(question)]
    assert all(leave)
    assert one.may_enter(question) is None
    assert two.may_enter(question) is None
    assert two.may_enter(MayEnter("192.0.2.8", "z", 1)), "another client"
    assert two.may_enter(MayEnter("192.0.2.7", "other", 1)), "another Ingress"
    leave[0]()  # type: ignore[misc]
    assert two.may_enter(question)
    assert one.may_enter(question) is None
    assert len(one._under_way) == 1


def test_what_a_dead_worker_had_under_way_is_gone_with_its_successor() -> None:
    counts, clock = SharedCounts(2), Clock()
    one, two = workers(2, clock, counts)
    question = MayEnter("192.0.2.7", "z", 2)
    assert one.may_enter(question)
    assert two.may_enter(question)
    assert two.may_enter(question) is None
    successor = SharedClientRates(clock, counts, 0)
    assert two.may_enter(question)
    assert successor.may_enter(question) is None


def test_forked_workers_see_each_other() -> None:
    counts, clock = SharedCounts(2), Clock()
    here = SharedClientRates(clock, counts, 0)
    child = os.fork()
    if not child:
        there = SharedClientRates(clock, counts, 1)
        passed = [there.may_ask(asks(burst=1)), there.may_ask(asks(burst=1))]
        os._exit(0 if passed == [True, True] and there.may_enter(MayEnter("192.0.2.7", "z", 1)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not here.may_ask(asks(burst=1))
    assert here.may_enter(MayEnter("192.0.2.7", "z", 1)) is None


def test_where_there_is_no_room_each_counts_for_itself_and_the_oldest_rates_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_rates, "RATE_ROWS", shared_rates.WAYS)
    monkeypatch.setattr(shared_rates, "ENTRY_ROWS", shared_rates.WAYS)
    clock = Clock()
    one, two = workers(2, clock)
    held = [one.may_enter(MayEnter(f"192.0.2.{number}", "z", 1)) for number in range(6)]
    assert all(held)
    assert one.may_enter(MayEnter("192.0.2.5", "z", 1)) is None
    assert two.may_enter(MayEnter("192.0.2.5", "z", 1)), "no row is left to tell it"
    for leave in held:
        leave()  # type: ignore[misc]
    assert not one._under_way
    for number in range(shared_rates.WAYS + 1):
        clock.now += 0.001
        assert one.may_ask(asks(f"192.0.2.{number}", burst=0))
    assert not two.may_ask(asks(f"192.0.2.{shared_rates.WAYS}", burst=0))
    assert two.may_ask(asks("192.0.2.0", burst=0)), "who has not asked for longest is forgotten"
