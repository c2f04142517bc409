"""``limen watcher``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from services.cli.nginx_flags import NginxCommand
from services.cli.options import bus_options, for_role, own_name, required, state_folder, with_options
from services.cli.roles import finish


@click.command("watcher", cls=NginxCommand)
@with_options(for_role("watcher"))
def command(**values: Any) -> None:
    """Read Kubernetes objects (--kube) or a folder of manifests (--manifests) and publish them on the bus."""
    if not values["kube"] and not values["manifests"]:
        raise click.UsageError("say what to read: --kube, or --manifests DIR")
    required(values, "sealing_key", "objects_key")
    name = own_name(values)

    def start() -> int:
        from services.watcher.main import run
        from services.watcher.options import WatcherOptions

        made: dict[str, Any] = {
            "bus": bus_options(values, name),
            "name": name,
            "state": state_folder(values, "watcher"),
            "manifests": tuple(Path(path) for path in values["manifests"]),
            "replicas": values["nats_replicas"],
            "log_json": values["log_format"] == "json",
        }
        taken = {key: values[key] for key in WatcherOptions.__struct_fields__ if key not in made}
        return run(WatcherOptions(**made, **taken))

    finish("watcher", start)
