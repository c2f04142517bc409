"""``limen status``."""

from __future__ import annotations

import sys
from typing import Any, Final

import click

from services.cli.client import CHANGES, OPTIONS, connected, nobody_answers, run_client
from services.cli.options import with_options

NOT_A_TERMINAL: Final = 200
"""Columns of what goes into a pipe or a file, where nothing need be folded."""


@click.command("status")
@click.option("--json", "as_json", is_flag=True, envvar="LIMEN_JSON", show_envvar=True, help="JSON, for programs.")
@with_options(OPTIONS, **CHANGES)
def command(as_json: bool, **values: Any) -> None:
    """What every process says about itself: versions, what is live on how many edges, sync of the sources,
    diagnostics.

    Exit code 1 if nobody answers.
    """
    sys.exit(run_client(lambda: _status(values, as_json)))


async def _status(values: dict[str, Any], as_json: bool) -> int:
    import msgspec

    from services.cli.overview import overview
    from services.runtime.status import gather_status

    async with connected(values, "status") as (bus, subjects):
        roles = await gather_status(bus, subjects, timeout=0.5)
    found = overview(roles)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    elif roles:
        from rich.console import Console
        from rich.text import Text

        from services.cli.status_tables import tables

        console = Console()
        if not console.is_terminal:
            console.width = max(console.width, NOT_A_TERMINAL)
        for part in tables(found):
            console.print(part, soft_wrap=isinstance(part, Text))
    if not roles:
        click.echo(nobody_answers(values), err=True)
        return 1
    return 0
