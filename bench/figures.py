"""Figures: what a benchmark found, beside its goal, printed for people or machines.

Owns the form of results and the statistics. Knows no benchmark.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One measured value. ``goal`` is the limit, ``better`` says on which side of it; None: nothing was promised."""

    what: str
    value: float
    unit: str
    goal: float | None = None
    better: Literal["less", "more"] = "less"
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.better == "less" else self.value >= self.goal


@dataclass
class Results:
    """All figures of one run."""

    bench: str
    figures: list[Figure] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def add(self, what: str, value: float, unit: str, goal: float | None = None, **more: str) -> None:
        """Record a figure."""
        self.figures.append(Figure(what, value, unit, goal, **more))  # type: ignore[arg-type]

    def print(self, *, as_json: bool) -> int:
        """Print everything; gives the exit code: 0 if no goal was missed, else 1."""
        if as_json:
            figures = [{**asdict(figure), "met": figure.met} for figure in self.figures]
            print(json.dumps({"bench": self.bench, **machine(), "figures": figures, "missing": self.missing}, indent=1))
        else:
            self._print_table()
        return int(any(figure.met is False for figure in self.figures))

    def _print_table(self) -> None:
        console = Console(width=max(100, Console().width))
        about = machine()
        console.print(
            f"[bold]{self.bench}[/]: {about['date']}, {about['cpu']}, {about['cores']} cores, {about['python']}"
        )
        table = Table(show_edge=False)
        for column in ("what", "value", "goal", "", "note"):
            table.add_column(column, justify="right" if column in ("value", "goal") else "left")
        for figure in self.figures:
            goal = "" if figure.goal is None else f"{'≤' if figure.better == 'less' else '≥'} {_short(figure.goal)}"
            verdict = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[figure.met]
            table.add_row(figure.what, f"{_short(figure.value)} {figure.unit}", goal, verdict, figure.note)
        console.print(table)
        for line in self.missing:
            console.print(f"[yellow]left out:[/] {line}")


def _short(value: float) -> str:
    if value == int(value) and abs(value) < 1e7:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def machine() -> dict[str, str | int]:
    """What the figures were measured on."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cpu": names[0] if names else platform.machine(),
        "cores": os.cpu_count() or 1,
        "python": f"Python {platform.python_version()}",
        "kernel": platform.release(),
    }


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which ``part`` (0 to 1) of ``values`` lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--quick", action="store_true", help="measure shorter: to see that it works, not to quote")
    return parser


def say(text: str) -> None:
    """Tell people how far a run is; kept apart from the results."""
    print(text, file=sys.stderr, flush=True)
