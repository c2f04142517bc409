"""Where this process runs and who it is to others: its pod, or a name that outlives a restart."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import socket
from pathlib import Path
from typing import TextIO

from msgspec import Struct

from services.watcher.sources.kubernetes.client import SERVICE_ACCOUNT

_log = logging.getLogger(__name__)


class Place(Struct, frozen=True):
    """The pod, as the environment tells (``POD_NAMESPACE``, ``POD_NAME``); ``pod`` is empty outside of a cluster."""

    namespace: str
    pod: str

    @staticmethod
    def find() -> Place:
        """From the environment, the service account, or defaults for a watcher outside of any cluster."""
        namespace = os.environ.get("POD_NAMESPACE", "")
        if not namespace:
            with contextlib.suppress(OSError):
                namespace = (SERVICE_ACCOUNT / "namespace").read_text().strip()
        return Place(namespace or "default", os.environ.get("POD_NAME", ""))


class Identity:
    """Who this watcher is to the Lease: the same after a restart, so that a killed one takes over from itself.

    A pod's name says it (two containers of that name never run at once). Elsewhere it is the host's name with a token
    kept in ``state``; a lock on that file keeps two processes with one folder from being the same one.
    """

    def __init__(self, place: Place, state: Path) -> None:
        self._file: TextIO | None = None
        self.name = place.pod or self._kept(state / "watcher.identity")

    def close(self) -> None:
        """Let another process be it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _kept(self, path: Path) -> str:
        fresh = f"{socket.gethostname()}_{secrets.token_hex(4)}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+")
        except OSError as error:
            _log.warning("%s cannot be kept (%s): a restart waits for the Lease to run out", path, error)
            return fresh
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            _log.warning("%s belongs to a watcher that runs: this one uses a name of its own", path)
            return fresh
        self._file = file
        file.seek(0)
        known = file.read().strip()
        if not known:
            file.write(fresh + "\n")
            file.flush()
        return known or fresh
