"""``limen edge``."""

from __future__ import annotations

from typing import Any

import click

from services.cli.nginx_flags import NginxCommand
from services.cli.options import bus_options, for_role, own_name, required, state_folder, with_options
from services.cli.roles import finish


@click.command("edge", cls=NginxCommand)
@with_options(for_role("edge"))
def command(**values: Any) -> None:
    """Take traffic: follow the bus and serve the newest snapshot. Needs nothing but its last one to go on serving."""
    if not values["http"] and not values["https"]:
        raise click.UsageError("say where to serve: --http ADDRESS:PORT, --https ADDRESS:PORT")
    required(values, "sealing_key", "verify_key")
    name = own_name(values)

    def start() -> int:
        from services.edge.main import run
        from services.edge.options import EdgeOptions

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
            log_json=values["log_format"] == "json",
        )
        return run(options)

    finish("edge", start)
