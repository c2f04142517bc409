"""``limen demo``."""

from __future__ import annotations

import socket
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import click

from services.cli.option_types import ADDRESS, ANY_PATH
from services.cli.running import DEMO, held
from services.runtime.settings import HostPort, SettingsError

EDGES: Final = 2
CONFIGMAP: Final = "ingress-nginx/ingress-nginx-controller"


@click.command("demo")
@click.option(
    "--once",
    is_flag=True,
    envvar="LIMEN_ONCE",
    show_envvar=True,
    help="Make every printed request, check the answers, end with 0 or 1.",
)
@click.option(
    "--manifests",
    type=ANY_PATH,
    envvar="LIMEN_MANIFESTS",
    show_envvar=True,
    metavar="DIR",
    help="What to serve. [default: examples/]",
)
@click.option(
    "--http", type=ADDRESS, envvar="LIMEN_HTTP", show_envvar=True, help="[default: 127.0.0.1:8080, or a free port]"
)
@click.option(
    "--https", type=ADDRESS, envvar="LIMEN_HTTPS", show_envvar=True, help="[default: 127.0.0.1:8443, or a free port]"
)
@click.option(
    "--admin", type=ADDRESS, envvar="LIMEN_ADMIN", show_envvar=True, help="[default: 127.0.0.1:10254, or a free port]"
)
def command(
    once: bool, manifests: Path | None, http: HostPort | None, https: HostPort | None, admin: HostPort | None
) -> None:
    """Serve examples/ on this machine with everything real: NATS, watcher, compiler, two edges, small servers.

    Prints requests to try, and what happens when a file is edited, until Ctrl-C.
    """
    folder = _examples(manifests)
    with tempfile.TemporaryDirectory(prefix=DEMO) as state:
        values = _values(folder, _or_free(http, 8080), _or_free(https, 8443), _or_free(admin, 10254))
        try:
            with held(Path(state)):
                code = _run(values, Path(state), once)
        except SettingsError as error:
            raise click.ClickException(str(error)) from None
    sys.exit(code)


def _examples(given: Path | None) -> Path:
    in_clone = Path(__file__).resolve().parents[2] / "examples"
    folder = given or (Path("examples") if Path("examples").is_dir() else in_clone)
    if not folder.exists():
        raise click.UsageError(f"no such folder: {folder} (run it in a clone, or say --manifests DIR)")
    return folder.resolve()


def _or_free(given: HostPort | None, port: int) -> HostPort:
    """The address that was asked for; else the usual port, or any if somebody uses that."""
    if given is not None:
        return given
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return HostPort("127.0.0.1", 0)
    return HostPort("127.0.0.1", port)


def _values(folder: Path, http: HostPort, https: HostPort, admin: HostPort) -> dict[str, Any]:
    """The options of ``limen up`` for this."""
    from services.cli.up import OPTIONS

    defaults = {option.key: option.default for option in OPTIONS}
    return defaults | {
        "manifests": (folder,),
        "edges": EDGES,
        "configmap": CONFIGMAP,
        "nats": (),
        "http": (http,),
        "https": (https,),
        "admin": admin,
        "worker_shutdown_timeout": 2.0,  # nobody waits for the end of a demo
    }


def _run(values: dict[str, Any], state: Path, once: bool) -> int:
    import logging

    from services.cli.demo_play import Demo
    from services.runtime import logs
    from services.runtime.lifecycle import Lifecycle, run

    logs.setup("demo", False, logging.ERROR)
    codes: list[int] = []
    failed: list[SettingsError] = []

    async def main(life: Lifecycle) -> None:
        try:
            codes.append(await Demo(values, state, life).play(once))
        except SettingsError as error:
            failed.append(error)

    code = run(main)
    if failed:
        raise failed[0]
    return code or (codes[0] if codes else 1)
