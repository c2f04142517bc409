"""``limen approve``."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Final

import click

from services.cli.client import CHANGES, OPTIONS, connected, nobody_answers, run_client
from services.cli.options import with_options

ANSWERS_WITHIN: Final = 2.0
PASSES_WITHIN: Final = 10.0


@click.command("approve")
@with_options(OPTIONS, **CHANGES)
def command(**values: Any) -> None:
    """Let a held mass removal pass (`limen status` shows it).

    Exit code 1 if no compiler answers, or if it is still held after that.
    """
    sys.exit(run_client(lambda: _approve(values)))


async def _approve(values: dict[str, Any]) -> int:
    from services.cli.overview import overview
    from services.runtime.status import gather_status

    async with connected(values, "approve") as (bus, subjects):
        roles = await gather_status(bus, subjects)
        if not any(role.role == "compiler" for role in roles):  # it may be busy
            roles = await gather_status(bus, subjects, timeout=ANSWERS_WITHIN)
        if not any(role.role == "compiler" for role in roles):
            click.echo(nobody_answers(values, "compiler"), err=True)
            return 1
        held = overview(roles).held
        if held is None:
            click.echo("nothing is held")
            return 0
        if not await bus.ask(subjects.approve_request, timeout=ANSWERS_WITHIN, at_most=1):
            click.echo("no compiler answers", err=True)
            return 1
        try:
            async with asyncio.timeout(PASSES_WITHIN):
                while overview(await gather_status(bus, subjects, timeout=0.3)).held is not None:
                    continue
        except TimeoutError:
            click.echo("approved, but it is still held: see `limen status`", err=True)
            return 1
    click.echo(f"passed: {held.routes_after} of {held.routes_now} routes stay")
    return 0
