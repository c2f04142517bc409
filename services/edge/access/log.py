"""The access log of a worker: takes what the traffic recorded, a batch at a time, and hands lines to the writer.

Owns when lines go out: at the latest a second after the request ended, or when there are enough of them. Settings are
looked at when a generation changes them, never per request.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Final

from msgspec import Struct

from proto.resources import Settings
from services.edge.access.form import Form, Renderer, form_of
from services.edge.access.outlet import File, Outlet, Syslog
from services.edge.access.writer import Writer
from services.edge.traffic import Batch, Columns, Traffic

_log = logging.getLogger(__name__)

FLUSH_AT: Final = 128 * 1024
"""Bytes of lines that are handed over at once: waking the thread costs as much as making a hundred lines."""
FLUSH_EVERY: Final = 1.0
CLOSE_WITHIN: Final = 1.0
"""Seconds that a leaving worker gives the reader of its last lines."""


class Target(Struct, frozen=True):
    """Where lines go: a file, or with ``port`` a syslog server."""

    place: str
    port: int = 0

    def outlet(self) -> Outlet:
        """What writes there."""
        return Syslog(self.place, self.port) if self.port else File(self.place)


def target_of(settings: Settings) -> Target | None:
    """Where the settings send lines; None: nowhere."""
    if settings.disable_access_log or settings.disable_http_access_log:
        return None
    if settings.enable_syslog:
        return Target(settings.syslog_host, settings.syslog_port) if settings.syslog_host else None
    return Target(settings.http_access_log_path or settings.access_log_path)


class AccessLog:
    """See the module."""

    def __init__(self, loop: asyncio.AbstractEventLoop, traffic: Traffic) -> None:
        self._loop = loop
        self._traffic = traffic
        self._target: Target | None = None
        self._form: Form | None = None
        self._renderer: Renderer | None = None
        self._writer: Writer | None = None
        self._unreadable = 0
        self._texts: list[bytes] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        traffic.on_batch(self._take)

    def follow(self, settings: Settings) -> None:
        """Log as ``settings`` say from now on; what was recorded before is logged as they said before."""
        target, form = target_of(settings), form_of(settings)
        if target == self._target and form == self._form:
            return
        self._traffic.flush()
        self._hand_over()
        if form != self._form or self._renderer is None:
            self._renderer = Renderer(form)
        if target is not None and target != self._target:
            self._writing().change(partial(_outlet, target))
        self._target, self._form = target, form
        self._traffic.wants_answers = target is not None and self._renderer.wants_answers
        if self._timer is None:
            self._tick()

    def _writing(self) -> Writer:
        """The writer, begun when something is to be written for the first time."""
        if self._writer is None:
            self._writer = Writer()
        return self._writer

    def reopen(self) -> None:
        """Open the file anew: it was moved away."""
        if self._writer is not None:
            self._writer.reopen()

    @property
    def written(self) -> int:
        """Lines written so far."""
        return 0 if self._writer is None else self._writer.written

    @property
    def lost(self) -> int:
        """Lines that came faster than they were taken, or could not be written."""
        return self._unreadable + (0 if self._writer is None else self._writer.lost)

    async def close(self) -> None:
        """Write what is left; a reader that takes nothing is not waited for."""
        if self._timer is not None:
            self._timer.cancel()
        self._traffic.flush()
        self._hand_over()
        writer = self._writer
        if writer is None:
            return
        writer.end()
        end = self._loop.time() + CLOSE_WITHIN
        while not writer.ended and self._loop.time() < end:  # noqa: ASYNC110 - a thread has no other way to say it
            await asyncio.sleep(0.005)

    def _take(self, batch: Batch, columns: Columns) -> None:
        if self._target is None or self._renderer is None:
            return
        try:
            text = self._renderer.text(batch, columns)
        except Exception:  # whatever it is that no line can be made of: it must not cost those who ask
            self._unreadable += len(batch)
            if self._unreadable == len(batch):
                _log.exception("no lines of the access log can be made of some requests")
            return
        self._texts.append(text)
        self._size += len(text)
        if self._size >= FLUSH_AT:
            self._hand_over()

    def _hand_over(self) -> None:
        if self._size and self._writer is not None:
            text = b"".join(self._texts)
            self._texts.clear()
            self._size = 0
            self._writer.write(text)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(FLUSH_EVERY, self._tick)
        self._traffic.flush()
        self._hand_over()


def _outlet(target: Target) -> Outlet:
    return target.outlet()
