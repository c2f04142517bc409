"""``limen``: the group of commands, each loaded when it is asked for."""

from __future__ import annotations

import importlib
import sys
from typing import Final

import click

from services.cli.parent import die_with_parent

COMMANDS: Final = {
    "up": "Everything on one machine: NATS, watcher, compiler and edges.",
    "demo": "Serve examples/ here and show what happens.",
    "watcher": "Read Kubernetes or a folder; publish objects.",
    "compiler": "Compile objects to snapshots; publish them.",
    "edge": "Take traffic.",
    "lint": "What Limen makes of manifests for ingress-nginx, or of a cluster.",
    "explain": "What an edge does with a request, and why.",
    "status": "What every process says: versions, sync, diagnostics.",
    "events": "Route events as they happen.",
    "approve": "Let a held mass removal pass.",
    "keys": "Make the keys of an installation.",
    "completion": "Shell completion for bash, zsh or fish.",
    "version": "The version of this program.",
}
"""Name → one line for the overview, so that ``limen --help`` loads no command."""


class Commands(click.Group):
    """Loads ``services.cli.<name>`` for the command ``name``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"services.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog="Every option is also an environment variable: see the --help of each command.",
)
def cli() -> None:
    """Limen: a Kubernetes Ingress controller whose control plane is a stream of events."""


def main() -> None:
    """The entry point of ``limen`` and of ``python -m services.cli.main``."""
    die_with_parent()
    if sys.argv[1:2] == ["--version"]:
        sys.argv[1:2] = ["version"]
    cli(prog_name="limen", windows_expand_args=False, complete_var="_LIMEN_COMPLETE")


if __name__ == "__main__":
    main()
