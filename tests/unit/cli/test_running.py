"""How commands find a running ``limen up``, and that a state folder has one owner."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from services.cli.main import cli
from services.cli.running import DEMO, NOTE, Running, default_folder, find, held, leave_note
from services.runtime.settings import SettingsError


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def _note(folder: Path, instance: str = "limen") -> Running:
    running = Running(1, instance, "nats://u:p@127.0.0.1:1", "127.0.0.1:2", str(folder))
    leave_note(folder, running)
    return running


def test_a_note_counts_only_while_its_folder_is_held(tmp_path: Path) -> None:
    folder = default_folder("limen", "manifests /a")
    assert folder.parent == tmp_path / "limen"
    with held(folder):
        running = _note(folder)
        assert (folder / NOTE).stat().st_mode & 0o777 == 0o600
        assert find("limen", None) == [running]
        assert find("limen", folder) == [running]
        assert find("blue", None) == []
        with pytest.raises(SettingsError, match="another limen up uses it"), held(folder):
            pass
    assert find("limen", None) == []
    _note(folder)  # as a killed one leaves it
    assert find("limen", None) == []


def test_a_demo_is_found_in_its_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = tmp_path / f"{DEMO}x"
    with held(folder):
        running = _note(folder)
        (tmp_path / f"{DEMO}link").symlink_to(folder)
        assert find("limen", None) == [running]
        monkeypatch.setattr("os.geteuid", lambda: -1)  # somebody else's
        assert find("limen", None) == []


def test_a_folder_of_ones_own_choice_is_found_without_being_named(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    with held(folder):
        running = _note(folder)
        assert find("limen", None) == [running]
    assert find("limen", None) == []
    assert list((tmp_path / "limen").iterdir()) == []
    with held(folder):
        (tmp_path / "limen" / "elsewhere-gone").symlink_to(tmp_path / "gone")  # as a killed one leaves it
    with held(folder):
        assert [link.resolve() for link in (tmp_path / "limen").iterdir()] == [folder]


def test_a_folder_where_nothing_runs_is_said_to_be_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["status", "--state", str(tmp_path / "nobody")])
    assert result.exit_code == 1
    assert f"--state {tmp_path / 'nobody'}: no `limen up` of instance 'limen' runs there" in result.output


def test_several_are_not_guessed_among() -> None:
    first, second = default_folder("limen", "a"), default_folder("limen", "b")
    assert first != second
    with held(first), held(second):
        _note(first)
        _note(second)
        result = CliRunner().invoke(cli, ["status"])
        assert result.exit_code == 2
        assert "say which one with --state" in result.output
        assert f"{first} (process 1)" in result.output


def test_damaged_notes_are_passed_over() -> None:
    folder = default_folder("limen", "a")
    with held(folder):
        (folder / NOTE).write_text("{")
        assert find("limen", None) == []
