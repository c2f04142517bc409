"""Memory that was freed between what stays goes back to the system, if there is time for it."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from services.edge import heap
from services.edge.heap import CALM, GROWN, LOOKED_EVERY, WORTH, Heap
from tests.support.processes import REPOSITORY

if not hasattr(ctypes.CDLL(None), "malloc_trim"):
    pytest.skip("the C library cannot be asked", allow_module_level=True)


class Memory:
    """What a process holds, and what of it is free: told, for what else this process has freed is in nobody's hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held, self.free = 2 * WORTH, WORTH
        self.asked = 0
        self.given_back: list[int] = []
        monkeypatch.setattr(heap, "resident", self._resident)
        monkeypatch.setattr(heap, "_asked", lambda: (lambda: self.free, self._give_back))

    def _resident(self) -> int:
        self.asked += 1
        return self.held

    def _give_back(self, left: int) -> int:
        assert left == 0
        self.given_back.append(self.free)
        self.held -= self.free
        return 1


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    return Memory(monkeypatch)


PEAK = """
from services.edge.heap import CALM, LOOKED_EVERY, WORTH, Heap, resident

peak = 12 * WORTH
watched = Heap()
before = resident()
stays = [bytes(2000) for _ in range(peak // 2000)][::200]  # all over the heap
assert resident() - before > peak // 2
watched.look(LOOKED_EVERY, CALM + 0.1)
assert resident() - before > peak // 2
watched.look(LOOKED_EVERY, CALM)
assert resident() - before < peak // 4
assert stays
"""


def test_what_was_freed_after_a_peak_is_given_back() -> None:
    """In a process whose heap nothing else has used."""
    subprocess.run([sys.executable, "-c", PEAK], cwd=REPOSITORY, check=True)


def test_a_busy_worker_keeps_what_it_will_need_again(memory: Memory) -> None:
    watched = Heap()
    watched.look(LOOKED_EVERY, CALM + 0.1)
    assert not memory.given_back
    watched.look(LOOKED_EVERY, CALM)
    assert memory.given_back == [WORTH]


def test_little_that_is_free_stays(memory: Memory) -> None:
    memory.free = WORTH - 1
    Heap().look(LOOKED_EVERY, 0.0)
    assert not memory.given_back


def test_what_was_given_back_is_not_again_before_memory_grew(memory: Memory) -> None:
    watched = Heap()
    watched.look(LOOKED_EVERY, 0.0)
    watched.look(2 * LOOKED_EVERY, 0.0)
    assert memory.given_back == [WORTH]
    memory.held += GROWN
    watched.look(3 * LOOKED_EVERY, 0.0)
    assert memory.given_back == [WORTH, WORTH]


def test_it_is_looked_at_now_and_then_only(memory: Memory) -> None:
    memory.free = 0
    watched = Heap()
    for tenth in range(1, 1000):
        watched.look(LOOKED_EVERY + tenth / 10, 0.0)
    assert memory.asked == pytest.approx(99.9 / LOOKED_EVERY, abs=1)
