"""Every metric of an edge: Limen's own about following and swapping, and ingress-nginx's about traffic.

The names, labels and buckets of the latter are those that its dashboards and alerts query.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from services.edge.options import MetricsOptions
from services.edge.process.exposing import PREFIX, request_families
from services.edge.process.metrics import Family, Labels

SWAP_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5)
LIVE_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)

OWN: Final = "limen_edge_"
CERTIFICATE_LABELS: Final[Labels] = ("namespace", "class", "host", "secret_name", "identifier")
ISSUER_LABELS: Final[Labels] = (
    *CERTIFICATE_LABELS,
    "issuer_organization",
    "issuer_common_name",
    "serial_number",
    "public_key_algorithm",
)


def _own(
    kind: str, name: str, help_: str, labels: Labels = (), buckets: tuple[float, ...] = (), *, alike: bool = False
) -> Family:
    return Family(OWN + name, kind, help_, labels, buckets, alike)  # type: ignore[arg-type]


def _theirs(
    kind: str, name: str, help_: str, labels: Labels = (), buckets: tuple[float, ...] = (), *, alike: bool = False
) -> Family:
    return Family(PREFIX + name, kind, help_, labels, buckets, alike)  # type: ignore[arg-type]


_FIXED: Final[tuple[Family, ...]] = (
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
    _own("gauge", "waiting_bytes", "Bytes of responses that wait for clients which take them slowly."),
    _own("gauge", "waiting_clients", "Clients for which such bytes wait."),
    _own("gauge", "upstream_connections", "Open connections to endpoints, by state.", ("state",)),
    _own("counter", "traffic_events_total", "What happened to requests beside their status.", ("event",)),
    _own("counter", "access_log_lines_total", "Lines of the access log, by what became of them.", ("outcome",)),
    _own("counter", "spans_total", "Spans of requests, by what became of them.", ("outcome",)),
    _own("counter", "stream_sessions_total", "Streams that ended.", ("protocol", "port", "status")),
    _own("counter", "stream_bytes_total", "Bytes of streams from and to clients.", ("protocol", "port", "direction")),
    _own("gauge", "stream_sessions", "Connections and sessions of TCP and UDP services.", ("protocol",)),
    _own("gauge", "stream_ports_closed", "Ports of TCP and UDP services that cannot be opened.", alike=True),
    _own("gauge", "unreadable_certificates", "Certificates in whose place the fallback is served.", alike=True),
    _own("gauge", "unresolved_names", "External names that do not resolve at present.", alike=True),
    _own("counter", "worker_restarts_total", "Workers that were started again."),
    _theirs("gauge", "nginx_process_connections", "Client connections, by state.", ("state",)),
    _theirs("counter", "nginx_process_connections_total", "Client connections so far, by state.", ("state",)),
    _theirs("counter", "nginx_process_requests_total", "Client requests so far."),
    _theirs("gauge", "nginx_process_num_procs", "Worker processes."),
    _theirs("gauge", "nginx_process_resident_memory_bytes", "Memory of the worker processes."),
    _theirs("gauge", "nginx_process_virtual_memory_bytes", "Address space of the worker processes."),
    _theirs("gauge", "nginx_process_oldest_start_time_seconds", "When the oldest worker began."),
    _theirs("counter", "nginx_process_cpu_seconds_total", "Processor time of the worker processes."),
    _theirs("counter", "nginx_process_read_bytes_total", "Bytes that the worker processes read."),
    _theirs("counter", "nginx_process_write_bytes_total", "Bytes that the worker processes wrote."),
    _theirs("gauge", "build_info", "What is running; always 1.", ("release", "build", "repository")),
    _theirs("counter", "success", "Generations put in force (reloads, in nginx's terms)."),
    _theirs("counter", "errors", "Generations refused (failed reloads, in nginx's terms)."),
    _theirs("gauge", "config_hash", "Hash of the generation that is served."),
    _theirs("gauge", "config_last_reload_successful", "Whether the newest generation is in force."),
    _theirs("gauge", "config_last_reload_successful_timestamp_seconds", "When a generation came into force."),
    _theirs("gauge", "ssl_expire_time_seconds", "End of certificates.", CERTIFICATE_LABELS, alike=True),
    _theirs("gauge", "ssl_certificate_info", "Certificates; always 1.", ISSUER_LABELS, alike=True),
)


def families_of(options: MetricsOptions, more: Iterable[Family] = ()) -> tuple[Family, ...]:
    """Every family that an edge with ``options`` shows; ``more``: of what its processes count in their registries."""
    return (*_FIXED, *request_families(options), *more)
