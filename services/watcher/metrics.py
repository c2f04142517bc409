"""The watcher's metrics: read from hub, outbox and publisher when somebody asks, so that nothing is counted twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from services.runtime.metrics import NGINX_PREFIX, controller_labels
from services.watcher.hub import Hub
from services.watcher.outbox import Outbox
from services.watcher.publisher import Publisher
from services.watcher.work import Work


class WatcherCollector(Collector):
    """``work`` gives the parts that are active now, or None in standby. ``election``: the name of the Lease that it is
    active by, empty: none; ``name``: of this process."""

    def __init__(self, work: Callable[[], Work | None], election: str, name: str) -> None:
        self._work = work
        self._election = election
        self._name = name

    def collect(self) -> Iterator[Metric]:
        """Everything, as it stands."""
        work = self._work()
        yield _gauge("limen_watcher_active", "1 while this watcher is the one that publishes.", float(work is not None))
        if self._election:
            constant = controller_labels(self._name)
            leader = GaugeMetricFamily(
                NGINX_PREFIX + "leader_election_status",
                "1 while this process holds the Lease.",
                labels=[*constant, "name"],
            )
            leader.add_metric([*constant.values(), self._election], float(work is not None))
            yield leader
        if work is not None:
            yield from _source(work.hub)
            yield from _bus(work.outbox, work.publisher)


def _source(hub: Hub) -> Iterator[Metric]:
    families = (
        GaugeMetricFamily("limen_watcher_source_synced", "1 when the kind was listed completely.", labels=["kind"]),
        GaugeMetricFamily("limen_watcher_source_objects", "Objects that the source holds.", labels=["kind"]),
        GaugeMetricFamily(
            "limen_watcher_watch_last_event_age_seconds", "Seconds since the source's last word.", labels=["kind"]
        ),
        GaugeMetricFamily("limen_watcher_source_failing", "1 while lists or watches fail.", labels=["kind"]),
    )
    for state in hub.sources():
        values = (float(state.synced), float(state.objects), state.age, float(bool(state.error)))
        for family, value in zip(families, values, strict=True):
            family.add_metric([state.kind], value)
    yield from families
    lists = CounterMetricFamily("limen_watcher_lists", "Complete lists made.", labels=["kind"])
    for kind, count in hub.lists().items():
        lists.add_metric([kind], count)
    yield lists
    yield CounterMetricFamily("limen_watcher_changes", "Changes that the source told.", hub.changes)
    findings = GaugeMetricFamily("limen_watcher_diagnostics", "Findings that stand now.", labels=["severity"])
    found = [diagnostic.severity for diagnostic in hub.diagnostics()]
    for severity in ("error", "warning", "notice"):
        findings.add_metric([severity], found.count(severity))
    yield findings


def _bus(outbox: Outbox, publisher: Publisher) -> Iterator[Metric]:
    objects = GaugeMetricFamily("limen_watcher_published_objects", "Objects that stand on the bus.", labels=["kind"])
    for kind, count in sorted(outbox.counts().items()):
        objects.add_metric([kind], count)
    yield objects
    yield _gauge("limen_watcher_pending_messages", "Messages that wait or are on their way.", outbox.pending)
    yield CounterMetricFamily("limen_watcher_published", "Messages stored.", publisher.published)
    yield CounterMetricFamily("limen_watcher_publish_failures", "Messages not acknowledged.", publisher.failures)
    yield CounterMetricFamily("limen_watcher_refills", "Times the stream had to be put right.", publisher.refills)


def _gauge(name: str, doc: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, doc, value)
