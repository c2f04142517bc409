"""The metrics of this process: one registry, and its text.

The edge's request metrics do not pass here (they are counted without locks and rendered by the edge); what is counted
a few times a second at most is.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

registry: Final = CollectorRegistry()
"""Give this as ``registry=`` to every Counter, Gauge and Histogram."""

ProcessCollector(registry=registry)
GCCollector(registry=registry)


def render() -> bytes:
    """Everything in the registry, in Prometheus' text format."""
    return generate_latest(registry)
