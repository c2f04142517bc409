"""``limen version``."""

from __future__ import annotations

import click

from services.runtime.version import software


@click.command("version")
def command() -> None:
    """Say the version of this program."""
    click.echo(f"limen {software()}")
