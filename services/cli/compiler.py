"""``limen compiler``."""

from __future__ import annotations

from typing import Any

import click

from services.cli.nginx_flags import NginxCommand
from services.cli.options import bus_options, for_role, own_name, required, state_folder, with_options
from services.cli.roles import finish


@click.command("compiler", cls=NginxCommand)
@with_options(for_role("compiler"))
def command(**values: Any) -> None:
    """Compile the objects on the bus to snapshots, signed. Any number may run: one at a time appends."""
    required(values, "signing_key", "objects_key")
    pair = [f"validating_webhook_{part}" for part in ("certificate", "key")]
    if values["validating_webhook"] and not all(values[name] for name in pair):
        names = " and ".join(f"--{name.replace('_', '-')}" for name in pair)
        raise click.UsageError(f"--validating-webhook needs {names}")
    name = own_name(values)

    def start() -> int:
        from services.compiler.core.options import CompileOptions
        from services.compiler.main import run
        from services.compiler.options import CompilerOptions, WebhookOptions

        webhook = None
        if values["validating_webhook"]:
            webhook = WebhookOptions(
                address=values["validating_webhook"],
                certificate=values["validating_webhook_certificate"],
                key=values["validating_webhook_key"],
            )

        options = CompilerOptions(
            bus=bus_options(values, name),
            instance=values["instance"],
            name=name,
            state=state_folder(values, "compiler"),
            signing_key=values["signing_key"],
            objects_key=values["objects_key"],
            compile=CompileOptions(
                configmap=values["configmap"],
                ingress_class=values["ingress_class"],
                controller_class=values["controller_class"],
                ingress_class_by_name=values["ingress_class_by_name"],
                watch_ingress_without_class=values["watch_ingress_without_class"],
                watch_namespace=values["watch_namespace"],
                default_backend_service=values["default_backend_service"],
                default_ssl_certificate=values["default_ssl_certificate"],
                disable_svc_external_name=values["disable_svc_external_name"],
                disable_catch_all=values["disable_catch_all"],
                deep_inspect=values["deep_inspect"],
                ignore_modsecurity=values["ignore_modsecurity"],
                tcp_services_configmap=values["tcp_services_configmap"],
                udp_services_configmap=values["udp_services_configmap"],
                enable_ssl_passthrough=values["enable_ssl_passthrough"],
                enable_topology_aware_routing=values["enable_topology_aware_routing"],
            ),
            replicas=values["nats_replicas"],
            admin=values["admin"],
            webhook=webhook,
            log_json=values["log_format"] == "json",
        )
        return run(options)

    finish("compiler", start)
