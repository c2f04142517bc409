"""``limen version``."""

from __future__ import annotations

import importlib.metadata

import click


def software() -> str:
    """The version of this program, from its package."""
    try:
        return importlib.metadata.version("limen")
    except importlib.metadata.PackageNotFoundError:  # run from a folder that was never installed
        return "unknown"


@click.command("version")
def command() -> None:
    """Say the version of this program."""
    click.echo(f"limen {software()}")
