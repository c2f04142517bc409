"""Who writes: at once when active, after a moment as a standby, ever later in a quarrel."""

from __future__ import annotations

import pytest

from services.compiler.leadership import LONGEST_PATIENCE, PATIENCE, QUIET, Leadership


def test_alone_it_writes_at_once() -> None:
    leadership = Leadership()
    assert leadership.active(0.0)
    assert leadership.wait(0.0) == 0.0


def test_after_anothers_version_it_waits_a_moment() -> None:
    leadership = Leadership()
    leadership.read_foreign(10.0)
    assert not leadership.active(10.0)
    assert leadership.wait(10.0) == pytest.approx(PATIENCE)
    assert 0 < leadership.wait(10.0 + PATIENCE / 2) < PATIENCE
    assert leadership.wait(10.0 + PATIENCE) == pytest.approx(0.0)


def test_agreement_ends_the_waiting() -> None:
    leadership = Leadership()
    leadership.read_foreign(10.0)
    leadership.wait(10.0)
    leadership.agreed()
    assert leadership.wait(20.0) == pytest.approx(PATIENCE)


def test_whoever_wrote_is_active() -> None:
    leadership = Leadership()
    leadership.read_foreign(10.0)
    leadership.wrote(11.0)
    assert leadership.active(11.0)
    assert leadership.wrote_newest


def test_long_quiet_means_alone() -> None:
    leadership = Leadership()
    leadership.read_foreign(10.0)
    assert leadership.active(10.0 + QUIET + 1)


def test_a_quarrel_slows_down() -> None:
    leadership, now, waits = Leadership(), 0.0, []
    for _ in range(12):
        leadership.read_foreign(now)
        waits.append(leadership.wait(now))
        now += waits[-1]
        leadership.wrote(now)
    assert waits == sorted(waits)
    assert waits[-1] > 10
    assert max(waits) <= LONGEST_PATIENCE
