"""Every metric of an edge: Limen's own about following and swapping, and ingress-nginx's about traffic.

The names, labels and buckets of the latter are those that its dashboards and alerts query.
"""

from __future__ import annotations

from typing import Final

from services.edge.process.metrics import Family, Labels

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LENGTHS: Final = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0)
SIZES: Final = (10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7)
SWAP_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5)
LIVE_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)

REQUEST_LABELS: Final[Labels] = ("status", "method", "path", "namespace", "ingress", "service", "canary", "host")

PREFIX: Final = "nginx_ingress_controller_"
OWN: Final = "limen_edge_"


def _own(
    kind: str, name: str, help_: str, labels: Labels = (), buckets: tuple[float, ...] = (), *, alike: bool = False
) -> Family:
    return Family(OWN + name, kind, help_, labels, buckets, alike)  # type: ignore[arg-type]


def _theirs(
    kind: str, name: str, help_: str, labels: Labels = (), buckets: tuple[float, ...] = (), *, alike: bool = False
) -> Family:
    return Family(PREFIX + name, kind, help_, labels, buckets, alike)  # type: ignore[arg-type]


FAMILIES: Final[tuple[Family, ...]] = (
    _own("gauge", "ready", "Whether the edge serves a complete generation."),
    _own("gauge", "workers", "Worker processes, by state.", ("state",)),
    _own("gauge", "snapshot_epoch", "Epoch of the generation that is served.", ("worker",)),
    _own("gauge", "snapshot_version", "Version of the generation that is served.", ("worker",)),
    _own("gauge", "snapshot_age_seconds", "Seconds since the generation came into force.", ("worker",)),
    _own("gauge", "snapshot_stale", "Whether the bus has not confirmed the generation for a minute.", ("worker",)),
    _own("gauge", "snapshot_records", "Resources of the generation, by kind.", ("kind",)),
    _own("gauge", "bus_connected", "Whether the worker is connected to NATS.", ("worker",)),
    _own("gauge", "resident_memory_bytes", "Memory of the worker process.", ("worker",)),
    _own("counter", "generations_total", "Generations put in force."),
    _own("counter", "catch_ups_total", "Times that the log was read up because something may have been missed."),
    _own("counter", "rejected_messages_total", "Messages from the bus that moved nothing, by reason.", ("reason",)),
    _own("counter", "last_good_errors_total", "Failures to write the last good generation to disk."),
    _own("histogram", "swap_seconds", "From holding a delta to serving it.", (), SWAP_SECONDS),
    _own("histogram", "live_seconds", "From the watcher seeing a change to serving it.", (), LIVE_SECONDS),
    _own("gauge", "connections", "Open connections of clients, by state.", ("state",)),
    _own("gauge", "upstream_connections", "Open connections to endpoints, by state.", ("state",)),
    _own("counter", "traffic_events_total", "What happened to requests beside their status.", ("event",)),
    _own("gauge", "unreadable_certificates", "Certificates in whose place the fallback is served.", alike=True),
    _own("gauge", "unresolved_names", "External names that do not resolve at present.", alike=True),
    _own("counter", "worker_restarts_total", "Workers that were started again."),
    _theirs("counter", "requests", "Client requests.", REQUEST_LABELS),
    _theirs("histogram", "request_duration_seconds", "Time of a request.", REQUEST_LABELS, SECONDS),
    _theirs("histogram", "response_duration_seconds", "Time until the response was taken.", REQUEST_LABELS, SECONDS),
    _theirs("histogram", "header_duration_seconds", "Time until the response's head.", REQUEST_LABELS, SECONDS),
    _theirs("histogram", "connect_duration_seconds", "Time to connect to the endpoint.", REQUEST_LABELS, SECONDS),
    _theirs("histogram", "request_size", "Size of requests in bytes.", REQUEST_LABELS, LENGTHS),
    _theirs("histogram", "response_size", "Size of responses in bytes.", REQUEST_LABELS, LENGTHS),
    _theirs("histogram", "bytes_sent", "Bytes sent to clients.", REQUEST_LABELS, SIZES),
    _theirs("gauge", "nginx_process_connections", "Client connections, by state.", ("state",)),
    _theirs("counter", "nginx_process_connections_total", "Client connections so far, by state.", ("state",)),
    _theirs("counter", "nginx_process_requests_total", "Client requests so far."),
    _theirs("gauge", "nginx_process_num_procs", "Worker processes."),
    _theirs("gauge", "nginx_process_resident_memory_bytes", "Memory of the worker processes."),
    _theirs("counter", "nginx_process_cpu_seconds_total", "Processor time of the worker processes."),
    _theirs("counter", "success", "Generations put in force (reloads, in nginx's terms)."),
    _theirs("counter", "errors", "Generations refused (failed reloads, in nginx's terms)."),
    _theirs("gauge", "config_hash", "Hash of the generation that is served."),
    _theirs("gauge", "config_last_reload_successful", "Whether the newest generation is in force."),
    _theirs("gauge", "config_last_reload_successful_timestamp_seconds", "When a generation came into force."),
    _theirs(
        "gauge",
        "ssl_expire_time_seconds",
        "End of certificates.",
        ("namespace", "class", "host", "secret_name"),
        alike=True,
    ),
)
