"""Where lines go: a file (or pipe) opened for appending, or a syslog server by UDP. Used by one thread, which may wait.

Owns descriptors. Whole lines are written, so that those of several workers never mix: a write to a file is one piece,
and to a pipe one of at most PIPE_BUF bytes is.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import time
from typing import Final, Protocol

from msgspec import Struct

from services.edge.access.clock import syslog_time

STDOUT: Final = ("/dev/stdout", "/var/log/nginx/access.log")
"""Names of standard output; the latter is a link to the former in ingress-nginx's image."""
STDERR: Final = ("/dev/stderr", "/var/log/nginx/error.log")
_ANY: Final = 1 << 62
_PIPE_SIZE: Final = 1 << 20
"""What a pipe holds until its reader comes to it, if we may choose."""
_PRIORITY: Final = 23 * 8 + 6
"""local7.info, as nginx."""
_TAG: Final = "nginx"
"""As nginx: rules of syslog servers ask for it."""


class Outlet(Protocol):
    """Takes lines. ``write`` raises OSError; how many lines went out by then is ``written``.

    ``place``: where they go, for people. ``direct``: another way in, for whoever must not wait; good until ``reopen``
    or ``close``.
    """

    place: str
    written: int
    direct: Direct | None

    def write(self, text: bytes) -> None:
        """Write lines, each with its end."""

    def reopen(self) -> None:
        """Open anew what was moved away."""

    def close(self) -> None:
        """Give the descriptor back."""


class Direct(Struct, frozen=True, gc=False):
    """A descriptor that can be written without ever waiting, in pieces of at most ``piece`` bytes that do not mix."""

    descriptor: int
    piece: int

    def write(self, text: bytes) -> int:
        """Write what is taken at once of some lines; how many bytes that were. Whatever else is wrong, others find
        out."""
        written = 0
        try:
            for piece in pieces(text, self.piece):
                if len(piece) > self.piece:
                    break  # a line that could be torn
                os.write(self.descriptor, piece)
                written += len(piece)
        except OSError:
            return written
        return written


def pieces(text: bytes, at_most: int) -> Iterator[bytes]:
    """Whole lines of ``text``, as many together as are at most so many bytes; a longer line is alone."""
    first, size = 0, len(text)
    while size - first > at_most:
        end = text.rfind(b"\n", first, first + at_most) + 1 or text.find(b"\n", first) + 1 or size
        yield text[first:end]
        first = end
    if first < size:
        yield text[first:] if first else text


class File:
    """See the module. Made and written by the thread; opened when it is first written to."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1
        self._fixed = {**dict.fromkeys(STDOUT, 1), **dict.fromkeys(STDERR, 2)}.get(path)
        self.place = {None: path, 1: "standard output", 2: "standard error"}[self._fixed]
        self._rotates = False
        self._piece = _ANY
        self.direct: Direct | None = None
        self.written = 0

    def write(self, text: bytes) -> None:
        """Write lines to the file as it is now. Raises OSError."""
        self.written = 0
        self._look()
        for piece in pieces(text, self._piece):
            self._write(piece)
            self.written += piece.count(b"\n")

    def _write(self, data: bytes) -> None:
        while data:  # a full disk takes a part, then nothing
            data = data[os.write(self._descriptor, data) :]

    def _look(self) -> None:
        """Open the file if it is not, or if its name belongs to another one by now (it was rotated)."""
        if self._descriptor >= 0 and self._rotates and self._moved():
            self.close()
        if self._descriptor < 0:
            if self._fixed is not None:
                self._descriptor = os.dup(self._fixed)
            else:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                self._descriptor = os.open(self._path, flags, 0o644)
            status = os.fstat(self._descriptor)
            self._rotates = self._fixed is None and stat.S_ISREG(status.st_mode)
            self._piece = _ANY if stat.S_ISREG(status.st_mode) or _is_null(status) else select.PIPE_BUF
            if stat.S_ISFIFO(status.st_mode) or _is_null(status):
                self.direct = self._make_direct()

    def _make_direct(self) -> Direct | None:
        """The same pipe with a file description of our own: not to wait is said to that, and others share this one."""
        try:
            again = os.open(f"/proc/self/fd/{self._descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # another user's, or no /proc
            return None
        with suppress(OSError):
            fcntl.fcntl(again, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        return Direct(again, self._piece)

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
        """Give the descriptors back."""
        direct, self.direct = self.direct, None
        if direct is not None:
            os.close(direct.descriptor)
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _is_null(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(1, 3)


class Syslog:
    """A datagram per line, in the form of RFC 3164 that nginx sends."""

    def __init__(self, host: str, port: int) -> None:
        self.place = f"syslog {host}:{port}"
        self._address = (host, port)
        self._socket: socket.socket | None = None
        self._host_name = socket.gethostname()
        self.direct: Direct | None = None
        self.written = 0

    def write(self, text: bytes) -> None:
        """Send lines; the server's name is looked up when none was yet, or sending failed. Raises OSError."""
        self.written = 0
        if self._socket is None:
            self._socket = self._connected()
        beginning = f"<{_PRIORITY}>{syslog_time(int(time())).decode()} {self._host_name} {_TAG}: ".encode()
        try:
            for line in text.removesuffix(b"\n").split(b"\n"):
                self._socket.send(beginning + line)
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
