"""Child processes of a benchmark: pinned to a core, their processor time and memory read from /proc, ended for sure."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

PROXY_CORE = 0
"""Where whatever is measured runs."""

LOAD_CORE = (os.cpu_count() or 1) - 1
"""Where load generator and backend run."""

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class Child:
    """One process and all that it starts."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        core: int | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        def prepare() -> None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if core is not None:
                os.sched_setaffinity(0, {core})

        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
                preexec_fn=prepare,
            )
        self.pid = self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def tree(self) -> list[int]:
        """Its process id and those of all descendants."""
        return descendants(self.pid)

    def cpu(self) -> float:
        """Seconds of processor time the tree has used so far."""
        return sum(cpu_of(pid) for pid in self.tree())

    def stop(self, patience: float = 10.0) -> None:
        """SIGTERM; SIGKILL for the group after ``patience`` seconds."""
        tree = self.tree()
        if self.running:
            self._popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(patience)
        for pid in tree:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        self._popen.wait(5)

    def tail(self, size: int = 2000) -> str:
        """The end of what it printed."""
        return self.log.read_text(errors="replace")[-size:]


def descendants(pid: int) -> list[int]:
    """``pid`` and all processes below it."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += descendants(int(child))
    return found


def cpu_of(pid: int) -> float:
    """Seconds of processor time of one process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_of(pid: int) -> int:
    """Bytes of memory one process holds (resident, shared pages counted in full)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def command_of(pid: int) -> str:
    """Its command line."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def environment_of(pid: int, prefix: str) -> dict[str, str]:
    """Its environment variables whose names begin with ``prefix``."""
    pairs = (line.partition("=") for line in Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0"))
    return {name: value for name, _, value in pairs if name.startswith(prefix)}


def free_port() -> int:
    """A TCP port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], patience: float, what: str) -> None:
    """Ask every 5 ms; raises TimeoutError."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {patience} s")
        time.sleep(0.005)


def answers(port: int) -> bool:
    """Whether somebody accepts connections on ``port``."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def find_tool(name: str) -> str | None:
    """The program ``name`` on PATH or where Debian puts daemons."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")


@contextlib.contextmanager
def ended(children: list[Child]) -> Iterator[list[Child]]:
    """Give ``children`` and stop whatever stands in it at the end, the last one first."""
    try:
        yield children
    finally:
        for child in reversed(children):
            child.stop()
