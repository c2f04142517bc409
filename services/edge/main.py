"""``limen edge``: everything that can be wrong is found here, before a process is forked; then the supervisor runs.

Owns the order of the start. Must not know how workers or the admin process do their work.
"""

from __future__ import annotations

import logging
import sys
from importlib import metadata

from proto.signing import KeyFileError
from proto.subjects import Subjects
from services.edge.options import EdgeOptions
from services.edge.process.admin import AdminProcess
from services.edge.process.channel import pair
from services.edge.process.sockets import BindError, addresses, check_free, open_sockets
from services.edge.process.supervise import Program, Supervisor
from services.edge.process.worker import Worker
from services.runtime import logs
from services.runtime.settings import SettingsError, read_sealer, read_verifier

_log = logging.getLogger(__name__)


def run(options: EdgeOptions) -> int:
    """Run an edge until SIGTERM or SIGINT; the exit code: 0, or 1 for options that cannot be used (said on stderr)."""
    logs.setup(f"edge {options.name}", options.log_json)
    try:
        programs = _prepare(options)
    except (SettingsError, KeyFileError, BindError, ValueError, OSError) as error:
        print(f"limen edge: {error}", file=sys.stderr)  # noqa: T201 - for the person who started it
        return 1
    return Supervisor(programs).run()


def _prepare(options: EdgeOptions) -> list[Program]:
    Subjects(options.instance)
    if options.workers < 1:
        raise SettingsError(f"--workers {options.workers}: at least 1")
    if not options.http and not options.https:
        raise SettingsError("give at least one of --http and --https")
    sealer = read_sealer(options.sealing_key, options.instance)
    verifier = read_verifier(options.verify_key, options.instance)
    options.state.mkdir(parents=True, exist_ok=True)
    if options.admin is not None and options.admin.port:
        check_free(options.admin)
    sockets = open_sockets(options.http, options.https, options.workers)
    for scheme, bound in (("http", sockets[0].http), ("https", sockets[0].https)):
        for address in addresses(bound):
            logs.log(_log, logging.INFO, "traffic port", scheme=scheme, address=str(address))
    channels = [pair() for _ in range(options.workers)]
    programs = [
        Program(f"worker {index}", Worker(options, index, sockets[index], channels[index][0], sealer, verifier).run)
        for index in range(options.workers)
    ]
    admin = AdminProcess(options, [end for _, end in channels], _software())
    return [*programs, Program("admin", admin.run, last=True)]


def _software() -> str:
    try:
        return metadata.version("limen")
    except metadata.PackageNotFoundError:
        return "unknown"
