"""What ingress-nginx tells of single Ingresses, under its names: those without Service or endpoints, and how often each
was checked with which result. Read when somebody asks.

Bounded by the Ingresses there are: what is gone is told no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from services.compiler.core.result import Orphan
from services.runtime.metrics import NGINX_PREFIX

Checks = Mapping[tuple[str, str], tuple[int, int]]
"""(namespace, name) -> (how often an Ingress was accepted, how often rejected)."""


class IngressCollector(Collector):
    """``constant``: the labels that every series carries."""

    def __init__(
        self, constant: Mapping[str, str], orphans: Callable[[], Iterable[Orphan]], checks: Callable[[], Checks]
    ) -> None:
        self._constant = constant
        self._orphans = orphans
        self._checks = checks

    def collect(self) -> Iterator[Metric]:
        """Everything, as it stands."""
        names, values = [*self._constant], [*self._constant.values()]
        orphans = GaugeMetricFamily(
            NGINX_PREFIX + "orphan_ingress",
            "Ingresses that name a Service that does not exist, or that has no endpoints.",
            labels=[*names, "namespace", "ingress", "type"],
        )
        for orphan in sorted(self._orphans()):
            orphans.add_metric([*values, orphan.namespace, orphan.name, orphan.lacks], 1)
        yield orphans
        # of no type: what this library calls a counter ends in _total, and these names do not
        accepted = Metric(NGINX_PREFIX + "check_success", "How often an Ingress was taken over.", "unknown")
        rejected = Metric(NGINX_PREFIX + "check_errors", "How often an Ingress was not taken over.", "unknown")
        for (namespace, name), (good, bad) in sorted(self._checks().items()):
            labels = {**self._constant, "namespace": namespace, "ingress": name}
            accepted.add_sample(accepted.name, labels, good)
            if bad:
                rejected.add_sample(rejected.name, labels, bad)
        yield accepted
        yield rejected
