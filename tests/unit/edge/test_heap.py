"""Memory that was freed between what stays goes back to the system, if there is time for it."""

from __future__ import annotations

import ctypes

import pytest

from services.edge import heap
from services.edge.heap import CALM, LOOKED_EVERY, Heap, resident

if not hasattr(ctypes.CDLL(None), "malloc_trim"):
    pytest.skip("the C library cannot be asked", allow_module_level=True)

_PEAK = 48 * 1024 * 1024


def peak() -> list[bytes]:
    """Use much memory at once; what stays of it lies all over the heap."""
    pieces = [bytes(2000) for _ in range(_PEAK // 2000)]
    return pieces[::200]


@pytest.fixture
def before() -> int:
    """What the process holds once it has given back what it can."""
    Heap().look(LOOKED_EVERY, 0.0)
    return resident()


def test_what_was_freed_after_a_peak_is_given_back(before: int) -> None:
    stays = peak()
    assert resident() - before > _PEAK // 2
    Heap().look(LOOKED_EVERY, 0.0)
    assert resident() - before < _PEAK // 4
    assert stays


def test_a_busy_worker_keeps_what_it_will_need_again(before: int) -> None:
    stays = peak()
    Heap().look(LOOKED_EVERY, CALM + 0.1)
    assert resident() - before > _PEAK // 2
    assert stays


def test_it_is_looked_at_now_and_then_only(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []
    monkeypatch.setattr(heap, "resident", lambda: len(looks.append(0.0) or looks))  # type: ignore[func-returns-value]
    watched = Heap()
    for tenth in range(1, 1000):
        watched.look(LOOKED_EVERY + tenth / 10, 0.0)
    assert len(looks) == pytest.approx(99.9 / LOOKED_EVERY, abs=1)
