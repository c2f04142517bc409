"""Child processes kept alive: started, watched, started again with back-off, ended in order.

Owns processes. Must not know what they do.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from msgspec import Struct

from services.cli.parent import VARIABLE
from services.runtime.logs import log

_log = logging.getLogger(__name__)

FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
"""Seconds until a child that died is started again: doubled each time."""
STEADY_AFTER = 10.0
"""A child that ran so many seconds starts again after the first delay."""
REFUSES = 2
"""The exit code of a command that cannot do anything with its options."""


class ChildSpec(Struct, frozen=True, kw_only=True):
    """What to run. ``stop_within``: seconds it may take after SIGTERM. ``log``: where its output goes, if not here.
    ``inherit``: file descriptors that it gets."""

    name: str
    role: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = {}
    stop_within: float = 10.0
    log: Path | None = None
    inherit: tuple[int, ...] = ()


class Child:
    """One child. ``run`` keeps it alive until ``stop``."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.restarts = 0
        self.started_at = 0.0
        self.last_exit = ""
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._delay = FIRST_DELAY

    @property
    def pid(self) -> int:
        """Its process id, 0 while there is none."""
        return self._process.pid if self.running and self._process else 0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def run(self) -> None:
        """Start it, and again whenever it ends, until ``stop`` is called; not if it refuses its options at first."""
        while not self._stopping.is_set():
            code = await self._once()
            if self._stopping.is_set() or (code == REFUSES and not self.restarts):
                return
            self.last_exit = _described(code)
            if time.monotonic() - self._started > STEADY_AFTER:
                self._delay = FIRST_DELAY
            log(
                _log,
                logging.WARNING,
                f"{self.spec.name} ended; starting it again",
                exit=self.last_exit,
                in_seconds=self._delay,
            )
            self.restarts += 1
            try:
                await asyncio.wait_for(self._stopping.wait(), self._delay)
            except TimeoutError:
                self._delay = min(self._delay * 2, LONGEST_DELAY)

    async def _once(self) -> int:
        self._started = time.monotonic()
        self.started_at = time.time()
        output: IO[bytes] | None = self.spec.log.open("ab") if self.spec.log else None
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.spec.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**_foreign_environment(), **self.spec.environment, VARIABLE: str(os.getpid())},
                pass_fds=self.spec.inherit,
                # a group of its own: Ctrl-C reaches the supervisor alone, which ends children in order
                start_new_session=True,
            )
        except OSError as error:
            log(_log, logging.ERROR, f"{self.spec.name} cannot be started", error=str(error))
            return 127
        finally:
            if output is not None:
                output.close()
        if self._stopping.is_set():  # stopped while it was being started
            self._signal(signal.SIGTERM)
        return await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM; SIGKILL for its whole group if it does not end in time."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        if self._process is not None:
            try:
                await asyncio.wait_for(self._process.wait(), self.spec.stop_within)
            except TimeoutError:
                log(_log, logging.WARNING, f"{self.spec.name} does not end; killing it")
        self.kill()

    def kill(self) -> None:
        """SIGKILL for its whole group, at once."""
        self._stopping.set()
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                return

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)


async def stop_in_order(groups: Sequence[Sequence[Child]]) -> None:
    """Stop the children of each group together, one group after the other."""
    for group in groups:
        await asyncio.gather(*(child.stop() for child in group))


def _foreign_environment() -> dict[str, str]:
    """Our environment without our own options: children are told theirs, and a default must not be overruled."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LIMEN_")}


def _described(code: int) -> str:
    if code >= 0:
        return f"code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
