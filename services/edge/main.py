"""``limen edge``: everything that can be wrong is found here, before a process is forked; then the supervisor runs.

Owns the order of the start. Must not know how workers or the admin process do their work.
"""

from __future__ import annotations

import gc
import logging
import socket
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from proto.subjects import Subjects
from services.edge.options import EdgeOptions
from services.edge.process.channel import pair
from services.edge.process.sockets import addresses, leave, open_admin, open_sockets
from services.edge.process.supervise import Program, Supervisor
from services.edge.process.worker import Worker
from services.edge.shared_rates import SharedCounts
from services.runtime import logs
from services.runtime.bus import BusOptions
from services.runtime.logs import log
from services.runtime.settings import HostPort, SettingsError, read_sealer, read_verifier

_log = logging.getLogger(__name__)


def run(options: EdgeOptions) -> int:
    """Run an edge until SIGTERM or SIGINT; the exit code. Raises SettingsError for options that cannot be used."""
    logs.setup(f"edge {options.name}", options.log_json)
    supervisor = Supervisor(_prepare(options))
    gc.collect()
    gc.freeze()  # so that a collection in a child does not copy every page that it shares with this process
    return supervisor.run()


def _prepare(options: EdgeOptions) -> list[Program]:
    if options.workers < 1:
        raise SettingsError(f"--workers {options.workers}: at least 1")
    try:
        Subjects(options.instance)
        options.state.mkdir(parents=True, exist_ok=True)
    except ValueError as error:
        raise SettingsError(f"--instance: {error}") from None
    except OSError as error:
        raise SettingsError(f"--state {options.state}: {error.strerror or error}") from None
    sealer = read_sealer(options.sealing_key, options.instance)
    verifier = read_verifier(options.verify_key, options.instance)
    _check_bus_files(options.bus)
    admin_socket = None
    if options.admin is not None and not options.admin.inherited:
        admin_socket = open_admin(options.admin)
    sockets = open_sockets(options.http, options.https, options.workers)
    for scheme, bound in (("http", sockets[0].http), ("https", sockets[0].https)):
        for address in addresses(bound):
            log(_log, logging.INFO, "traffic port", scheme=scheme, address=str(address))
    counts = SharedCounts(options.workers) if options.workers > 1 else None
    channels = [pair() for _ in range(options.workers)]
    programs = [
        Program(
            f"worker {index}",
            Worker(options, index, sockets[index], channels[index][0], sealer, verifier, counts).run,
            given_up=partial(leave, sockets[index]),
        )
        for index in range(options.workers)
    ]
    admin_address = HostPort("fd", admin_socket.detach()) if admin_socket is not None else options.admin
    admin = partial(_run_admin, replace(options, admin=admin_address), [end for _, end in channels])
    return [*programs, Program("admin", admin, last=True)]


def _run_admin(options: EdgeOptions, ends: list[socket.socket]) -> int:
    """Imports what only the admin process needs (a web server) while the workers already begin to serve."""
    from services.edge.process.admin import AdminProcess

    return AdminProcess(options, ends).run()


def _check_bus_files(bus: BusOptions) -> None:
    """Found here, a wrong path is one clear line; in a worker it would be a process that cannot start."""
    files = {"creds": bus.creds, "nkey": bus.nkey, "ca": bus.ca, "cert": bus.cert, "key": bus.key}
    for flag, path in files.items():
        if path and not Path(path).is_file():
            raise SettingsError(f"--nats-{flag}: no such file: {path}")
