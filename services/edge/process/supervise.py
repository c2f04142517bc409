"""The supervisor: forks the processes of an edge, starts again those that die, and ends with the last of them.

It forks rather than starts new interpreters: everything is imported, checked and bound once, before the fork, so that
a worker (or its successor) is there in milliseconds and shares those pages. That is sound because this process never
runs a loop or a thread: it only waits for signals, and so a child starts from a single-threaded state. Must not know
what the processes do.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NoReturn

from services.runtime.logs import log

_log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG: Final = 1
_HANDLED: Final = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGUSR1}
FIRST_DELAY: Final = 0.05
LONGEST_DELAY: Final = 5.0
GIVEN_UP_FROM: Final = 0.4
STEADY_AFTER: Final = 10.0
"""A process that lived this long starts again at once, and its delay from the beginning."""


class Program:
    """A process that is to run for ever: ``run`` is called in the child and returns its exit code.

    ``last``: it is told to stop only when all that are not have ended. ``given_up``: called here when the process
    dies again and again, so that nobody is left waiting for it; it is still started again, ever more slowly.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[], int],
        *,
        last: bool = False,
        given_up: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.run = run
        self.last = last
        self.given_up = given_up
        self.pid = 0
        self.started_at = 0.0
        self.due_at = 0.0
        self.delay = 0.0


class Supervisor:
    """See the module."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self._programs = programs
        self._stopping = False

    def run(self) -> int:
        """Run until SIGTERM or SIGINT, then until every process has ended; the exit code."""
        with _blocked_signals():
            for program in self._programs:
                self._start(program)
            while not self._stopping:
                self._wait_for_signal(self._seconds_until_due())
                self._start_due()
            self._stop(last=False)
            self._stop(last=True)
        return 0

    def _stop(self, *, last: bool) -> None:
        """End the programs of one turn and wait for them; how long they take is theirs to bound."""
        ending = [program for program in self._programs if program.last == last]
        for program in ending:
            if program.pid:
                os.kill(program.pid, signal.SIGTERM)
        while any(program.pid for program in ending):
            self._wait_for_signal(1.0)

    def _wait_for_signal(self, timeout: float) -> None:
        info = signal.sigtimedwait(_HANDLED, timeout)
        if info is not None and info.si_signo in (signal.SIGTERM, signal.SIGINT):
            if self._stopping and info.si_signo == signal.SIGINT:
                self._kill_all()  # Ctrl-C for the second time: somebody does not want to wait for the drain
            self._stopping = True
        if info is not None and info.si_signo == signal.SIGUSR1:
            self._pass_on(signal.SIGUSR1)
        self._reap()

    def _pass_on(self, number: signal.Signals) -> None:
        """Tell the processes what this one was told (that files were moved away, which is all that is told so)."""
        for program in self._programs:
            if program.pid:
                os.kill(program.pid, number)

    def _kill_all(self) -> None:
        for program in self._programs:
            if program.pid:
                os.kill(program.pid, signal.SIGKILL)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for program in self._programs:
                if program.pid == pid:
                    self._ended(program, os.waitstatus_to_exitcode(status))

    def _ended(self, program: Program, code: int) -> None:
        program.pid = 0
        if self._stopping:
            log(_log, logging.DEBUG, "process ended", process=program.name, code=code)
            return
        lived = time.monotonic() - program.started_at
        if lived > STEADY_AFTER:
            program.delay = 0.0
        program.due_at = time.monotonic() + program.delay
        fields = {"process": program.name, "code": code, "lived": round(lived, 1), "starts_in": program.delay}
        log(_log, logging.ERROR, "process ended by itself", **fields)
        if program.delay >= GIVEN_UP_FROM:
            program.given_up()
        program.delay = min(max(program.delay * 2, FIRST_DELAY), LONGEST_DELAY)

    def _seconds_until_due(self) -> float:
        due = [program.due_at for program in self._programs if not program.pid]
        return max(0.0, min(due) - time.monotonic()) if due else 3600.0

    def _start_due(self) -> None:
        if self._stopping:
            return
        now = time.monotonic()
        for program in self._programs:
            if not program.pid and program.due_at <= now:
                self._start(program)

    def _start(self, program: Program) -> None:
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            _run_child(program, parent)
        program.pid = pid
        program.started_at = time.monotonic()


def _run_child(program: Program, parent: int) -> NoReturn:
    code = 1
    try:
        end_with_parent(parent, signal.SIGTERM)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # until somebody listens, or where nobody does: no reason to end
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        code = program.run()
    except BaseException:
        _log.exception("process %s failed", program.name)
    finally:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def end_with_parent(parent: int, signal_number: int) -> None:
    """Have the kernel send ``signal_number`` to this process when its parent, ``parent``, dies in whatever way."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:  # it died before the call
        os.kill(os.getpid(), signal_number)


@contextmanager
def _blocked_signals() -> Iterator[None]:
    """Signals wait to be fetched by ``sigtimedwait``: no handler runs between two statements."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
