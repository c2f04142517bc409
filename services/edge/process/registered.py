"""Metrics that a worker's modules keep in the registry of its process (events published, for one), as families.

All processes of an edge are forked from one, with the same modules and so the same registry: the admin process knows
the families that workers will send from its own, and leaves out its own counts of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.metrics_core import Metric

from services.edge.process.metrics import Family, Series
from services.runtime.metrics import registry

_BEGINNING: Final = "limen_"
"""What is counted by modules of ours; the rest (memory, garbage) each process tells of itself."""


def _metrics() -> Iterator[Metric]:
    for metric in registry.collect():
        if metric.name.startswith(_BEGINNING) and metric.type in ("counter", "gauge"):
            yield metric


def _shown_as(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def registered_names() -> frozenset[str]:
    """The names under which the registry knows them."""
    return frozenset(metric.name for metric in _metrics())


def registered_families() -> tuple[Family, ...]:
    """The families of what the registry holds now."""
    families = []
    for metric in _metrics():
        labels = tuple(metric.samples[0].labels) if metric.samples else ()
        families.append(Family(_shown_as(metric), metric.type, metric.documentation, labels))  # type: ignore[arg-type]
    return tuple(families)


def registered_series() -> dict[str, list[Series]]:
    """What this process has in its registry."""
    return {
        _shown_as(metric): [
            Series(tuple(sample.labels.values()), [sample.value])
            for sample in metric.samples
            if sample.name == _shown_as(metric)
        ]
        for metric in _metrics()
    }
