"""Patterns as data, beside PCRE: the same matches and captures; what is hostile costs a bounded time and memory."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.contract import regex
from tests.integration.matching.hostile import HOSTILE, Outcome, patterns_and_subjects
from tests.support.patterns import TRY_PATHS
from tests.support.pcre import Pcre, Refused
from tests.support.processes import process

TABLE: dict[str, list[list[str]]] = yaml.safe_load(Path(__file__).with_name("patterns.yaml").read_text())
EVERY_PATH = [path.decode("latin-1") for path in TRY_PATHS]
PATIENCE = 4 * regex.TIME_LIMIT
"""Seconds of processor time that may pass before a search is given up: the engine does not look at its clock all the
time."""
MEMORY = 48 << 20
"""Bytes by which a process may grow by compiling and running all that is hostile."""


def ours(pattern: str, subject: bytes, ignore_case: bool) -> tuple[bytes, ...] | None:
    return regex.compile(pattern, ignore_case=ignore_case).search(subject)


def compare(pattern: str, subjects: list[str], ignore_case: bool) -> None:
    judge = Pcre(pattern.encode(), ignore_case=ignore_case)
    try:
        for subject in subjects:
            text = subject.encode()
            wanted = judge.search(text)
            found = ours(pattern, text, ignore_case)
            if "\\K" in pattern and found is not None:  # where a match begins is of no use to anybody here
                assert wanted is not None
                found, wanted = found[1:], wanted[1:]
            assert found == wanted, subject
    finally:
        judge.close()


@pytest.mark.parametrize("entry", TABLE["paths"], ids=lambda entry: entry[0])
def test_patterns_of_paths_mean_what_they_mean_to_pcre(entry: list[str]) -> None:
    pattern, *subjects = entry
    for spelled in {f"^{pattern}", pattern, f"(?i){pattern}"}:
        compare(spelled, [*subjects, *EVERY_PATH], ignore_case=True)


@pytest.mark.parametrize("entry", TABLE["headers"], ids=lambda entry: entry[0])
def test_patterns_of_headers_mean_what_they_mean_to_pcre(entry: list[str]) -> None:
    pattern, *subjects = entry
    compare(pattern, [*subjects, *EVERY_PATH, ""], ignore_case=False)


@pytest.mark.parametrize("entry", TABLE["refused"], ids=lambda entry: entry[0])
def test_what_cannot_be_done_is_said(entry: list[str]) -> None:
    pattern, reason = entry
    with pytest.raises(regex.RegexError, match=reason):
        regex.compile(f"^{pattern}")


def test_the_tables_are_as_large_as_they_should_be() -> None:
    patterns = [entry[0] for entry in TABLE["paths"] + TABLE["headers"]]
    assert len(patterns) == len(set(patterns)) >= 120
    assert len(HOSTILE) >= 40


def test_hostile_patterns_cost_a_bounded_time_and_memory(tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    with process(sys.executable, "-m", "tests.integration.matching.hostile", told, log=tmp_path / "log") as child:
        assert child.wait(120) == 0, child.output()
    found: dict[str, Any] = json.loads(told.read_text())
    outcomes = [Outcome(**one) for one in found["outcomes"]]
    assert len(outcomes) == len(HOSTILE)
    for entry, outcome in zip(HOSTILE, outcomes, strict=True):
        shown = f"{outcome.pattern[:60]}: {outcome}"
        assert outcome.compiling < PATIENCE, shown
        assert outcome.searching < PATIENCE, shown
        assert bool(outcome.refused) == ("refused" in entry), shown
        assert entry.get("refused", "") in outcome.refused, shown
        assert outcome.engine == "regex" or not outcome.given_up, shown
    assert found["grown"] < MEMORY


@pytest.mark.parametrize(("pattern", "subject"), patterns_and_subjects(), ids=lambda value: str(value)[:40])
def test_what_hostile_patterns_find_is_what_pcre_finds(pattern: str, subject: bytes) -> None:
    """On the beginning of what provokes them, which PCRE can still search."""
    try:
        compiled, judge = regex.compile(pattern), Pcre(pattern.encode())
    except (regex.RegexError, Refused):
        return
    for text in (subject[:12], subject[:12] + subject[-1:], subject[:3]):
        try:
            assert (compiled.search(text) is None) == (judge.search(text) is None), text
        except (regex.RegexTimeoutError, Refused):
            continue
    judge.close()
