"""The budget of further tries."""

from __future__ import annotations

from services.edge.core.retries import PER_SECOND, RESERVE, RetryBudget


def taken(budget: RetryBudget, now: float) -> int:
    count = 0
    while budget.take(now):
        count += 1
    return count


def test_the_reserve_comes_at_once_and_then_so_many_a_second() -> None:
    budget = RetryBudget()
    assert taken(budget, 1000.0) == RESERVE
    assert taken(budget, 1000.0) == 0
    assert taken(budget, 1001.0) == PER_SECOND
    assert taken(budget, 1001.5) == PER_SECOND / 2


def test_the_reserve_fills_and_does_not_overflow() -> None:
    budget = RetryBudget()
    taken(budget, 1000.0)
    assert taken(budget, 9000.0) == RESERVE
