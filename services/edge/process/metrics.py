"""What the workers of an edge count, added up and rendered as Prometheus text.

Owns the families that ``/metrics`` shows and how series of several workers, and of those that died, make one. Pure.
Must not know how a worker counts, nor how its numbers get here. Names that begin with ``nginx_ingress_controller_``
are those of ingress-nginx, so that dashboards go on working.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

Labels = tuple[str, ...]


class Family(Struct, frozen=True):
    """A metric: its name, help, label names, and for a histogram the upper bounds of its buckets.

    A series of a counter or gauge has one value. A series of a histogram has a count for each bucket (not added up),
    one for what lies above the last, and the sum of all values. ``alike``: every worker sees the same things, so that
    the greatest value counts and not the sum.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Labels = ()
    buckets: tuple[float, ...] = ()
    alike: bool = False

    @property
    def width(self) -> int:
        """How many values a series has."""
        return len(self.buckets) + 2 if self.kind == "histogram" else 1


class Series(Struct, array_like=True):
    """One series: the values of its family's labels, and its values."""

    labels: Labels
    values: list[float]


class Counters(Struct):
    """All series of a process, by family name."""

    families: dict[str, list[Series]] = {}


class Totals:
    """Counters of many processes, added up. Series whose shape does not fit their family are passed over.

    ``constant``: labels that every series of families under ``constant_for`` (a prefix) carries.
    """

    def __init__(
        self, families: Iterable[Family], constant: Mapping[str, str] | None = None, constant_for: str = ""
    ) -> None:
        self._constant = [f'{name}="{_escaped(value)}"' for name, value in (constant or {}).items()]
        self._constant_for = constant_for
        self._families = {family.name: family for family in families}
        self._values: dict[str, dict[Labels, list[float]]] = {}

    def add(self, counters: Counters, *, ended: bool = False) -> None:
        """Add what a process counted; of one that has ended, gauges say nothing any more."""
        for name, series in counters.families.items():
            family = self._families.get(name)
            if family is None or (ended and family.kind == "gauge"):
                continue
            known = self._values.setdefault(name, {})
            for one in series:
                if len(one.values) != family.width or len(one.labels) != len(family.labels):
                    continue
                known[one.labels] = _merged(family, known.get(one.labels), one.values)

    def set(self, name: str, value: float, labels: Labels = ()) -> None:
        """Give a gauge or counter a value that is not added up."""
        self._values.setdefault(name, {})[labels] = [value]

    def counters(self) -> Counters:
        """What was added up so far, as if one process had counted it."""
        return Counters(
            {
                name: [Series(labels, values) for labels, values in series.items()]
                for name, series in self._values.items()
            }
        )

    def render(self) -> bytes:
        """The text form, families in the order in which they were given, series sorted."""
        lines: list[str] = []
        for family in self._families.values():
            series = self._values.get(family.name)
            if not series:
                continue
            lines.append(f"# HELP {family.name} {family.help}")
            lines.append(f"# TYPE {family.name} {family.kind}")
            constant = self._constant if family.name.startswith(self._constant_for) else []
            for labels in sorted(series):
                _render_series(family, constant, labels, series[labels], lines)
        return ("\n".join(lines) + "\n").encode() if lines else b""


def _merged(family: Family, known: list[float] | None, more: list[float]) -> list[float]:
    if known is None:
        return list(more)
    if family.alike:
        return [max(a, b) for a, b in zip(known, more, strict=True)]
    return [a + b for a, b in zip(known, more, strict=True)]


def _render_series(family: Family, constant: list[str], labels: Labels, values: list[float], lines: list[str]) -> None:
    pairs = [*constant, *(f'{name}="{_escaped(value)}"' for name, value in zip(family.labels, labels, strict=True))]
    if family.kind != "histogram":
        lines.append(f"{family.name}{_braced(pairs)} {_number(values[0])}")
        return
    total = 0.0
    for bound, count in zip((*family.buckets, float("inf")), values, strict=False):
        total += count
        lines.append(f"{family.name}_bucket{_braced([*pairs, _le(bound)])} {_number(total)}")
    lines.append(f"{family.name}_sum{_braced(pairs)} {_number(values[-1])}")
    lines.append(f"{family.name}_count{_braced(pairs)} {_number(total)}")


def _le(bound: float) -> str:
    return 'le="+Inf"' if bound == float("inf") else f'le="{_number(bound)}"'


def _braced(pairs: list[str]) -> str:
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    value = float(value)
    return str(int(value)) if value.is_integer() else repr(value)
