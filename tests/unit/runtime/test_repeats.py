"""What repeats is said once, when it changes, and now and then with a count."""

from __future__ import annotations

from services.runtime.repeats import SAID_EVERY, Repeats


def test_once_then_now_and_then_with_a_count_and_anew_when_it_changes() -> None:
    now = 1000.0
    repeats = Repeats(lambda: now)
    assert [repeats.due("disk full") for _ in range(3)] == ["disk full", "", ""]
    assert repeats.due("timeout") == "timeout"
    assert repeats.due("disk full") == "disk full"
    for _ in range(9):
        now += 1
        assert not repeats.due("disk full")
    now += SAID_EVERY
    assert repeats.due("disk full") == "disk full (again, 10 times since this was last said)"
    assert not repeats.due("disk full")
    assert repeats.over()
    assert not repeats.over()
    assert repeats.due("disk full") == "disk full"
