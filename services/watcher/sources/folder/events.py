"""inotify: which files were touched, as soon as their writer is done with them.

Owns the watches, one per folder. Where the system offers no events (not Linux, or out of watches) ``working`` is false
and the source scans more often.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from types import TracebackType
from typing import Any

from msgspec import Struct

from services.watcher.sources.folder.tree import folders, is_manifest

try:
    from asyncinotify import Inotify, Mask

    _AVAILABLE = True
except (ImportError, OSError, AttributeError):  # not Linux
    _AVAILABLE = False

_log = logging.getLogger(__name__)


class Touched(Struct, frozen=True):
    """``files`` were written, moved or removed; ``structure``: folders came or went, or events were lost."""

    files: frozenset[str] = frozenset()
    structure: bool = False


class Events:
    """Events of everything below ``roots``. Use as a context manager."""

    def __init__(self, roots: tuple[Path, ...]) -> None:
        self._roots = roots
        self._files = frozenset(str(root) for root in roots)
        self._inotify: Any = None
        self.working = False

    def __enter__(self) -> Events:
        if _AVAILABLE:
            self._inotify = Inotify(sync_timeout=0, cache_size=256)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._inotify is not None:
            self._inotify.close()

    def watch(self) -> None:
        """Watch every folder that is there now. Call before reading them, so that no change falls in between."""
        if self._inotify is None:
            return
        mask = (
            Mask.CLOSE_WRITE
            | Mask.MOVED_TO
            | Mask.MOVED_FROM
            | Mask.CREATE
            | Mask.DELETE
            | Mask.DELETE_SELF
            | Mask.MOVE_SELF
        )
        try:
            for root in self._roots:
                for folder in folders(root) if root.is_dir() else (root.parent,):
                    self._inotify.add_watch(folder, mask)
        except FileNotFoundError:
            return  # went meanwhile; the event of its parent brings the next look
        except OSError as error:
            if self.working or not self._inotify:
                _log.warning("no file events (%s): scanning instead", error.strerror)
            self.working = False
        else:
            self.working = True

    async def next(self, timeout: float) -> Touched:
        """What happened, all that is known at once; nothing when ``timeout`` seconds pass without an event."""
        if self._inotify is None:
            await asyncio.sleep(timeout)
            return Touched()
        await self._readable(timeout)
        files: set[str] = set()
        structure = False
        while (event := self._inotify.sync_get()) is not None:
            structure |= self._note(event, files)
        return Touched(frozenset(files), structure)

    async def _readable(self, timeout: float) -> None:
        """Wait until there are events, at most ``timeout`` seconds. Nothing is read meanwhile: the library's own
        waiting reads ahead, and forgets what it has read when it is cancelled, or when more arrives at that moment."""
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._inotify.fd, readable.set)
        try:
            async with asyncio.timeout(timeout):
                await readable.wait()
        except TimeoutError:
            return
        finally:
            loop.remove_reader(self._inotify.fd)

    def _note(self, event: Any, files: set[str]) -> bool:
        """Note the file that ``event`` is about; whether it is about folders instead."""
        mask = event.mask
        if mask & (Mask.Q_OVERFLOW | Mask.DELETE_SELF | Mask.MOVE_SELF):
            return True
        if mask & Mask.IGNORED or event.name is None or event.watch is None:
            return False
        path = event.watch.path / event.name
        if mask & Mask.ISDIR:
            return not event.name.name.startswith(".") or event.name.name == "..data"
        if event.name.name == "..data":  # a mounted ConfigMap or Secret was replaced as a whole
            return True
        if str(path) not in self._files and not is_manifest(event.name.name):
            return False
        # A new regular file is read when its writer closes it; a link is complete when it is made.
        if not mask & Mask.CREATE or path.is_symlink() or _linked(path):
            files.add(str(path))
        return False


def _linked(path: Path) -> bool:
    try:
        return path.stat().st_nlink > 1
    except OSError:
        return False
