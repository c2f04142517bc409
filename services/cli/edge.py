"""``limen edge``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from services.cli.nginx_flags import NginxCommand
from services.cli.option_types import buckets
from services.cli.options import bus_options, for_role, own_name, required, state_folder, with_options
from services.cli.roles import finish

if TYPE_CHECKING:
    from services.edge.options import MetricsOptions


def metrics_options(values: Mapping[str, Any]) -> MetricsOptions:
    """What the METRICS options say. Raises UsageError for those that contradict each other."""
    from services.edge.options import DEFAULT_METRICS, MetricsOptions

    if values["metrics_per_undefined_host"] and not values["metrics_per_host"]:
        raise click.UsageError("--metrics-per-undefined-host needs --metrics-per-host")
    excluded = (name.strip() for name in values["exclude_socket_metrics"].split(","))
    return MetricsOptions(
        enabled=values["enable_metrics"],
        per_host=values["metrics_per_host"],
        per_undefined_host=values["metrics_per_undefined_host"],
        status_classes=values["report_status_classes"],
        excluded=tuple(name for name in excluded if name),
        time_buckets=buckets(values["time_buckets"]) or DEFAULT_METRICS.time_buckets,
        length_buckets=buckets(values["length_buckets"]) or DEFAULT_METRICS.length_buckets,
        size_buckets=buckets(values["size_buckets"]) or DEFAULT_METRICS.size_buckets,
    )


@click.command("edge", cls=NginxCommand)
@with_options(for_role("edge"))
def command(**values: Any) -> None:
    """Take traffic: follow the bus and serve the newest snapshot. Needs nothing but its last one to go on serving."""
    if not values["http"] and not values["https"]:
        raise click.UsageError("say where to serve: --http ADDRESS:PORT, --https ADDRESS:PORT")
    required(values, "sealing_key", "verify_key")
    name = own_name(values)
    metrics = metrics_options(values)

    def start() -> int:
        from services.edge.main import run
        from services.edge.options import EdgeOptions, LimitOptions

        options = EdgeOptions(
            bus=bus_options(values, name),
            instance=values["instance"],
            name=name,
            state=state_folder(values, f"edge-{name}"),
            sealing_key=values["sealing_key"],
            verify_key=values["verify_key"],
            http=tuple(values["http"]),
            https=tuple(values["https"]),
            admin=values["admin"],
            h2c=values["h2c"],
            workers=values["workers"],
            shutdown_grace_period=values["shutdown_grace_period"],
            worker_shutdown_timeout=values["worker_shutdown_timeout"],
            allow_loopback_upstreams=values["allow_loopback_upstreams"],
            zone=values["zone"].strip(),
            metrics=metrics,
            limits=LimitOptions(
                per_source=values["max_connections_per_source"],
                pending_connects=values["max_pending_connects"],
                waiting_bytes=values["max_waiting_bytes"],
            ),
            log_json=values["log_format"] == "json",
        )
        return run(options)

    finish("edge", start)
