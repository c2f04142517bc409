"""Compiles and runs every hostile pattern, and tells what that cost: run as a process of its own, whose memory is
looked at."""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from services.contract import regex

HOSTILE: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("hostile.yaml").read_text())


@dataclass(frozen=True)
class Outcome:
    """Seconds of processor time of both steps; ``refused``: the reason, if it was not compiled; ``given_up``: the
    search took too long."""

    pattern: str
    compiling: float
    searching: float = 0.0
    engine: str = ""
    refused: str = ""
    given_up: bool = False


def _repeated(pieces: list[tuple[str, int]]) -> str:
    return "".join(text * times for text, times in pieces)


def patterns_and_subjects() -> list[tuple[str, bytes]]:
    """All of them, patterns anchored as nginx anchors them."""
    return [
        ("^" + (entry.get("pattern") or _repeated(entry["pieces"])), _repeated(entry["subject"]).encode())
        for entry in HOSTILE
    ]


def outcome_of(pattern: str, subject: bytes) -> Outcome:
    """Compile and search once."""
    started = time.process_time()
    try:
        compiled = regex.compile(pattern)
    except regex.RegexError as error:
        return Outcome(pattern, time.process_time() - started, refused=str(error))
    compiling, started = time.process_time() - started, time.process_time()
    given_up = False
    try:
        compiled.search(subject)
    except regex.RegexTimeoutError:
        given_up = True
    return Outcome(pattern, compiling, time.process_time() - started, compiled.engine, given_up=given_up)


def main() -> int:
    """Write what was found to the file that is named."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = [outcome_of(pattern, subject) for pattern, subject in patterns_and_subjects()]
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    Path(sys.argv[1]).write_text(json.dumps({"outcomes": list(map(asdict, outcomes)), "grown": grown}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
