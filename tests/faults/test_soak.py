"""The soak in its short form: what ``make soak`` does for ten minutes, for seconds."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.support.processes import REPOSITORY


def test_faults_leave_nothing_behind() -> None:
    command = [sys.executable, "-m", "bench.soak", "--seconds", "6", "--json"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=150)
    figures = {figure["what"]: figure for figure in json.loads(done.stdout)["figures"]}
    assert [figure for figure in figures.values() if figure["met"] is False] == [], done.stderr
    assert figures["requests of the client that behaves"]["value"] > 100
    assert figures["connections used badly meanwhile"]["value"] > 50
