"""The metrics of several processes as those of one: pure, text in, text out. Names are not changed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

_SUMMED_GAUGES: Final = ("_connections", "_bytes", "_fds", "_workers", "_num_procs", "_memory")
_LEAST_GAUGES: Final = ("_ready", "_connected", "_successful")

_BARE_COUNTER: Final = re.compile(r"^# TYPE (\S+)(?<!_total) counter$", re.MULTILINE)
"""A counter whose name does not end as the format's newer rules want (as ingress-nginx's do not)."""

Sample = tuple[str, tuple[tuple[str, str], ...]]


class _Family:
    def __init__(self, kind: str, help_: str) -> None:
        self.kind = kind
        self.help = help_
        self.samples: dict[Sample, float] = {}


def merged(texts: Iterable[str]) -> bytes:
    """Counters and histograms are added up. Gauges that count things (connections, bytes …) are too; those that say
    whether all is well take the least, all others the greatest value. Raises ValueError for what is no such text."""
    families: dict[str, _Family] = {}
    for text in texts:
        bare = set(_BARE_COUNTER.findall(text))
        # the parser would give such a counter another name; it leaves what has no type as it is
        for parsed in text_string_to_metric_families(_BARE_COUNTER.sub(r"# TYPE \1 untyped", text)):
            kind = "counter" if parsed.name in bare else parsed.type
            family = families.setdefault(parsed.name, _Family(kind, parsed.documentation))
            for sample in parsed.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                old = family.samples.get(key)
                family.samples[key] = (
                    sample.value if old is None else _combine(parsed.name, family.kind, old, sample.value)
                )
    return "".join(_rendered(name, family) for name, family in families.items()).encode()


def _combine(name: str, kind: str, old: float, new: float) -> float:
    if kind in ("counter", "histogram", "summary") or name.endswith(_SUMMED_GAUGES):
        return old + new
    if name.endswith(_LEAST_GAUGES):
        return min(old, new)
    return max(old, new)


def _rendered(name: str, family: _Family) -> str:
    # the parser takes "_total" off a counter's name; the samples say whether it was there
    totals = family.kind == "counter" and any(sample == f"{name}_total" for sample, _ in family.samples)
    shown = f"{name}_total" if totals else name
    lines = [f"# HELP {shown} {_escaped(family.help)}", f"# TYPE {shown} {family.kind}"]
    for (sample, labels), value in family.samples.items():
        text = ",".join(f'{label}="{_escaped(content, quotes=True)}"' for label, content in labels)
        lines.append(f"{sample}{{{text}}} {_number(value)}" if text else f"{sample} {_number(value)}")
    return "\n".join(lines) + "\n"


def _escaped(text: str, *, quotes: bool = False) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
    return escaped.replace('"', '\\"') if quotes else escaped


def _number(value: float) -> str:
    value = float(value)  # the parser gives whole numbers as int
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(repr(value), repr(value))
