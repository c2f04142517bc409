"""The life of a process: one event loop, signals that ask it to stop, tasks whose death is never silent.

Owns signals and supervised tasks. Must not know what the tasks do.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

_log = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""SIGHUP comes when the terminal is closed; what ``nohup`` makes ignore it goes on ignoring it."""


class Lifecycle:
    """What a process' main coroutine gets: ``stopping`` is set when it should end gracefully."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failed = asyncio.Event()
        self._cut = False

    def spawn(self, name: str, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run ``coroutine`` beside the main one. An exception that leaves it is logged and ends the process with 1."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def stop(self) -> None:
        """Ask for a graceful end, as SIGTERM does."""
        self.stopping.set()

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            _log.critical("task %r failed; the process ends", task.get_name(), exc_info=error)
            self._failed.set()

    async def _run(self, main: Callable[[Lifecycle], Awaitable[None]]) -> int:
        loop = asyncio.get_running_loop()
        heeded = [number for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        for number in heeded:
            loop.add_signal_handler(number, self._on_signal, number)
        main_task = asyncio.ensure_future(main(self))
        failed = asyncio.ensure_future(self._failed.wait())
        self._main = main_task
        try:
            await asyncio.wait((main_task, failed), return_when=asyncio.FIRST_COMPLETED)
            code = 1 if self._failed.is_set() else 0
            if not main_task.done():
                main_task.cancel()
            try:
                await main_task
            except asyncio.CancelledError:
                code = code or int(not self.stopping.is_set())
            except Exception:
                _log.critical("the process ends", exc_info=True)
                code = 1
            return code
        finally:
            failed.cancel()
            for task in (running := list(self._tasks)):
                task.remove_done_callback(self._done)
                task.cancel()
            await asyncio.gather(*running, failed, return_exceptions=True)
            for number in heeded:
                loop.remove_signal_handler(number)

    def _on_signal(self, number: int) -> None:
        name = signal.Signals(number).name
        if not self.stopping.is_set():
            _log.info("%s: stopping", name)
            self.stopping.set()
        elif number == signal.SIGINT and not self._cut:  # a person who asks twice does not want to wait
            self._cut = True  # once: what still has to be done at the end takes no time, and must not be cut too
            _log.warning("%s again: ending at once", name)
            self._main.cancel()


def run(main: Callable[[Lifecycle], Awaitable[None]]) -> int:
    """Run ``main`` until it returns; the exit code: 0, or 1 after an unexpected exception in it or in a spawned task.

    Uses uvloop where it is installed.
    """

    async def whole() -> int:
        return await Lifecycle()._run(main)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(whole())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
