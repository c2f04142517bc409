"""Where lines go: a file (or pipe) opened for appending, or a syslog server by UDP. Used by one thread, which may wait.

Owns descriptors. Whole lines are written, so that those of several workers never mix: a write to a file is one piece,
and to a pipe one of at most PIPE_BUF bytes is.
"""

from __future__ import annotations

import os
import select
import socket
import stat
from collections.abc import Sequence
from pathlib import Path
from time import time
from typing import Final, Protocol

from services.edge.access.clock import syslog_time

STDOUT: Final = ("/dev/stdout", "/var/log/nginx/access.log")
"""Names of standard output; the latter is a link to the former in ingress-nginx's image."""
STDERR: Final = ("/dev/stderr", "/var/log/nginx/error.log")
_PRIORITY: Final = 23 * 8 + 6
"""local7.info, as nginx."""
_TAG: Final = "nginx"
"""As nginx: rules of syslog servers ask for it."""


class Outlet(Protocol):
    """Takes lines. ``write`` raises OSError; how many lines went out by then is ``written``."""

    written: int

    def write(self, lines: Sequence[bytes]) -> None:
        """Write ``lines``, each with its end."""

    def reopen(self) -> None:
        """Open anew what was moved away."""

    def close(self) -> None:
        """Give the descriptor back."""


class File:
    """See the module. Made and written by the thread; opened when it is first written to."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1
        self._fixed = {**dict.fromkeys(STDOUT, 1), **dict.fromkeys(STDERR, 2)}.get(path)
        self._pipe = False
        self.written = 0

    def write(self, lines: Sequence[bytes]) -> None:
        """Write ``lines`` to the file as it is now. Raises OSError."""
        self.written = 0
        self._look()
        if not self._pipe:
            self._write(b"".join(lines))
            self.written = len(lines)
            return
        first = size = 0
        for number, line in enumerate(lines):
            if size and size + len(line) > select.PIPE_BUF:
                self._write(b"".join(lines[first:number]))
                self.written = first = number
                size = 0
            size += len(line)
        self._write(b"".join(lines[first:]))
        self.written = len(lines)

    def _write(self, data: bytes) -> None:
        while data:  # a full disk takes a part, then nothing
            data = data[os.write(self._descriptor, data) :]

    def _look(self) -> None:
        """Open the file if it is not, or if its name belongs to another one by now (it was rotated)."""
        if self._descriptor >= 0 and self._fixed is None and not self._pipe and self._moved():
            self.close()
        if self._descriptor < 0:
            if self._fixed is not None:
                self._descriptor = os.dup(self._fixed)
            else:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                self._descriptor = os.open(self._path, flags, 0o644)
            mode = os.fstat(self._descriptor).st_mode
            self._pipe = stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)

    def _moved(self) -> bool:
        try:
            named, ours = Path(self._path).stat(), os.fstat(self._descriptor)
        except OSError:
            return True
        return (named.st_dev, named.st_ino) != (ours.st_dev, ours.st_ino)

    def reopen(self) -> None:
        """Open it anew at the next write."""
        self.close()

    def close(self) -> None:
        """Give the descriptor back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Syslog:
    """A datagram per line, in the form of RFC 3164 that nginx sends."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._socket: socket.socket | None = None
        self._host_name = socket.gethostname()
        self.written = 0

    def write(self, lines: Sequence[bytes]) -> None:
        """Send ``lines``; the server's name is looked up when none was yet, or sending failed. Raises OSError."""
        self.written = 0
        if self._socket is None:
            self._socket = self._connected()
        beginning = f"<{_PRIORITY}>{syslog_time(int(time())).decode()} {self._host_name} {_TAG}: ".encode()
        try:
            for line in lines:
                self._socket.send(beginning + line.removesuffix(b"\n"))
                self.written += 1
        except OSError:
            self.close()
            raise

    def _connected(self) -> socket.socket:
        error: OSError = OSError("no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(*self._address, type=socket.SOCK_DGRAM):
            made = socket.socket(family, kind, protocol)
            try:
                made.connect(address)
            except OSError as failed:
                made.close()
                error = failed
            else:
                return made
        raise error

    def reopen(self) -> None:
        """Look the server's name up again."""
        self.close()

    def close(self) -> None:
        """Give the descriptor back."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
