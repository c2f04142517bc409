"""``limen events``."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import click

from services.cli.client import CHANGES, OPTIONS, connected, run_client
from services.cli.options import with_options

_STYLES = {
    "ingress.rejected": "red",
    "route.removed": "yellow",
    "certificate.expiring": "yellow",
    "edge.left": "yellow",
}


@click.command("events")
@click.argument("subject_filter", metavar="[FILTER]", default=">")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    envvar="LIMEN_JSON",
    show_envvar=True,
    help="CloudEvents as they are, one a line.",
)
@with_options(OPTIONS, **CHANGES)
def command(subject_filter: str, as_json: bool, **values: Any) -> None:
    """Show route events as they happen, until Ctrl-C.

    FILTER is the end of a subject, after `<instance>.events.`: `route.>`, `ingress.rejected`, `*.*.shop.>` (everything
    of namespace shop).
    """
    sys.exit(run_client(lambda: _events(values, _checked(subject_filter), as_json)))


def subject_of(everything: str, subject_filter: str) -> str:
    """The subject that FILTER means; ``everything`` ends with ``>``. A filter that stops early takes all below."""
    prefix = everything.removesuffix(">")
    tail = subject_filter.removeprefix(prefix).strip(".")
    if not tail.endswith(">") and tail.count(".") < 3:
        tail += ".>"
    return prefix + tail


def _checked(subject_filter: str) -> str:
    tokens = subject_filter.strip(".").split(".")
    if any(not token or any(c.isspace() or not c.isprintable() for c in token) for token in tokens):
        raise click.UsageError(f"FILTER {subject_filter!r}: words with dots between them, e.g. route.> or *.*.shop.>")
    if ">" in tokens[:-1]:
        raise click.UsageError(f"FILTER {subject_filter!r}: > stands for all that follows, so nothing comes after it")
    return subject_filter


async def _events(values: dict[str, Any], subject_filter: str, as_json: bool) -> int:
    from rich.console import Console
    from rich.text import Text

    from services.cli.event_lines import read
    from services.runtime.bus import Message

    console = Console(highlight=False)
    arrived: asyncio.Queue[Message] = asyncio.Queue()

    def show(message: Message) -> None:
        if as_json:
            click.echo(message.data.decode())
            return
        try:
            line = read(message.data)
        except ValueError as error:
            click.echo(str(error), err=True)
            return
        style = _STYLES.get(line.type, "cyan")
        console.print(Text.assemble((line.time, "dim"), "  ", (f"{line.type:<20}", style), line.text), soft_wrap=True)

    async with connected(values, "events") as (bus, subjects):
        logging.getLogger("services.runtime.bus").setLevel(logging.WARNING)  # a loss is worth knowing from here on
        await bus.subscribe(subject_of(subjects.events, subject_filter), arrived.put)
        while True:  # printed here, so that a reader who goes away (`| head`) ends the command quietly
            show(await arrived.get())
