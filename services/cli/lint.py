"""``limen lint``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, Final

import click

from services.cli.nginx_flags import NginxCommand, separate
from services.cli.nginx_options import NGINX
from services.cli.option_entry import extra
from services.cli.option_table import COMPILING, EDGE, METRICS
from services.cli.option_types import ANY_PATH
from services.cli.options import compile_options, with_options

_COMPILED: Final = frozenset(
    {
        "configmap",
        "ingress_class",
        "controller_class",
        "ingress_class_by_name",
        "watch_ingress_without_class",
        "watch_namespace",
        "default_backend_service",
        "default_ssl_certificate",
        "disable_svc_external_name",
        "disable_catch_all",
        "deep_inspect",
        "health_check_path",
        "tcp_services_configmap",
        "udp_services_configmap",
        "enable_ssl_passthrough",
        "enable_topology_aware_routing",
    }
)
READ_OPTIONS: Final = (*(option for option in NGINX if option.key in _COMPILED), *COMPILING)
"""The flags that say what is compiled: what `lint` and `explain` take of ingress-nginx's command line."""
_SERVING: Final = [option for option in (*NGINX, *EDGE, *METRICS) if option.key not in _COMPILED]
FAILS: Final = {"error": ("error",), "warning": ("error", "warning"), "notice": ("error", "warning", "notice")}


class ReadingCommand(NginxCommand):
    """A command that serves nothing: what ingress-nginx's command line says of serving is passed over."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        others = {option.name: "nothing is served here" for option in _SERVING}
        switches = [option.name for option in _SERVING if option.kind is bool]
        return super().parse_args(ctx, separate(args, others, switches)[0])


@click.command("lint", cls=ReadingCommand)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, allow_dash=True), metavar="[FILE|DIR|-]...")
@extra("kube", is_flag=True, help="Read the cluster; needs to list what the watcher lists.")
@extra("kubeconfig", default="", metavar="FILE", help="How to reach it. [default: as kubectl]")
@extra("context", default="", metavar="NAME", help="Context of the kubeconfig.")
@extra("json", "as_json", is_flag=True, help="JSON, for programs.")
@extra("html", type=ANY_PATH, default=None, metavar="FILE", help="Also write a page that needs nothing else.")
@extra("all", "everything", is_flag=True, help="Name Ingresses without a finding too.")
@extra(
    "fail-on", type=click.Choice(list(FAILS)), default="error", show_default=True, help="What makes the exit code 1."
)
@with_options(READ_OPTIONS)
def command(paths: tuple[Path, ...], kube: bool, **values: Any) -> None:
    """Say what Limen makes of Ingresses, ConfigMap and annotations that were written for ingress-nginx.

    Each Ingress is served fully, served with notices, or refused (whole, or routes of it). A finding says what
    ingress-nginx does, what Limen does, and what to do. Flags of ingress-nginx may be given as its Deployment has them.

    Exit codes: 0 nothing of the severity --fail-on or worse was found; 1 something was; 2 nothing could be read.
    """
    if kube == bool(paths):
        both = "--kube and files exclude each other: " if kube else ""
        raise click.UsageError(f"{both}say what to look at: files or folders (- for standard input), or --kube")
    sys.exit(_lint(paths, values))


def _lint(paths: tuple[Path, ...], values: dict[str, Any]) -> int:
    import msgspec

    from services.cli.lint_report import report_on
    from services.cli.offline import CannotReadError, compile_given, read_cluster, read_files

    given = read_files(paths) if paths else asyncio.run(read_cluster(values))
    report = report_on(compile_given(given, compile_options(values)))
    if values["html"]:
        from services.cli.lint_page import page

        try:
            values["html"].write_text(page(report), encoding="utf-8")
        except OSError as error:
            raise CannotReadError(f"--html {values['html']}: {error.strerror or error}") from None
    if values["as_json"]:
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        from services.cli.lint_text import lines

        for line in lines(report, everything=values["everything"]):
            click.echo(line)
    return 1 if report.worst() in FAILS[values["fail_on"]] else 0
