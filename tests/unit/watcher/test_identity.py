"""Who a watcher is to the Lease."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.watcher.identity import Identity, Place

OUTSIDE = Place("default", "")


def test_a_pods_name_is_enough(tmp_path: Path) -> None:
    assert Identity(Place("ns", "limen-watcher-0"), tmp_path / "none").name == "limen-watcher-0"


def test_it_outlives_a_restart_and_is_nobody_elses_meanwhile(tmp_path: Path) -> None:
    first = Identity(OUTSIDE, tmp_path / "state")
    other = Identity(OUTSIDE, tmp_path / "state")
    assert other.name != first.name
    first.close()
    assert Identity(OUTSIDE, tmp_path / "state").name == first.name


def test_a_folder_that_cannot_be_written_gives_a_name_for_this_run(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    assert Identity(OUTSIDE, tmp_path / "state").name


def test_the_pod_is_found_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAMESPACE", "ns")
    monkeypatch.setenv("POD_NAME", "pod")
    assert Place.find() == Place("ns", "pod")
    monkeypatch.delenv("POD_NAMESPACE")
    monkeypatch.delenv("POD_NAME")
    assert Place.find() == Place("default", "")
