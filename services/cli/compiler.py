"""``limen compiler``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from services.cli.nginx_flags import NginxCommand
from services.cli.options import (
    bus_options,
    compile_options,
    for_role,
    own_name,
    required,
    state_folder,
    with_options,
)
from services.cli.roles import finish

if TYPE_CHECKING:
    from services.compiler.options import WebhookOptions


def webhook_options(values: Mapping[str, Any]) -> WebhookOptions | None:
    """Where Ingresses are reviewed; None: nowhere. Raises UsageError where no certificate is named for it."""
    from services.compiler.options import WebhookOptions

    if not values["validating_webhook"]:
        return None
    certificate, key = values["validating_webhook_certificate"], values["validating_webhook_key"]
    if not (certificate and key):
        names = "--validating-webhook-certificate and --validating-webhook-key"
        raise click.UsageError(f"--validating-webhook needs {names}")
    return WebhookOptions(address=values["validating_webhook"], certificate=certificate, key=key)


@click.command("compiler", cls=NginxCommand)
@with_options(for_role("compiler"))
def command(**values: Any) -> None:
    """Compile the objects on the bus to snapshots, signed. Any number may run: one at a time appends."""
    required(values, "signing_key", "objects_key")
    name = own_name(values)

    def start() -> int:
        from services.compiler.main import run
        from services.compiler.options import CompilerOptions

        options = CompilerOptions(
            bus=bus_options(values, name),
            instance=values["instance"],
            name=name,
            state=state_folder(values, "compiler"),
            signing_key=values["signing_key"],
            objects_key=values["objects_key"],
            compile=compile_options(values),
            replicas=values["nats_replicas"],
            admin=values["admin"],
            webhook=webhook_options(values),
            log_json=values["log_format"] == "json",
        )
        return run(options)

    finish("compiler", start)
