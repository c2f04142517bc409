"""Which request metrics there are and how they are labelled, as ingress-nginx's flags say; and series put into it.

Owns the rules of ``--metrics-per-host`` and its companions. Pure. Must not know how requests are counted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from services.edge.core.plan import RouteLabels
from services.edge.options import MetricsOptions
from services.edge.process.metrics import Family, Labels
from services.edge.process.metrics import Series as Shown
from services.edge.traffic import Histogram, Series
from services.runtime.metrics import NGINX_PREFIX

PREFIX: Final = NGINX_PREFIX

_HISTOGRAMS: Final = (
    ("request_duration_seconds", "Time of a request.", "request_seconds", "time"),
    ("response_duration_seconds", "Time until the response was taken.", "response_seconds", "time"),
    ("header_duration_seconds", "Time until the response's head.", "header_seconds", "time"),
    ("connect_duration_seconds", "Time to connect to the endpoint.", "connect_seconds", "time"),
    ("request_size", "Size of requests in bytes.", "request_bytes", "length"),
    ("response_size", "Size of responses in bytes.", "response_bytes", "length"),
    ("bytes_sent", "Bytes sent to clients.", "sent_bytes", "size"),
)
"""(name, help, where the traffic's series keep it, kind of buckets)."""
LABELS: Final[Labels] = ("status", "method", "path", "namespace", "ingress", "service", "canary")
CATCH_ALL: Final = "_"
"""The host of requests that a catch-all Ingress takes, as nginx names that server."""


def request_families(options: MetricsOptions) -> Iterator[Family]:
    """The families of what requests did, in ingress-nginx's names; those that are excluded are not there."""
    if not options.enabled:
        return
    labels = (*LABELS, "host") if options.per_host else LABELS
    excluded = {name.removeprefix(PREFIX) for name in options.excluded}
    if "requests" not in excluded:
        yield Family(PREFIX + "requests", "counter", "Client requests.", labels)
    buckets = {"time": options.time_buckets, "length": options.length_buckets, "size": options.size_buckets}
    for name, doc, _, kind in _HISTOGRAMS:
        if name not in excluded:
            yield Family(PREFIX + name, "histogram", doc, labels, buckets[kind])


class Exposing:
    """The traffic's series in the families that ``options`` ask for."""

    def __init__(self, options: MetricsOptions) -> None:
        self._options = options
        names = {family.name.removeprefix(PREFIX) for family in request_families(options)}
        self._counts = "requests" in names
        self._histograms = [(PREFIX + name, kept) for name, _, kept, _ in _HISTOGRAMS if name in names]
        self._names = [PREFIX + name for name in names]

    def families(self, series: Collection[Series]) -> dict[str, list[Shown]]:
        """Every family with its series. Several may have the same labels: they are to be added up."""
        families: dict[str, list[Shown]] = {name: [] for name in self._names}
        for seen in series:
            labels = self._labels(seen)
            if labels is None:
                continue
            if self._counts:
                families[PREFIX + "requests"].append(Shown(labels, [float(seen.requests)]))
            for name, kept in self._histograms:
                histogram: Histogram = getattr(seen, kept)
                families[name].append(Shown(labels, [*map(float, histogram.counts), histogram.total]))
        return families

    def _labels(self, seen: Series) -> Labels | None:
        """The labels of a series; None: requests for hosts that nobody declared are not shown, as in ingress-nginx."""
        options, route = self._options, seen.labels
        status = f"{seen.status // 100}xx" if options.status_classes else str(seen.status)
        canary = route.alternative.decode()
        labels = (status, seen.method, route.path, route.namespace, route.ingress, route.service, canary)
        if not options.per_host:
            return labels
        host = _host_of(route)
        return (*labels, host) if host else None


def _host_of(route: RouteLabels) -> str:
    if route.host or not route.ingress:
        return route.host
    return CATCH_ALL
