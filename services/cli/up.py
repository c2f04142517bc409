"""``limen up``."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from services.cli.nginx_flags import NginxCommand
from services.cli.option_entry import Option
from services.cli.option_table import ADMIN, COMMON, ROLE_OPTIONS
from services.cli.option_types import ADDRESS
from services.cli.options import with_options
from services.cli.pipeline import source_of
from services.cli.running import default_folder, held
from services.runtime.settings import HostPort, SettingsError

if TYPE_CHECKING:
    from services.cli.supervisor import Supervisor
    from services.runtime.admin import AdminServer
    from services.runtime.lifecycle import Lifecycle

_log = logging.getLogger(__name__)

_OWN_KEYS: Final = frozenset({"sealing_key", "objects_key", "signing_key", "verify_key"})
EDGES: Final = Option(
    name="edges",
    roles=frozenset(),
    kind=click.IntRange(1, 64),
    default=1,
    help="Edge processes; they share the ports.",
)
OPTIONS: Final = (ADMIN, EDGES, *COMMON, *(option for option in ROLE_OPTIONS if option.key not in _OWN_KEYS))
CHANGES: Final[dict[str, dict[str, Any]]] = {
    "nats": {"default": (), "show_default": False, "help": "NATS server; repeatable. [default: starts its own]"},
    "http": {"default": (HostPort("127.0.0.1", 8080),), "show_default": True},
    "https": {"default": (HostPort("127.0.0.1", 8443),), "show_default": True},
    "admin": {
        "default": HostPort("127.0.0.1", 10254),
        "show_default": True,
        "type": ADDRESS,
        "help": "Where /healthz, /readyz (all edges ready), /metrics (of all) and /status are served.",
    },
    "state": {"help": "Folder for keys, the bus' files and last good snapshots. [default: ~/.local/state/limen/…]"},
}


@click.command("up", cls=NginxCommand)
@with_options(OPTIONS, **CHANGES)
def command(**values: Any) -> None:
    """Run everything on this machine: NATS, watcher, compiler and edges.

    Serve a folder of manifests (--manifests DIR) or a cluster (--kube). A child that dies is started again; SIGTERM and
    Ctrl-C end all of them gracefully, edges first.
    """
    if bool(values["kube"]) == bool(values["manifests"]):
        both = "--manifests and --kube exclude each other: " if values["kube"] else ""
        raise click.UsageError(f"{both}say what to serve: --manifests DIR, or --kube")
    from services.runtime import logs

    logs.setup("up", values["log_format"] == "json")
    state = Path(values["state"] or default_folder(values["instance"], source_of(values))).absolute()
    try:
        with held(state):
            code = _run(values, state)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    sys.exit(code)


def _run(values: dict[str, Any], state: Path) -> int:
    from services.runtime.lifecycle import run

    everything = _Everything(values, state)
    code = run(everything.main)
    if everything.failed is not None:
        raise everything.failed
    return code


class _Everything:
    """What runs on this machine, and the admin address that speaks for all of it. ``failed``: why it cannot run."""

    def __init__(self, values: dict[str, Any], state: Path) -> None:
        self._values = values
        self._state = state
        self._server: AdminServer | None = None
        self.failed: SettingsError | None = None

    async def main(self, life: Lifecycle) -> None:
        """Run until asked to stop."""
        from services.cli.supervisor import Supervisor

        supervisor = Supervisor(self._values, self._state)
        try:
            async with supervisor:
                await self._serve(life, supervisor)
        except asyncio.CancelledError:
            supervisor.kill()
            raise
        except SettingsError as error:
            self.failed = self.failed or error
        finally:
            if self._server is not None:
                await self._server.close()

    async def _serve(self, life: Lifecycle, supervisor: Supervisor) -> None:
        from services.runtime import admin  # takes a while, and the children start meanwhile
        from services.runtime.logs import log

        self._server = await admin.serve(
            self._values["admin"],
            ready=supervisor.ready,
            status=supervisor.status,
            metrics=supervisor.metrics,
            healthy=lambda: not supervisor.stopping,
        )
        supervisor.note(str(self._server.address))
        watching = asyncio.create_task(self._end_when_refused(life, supervisor))
        serving = [f"http://{address}" for address in supervisor.http]
        serving += [f"https://{address}" for address in supervisor.https]
        log(_log, logging.INFO, "started", serving=" ".join(serving), state=str(self._state))
        await _say_when_ready(life, supervisor)
        await life.stopping.wait()
        watching.cancel()

    async def _end_when_refused(self, life: Lifecycle, supervisor: Supervisor) -> None:
        name = await supervisor.refusal()
        if not life.stopping.is_set():
            self.failed = SettingsError(f"{name} cannot run with these options: it says above why")
            life.stopping.set()


async def _say_when_ready(life: Lifecycle, supervisor: Supervisor) -> None:
    """One line when all edges serve, for people who wait for it."""
    while not life.stopping.is_set():
        if await supervisor.ready():
            _log.info("ready: every edge serves a complete snapshot")
            return
        try:
            await asyncio.wait_for(life.stopping.wait(), 0.1)
        except TimeoutError:
            continue
