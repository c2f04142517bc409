"""The metrics of this process: one registry, and its text.

The edge's request metrics do not pass here (they are counted without locks and rendered by the edge); what is counted
a few times a second at most is.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

NGINX_PREFIX: Final = "nginx_ingress_controller_"
"""What the names of ingress-nginx's metrics begin with."""

registry: Final = CollectorRegistry()
"""Give this as ``registry=`` to every Counter, Gauge and Histogram."""

ProcessCollector(registry=registry)
GCCollector(registry=registry)


def controller_labels(name: str) -> dict[str, str]:
    """The labels that ingress-nginx puts on everything it tells; pod and namespace come from the downward API, where
    there is none ``name`` stands for the pod."""
    return {
        "controller_class": "k8s.io/ingress-nginx",
        "controller_namespace": os.environ.get("POD_NAMESPACE", ""),
        "controller_pod": os.environ.get("POD_NAME", name),
    }


class _Rest(Collector):
    def __init__(self, leave_out: Container[str]) -> None:
        self._leave_out = leave_out

    def collect(self) -> Iterator[Metric]:
        return (metric for metric in registry.collect() if metric.name not in self._leave_out)


def render(leave_out: Container[str] = ()) -> bytes:
    """Everything in the registry but the metrics named in ``leave_out``, in Prometheus' text format."""
    rest = CollectorRegistry()
    rest.register(_Rest(leave_out))
    return generate_latest(rest)
