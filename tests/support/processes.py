"""Child processes of a test: their output kept in a file, and ended for sure, whatever the test does."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)

REPOSITORY = Path(__file__).resolve().parents[2]


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """One child in a process group of its own. ``log`` holds what it wrote to stdout and stderr; beside it stay the
    temporary files that it cannot take away when it is killed."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path = REPOSITORY,
    ) -> None:
        self.command = [str(word) for word in command]
        self.log = log
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TMPDIR": str(log.parent), **(env or {})},
                cwd=cwd,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    @property
    def returncode(self) -> int | None:
        return self._child.poll()

    def output(self) -> str:
        """Everything written so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def send(self, number: signal.Signals) -> None:
        """Signal the child itself, not its group."""
        if self.running:
            self._child.send_signal(number)

    def wait(self, timeout: float = 10.0) -> int:
        """The exit code; raises AssertionError, with the end of the log, if it does not end in time."""
        try:
            return self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.command} did not end in {timeout} s:\n{self.output()[-4000:]}") from None

    def terminate(self, timeout: float = 10.0) -> int:
        """SIGTERM, and the exit code."""
        self.send(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self) -> None:
        """SIGKILL for the whole group; returns when the child is gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._child.wait(10)

    def end(self) -> None:
        """SIGTERM, then SIGKILL for whatever of the group is left."""
        if self.running:
            self._child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(3)
        self.kill()


@contextlib.contextmanager
def process(
    *command: str | Path, log: Path, env: Mapping[str, str] | None = None, cwd: Path = REPOSITORY
) -> Iterator[Process]:
    """A running child, ended at the end of the block."""
    child = Process(command, log, env=env, cwd=cwd)
    try:
        yield child
    finally:
        child.end()


def limen(*arguments: str | Path) -> list[str]:
    """The command line of ``limen`` in this interpreter."""
    return [sys.executable, "-m", "services.cli.main", *map(str, arguments)]
