"""How commands for people reach a running installation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import click

from proto.subjects import Subjects
from services.cli.embedded_nats import without_password
from services.cli.option_table import BUS, DEFAULT_NATS, INSTANCE, STATE
from services.cli.options import bus_options, servers
from services.cli.running import find
from services.runtime.bus import Bus, BusError, BusOptions

CONNECTS_WITHIN: Final = 5.0

OPTIONS: Final = (*(option for option in BUS if option.key != "nats_replicas"), INSTANCE, STATE)
CHANGES: Final[dict[str, dict[str, Any]]] = {
    "nats": {
        "default": (),
        "show_default": False,
        "help": f"NATS server; repeatable. [default: that of a running `limen up`, else {DEFAULT_NATS}]",
    },
    "state": {"help": "State folder of the `limen up` that is meant, if there are several."},
}


@asynccontextmanager
async def connected(values: Mapping[str, Any], who: str) -> AsyncIterator[tuple[Bus, Subjects]]:
    """The bus that the options mean, connected. Raises ClickException when it cannot be reached."""
    try:
        options = _options(values, who)
    except BusError as error:
        raise click.UsageError(str(error)) from None
    bus = Bus(options)
    try:
        await bus.start()
        try:
            await asyncio.wait_for(bus.wait_connected(), CONNECTS_WITHIN)
        except TimeoutError:
            shown = ", ".join(without_password(server) for server in options.servers)
            raise click.ClickException(f"cannot reach NATS at {shown} (say where it is with --nats)") from None
        yield bus, Subjects(values["instance"])
    except BusError as error:
        raise click.ClickException(str(error)) from None
    finally:
        await bus.close()


def _options(values: Mapping[str, Any], who: str) -> BusOptions:
    given = servers(values["nats"])
    if not given:
        running = find(values["instance"], Path(values["state"]) if values["state"] else None)
        if len(running) > 1:
            places = ", ".join(f"{each.state} (process {each.pid})" for each in running)
            raise click.UsageError(f"several `limen up` run: say which one with --state: {places}")
        if values["state"] and not running:
            raise click.ClickException(
                f"--state {values['state']}: no `limen up` of instance {values['instance']!r} runs there"
            )
        given = servers((running[0].nats,)) if running else (DEFAULT_NATS,)
    return bus_options({**values, "nats": given}, who)


def nobody_answers(values: Mapping[str, Any], what: str = "process") -> str:
    """Why a request to every process stayed without an answer, as far as one can tell, and what to do."""
    options = _options(values, "")
    bus = ", ".join(without_password(server) for server in options.servers)
    text = f"no {what} of instance {values['instance']!r} answers at {bus}: is it running, and is that its bus?"
    if options.creds or options.nkey or options.cert or any("@" in server for server in options.servers):
        return text
    return (
        f"{text} Without a login one may only hear route events at the bus of `limen up`: name its state folder with "
        f"--state (as its user), or log in with --nats-nkey"
    )


def run_client(main: Callable[[], Awaitable[int]]) -> int:
    """Run ``main`` for a person at a terminal: Ctrl-C is a way to end, not an error."""
    import logging

    logger = logging.getLogger("services")
    level = logger.level
    logger.setLevel(logging.ERROR)

    async def whole() -> int:
        return await main()

    try:
        return asyncio.run(whole())
    except KeyboardInterrupt:
        return 130
    finally:
        logger.setLevel(level)
