"""``limen keys``."""

from __future__ import annotations

from pathlib import Path

import click

from services.cli.option_types import FOLDER
from services.runtime.keys import HOLDERS, KeysError, KeysMade, make_keys
from services.runtime.logins import make_logins


@click.command("keys")
@click.argument("directory", type=FOLDER, metavar="DIR")
@click.option(
    "--rotate",
    is_flag=True,
    envvar="LIMEN_ROTATE",
    show_envvar=True,
    help="Put a new key first in each key file; older ones stay behind it for reading.",
)
def command(directory: Path, rotate: bool) -> None:
    """Make the keys of an installation in DIR, each file readable by its owner only. What is there is never
    overwritten.

    \b
    sealing.key  watcher and edges     seals TLS keys and other secrets on the bus
    objects.key  watcher and compiler  authenticates objects
    signing.key  compiler              signs snapshots
    verify.key   edges                 tells whose snapshots are served
    nats/        one login per role    for a NATS server with permissions (--nats-nkey)

    To rotate: give every reader the new files first (they accept old and new), then restart the writers.
    """
    try:
        made = make_keys(directory, rotate=rotate)
        logins = make_logins(directory / "nats")
    except KeysError as error:
        raise click.ClickException(str(error)) from None
    _say(directory, made)
    _say(directory / "nats", logins)


def _say(directory: Path, made: KeysMade) -> None:
    for name in made.written:
        holders = " and ".join(HOLDERS.get(name, ()))
        click.echo(f"made {directory / name}" + (f"  (for {holders})" if holders else ""))
    for name in made.kept:
        click.echo(f"kept {directory / name}")
