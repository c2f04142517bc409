"""What one run of a compiler leaves to the next: the highest (epoch, version) that it saw.

Only a hint: an edge that is ahead says so with a signed proof. It spares a detour when log and edges are gone at once.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from proto.snapshots import Position

_log = logging.getLogger(__name__)


class _Kept(Struct, frozen=True):
    instance: str
    epoch: int
    version: int


class StateFile:
    """``<state>/compiler.json``. Writing is one rename; a failure is logged once and stops nothing."""

    def __init__(self, folder: Path, instance: str) -> None:
        self._path = folder / "compiler.json"
        self._instance = instance
        self._written = Position()
        self._failed = False

    def read(self) -> Position:
        """The position of the last run; zero if there is none or it cannot be read."""
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return Position()
        except (OSError, msgspec.MsgspecError) as error:
            _log.warning("%s is passed over: %s", self._path, error)
            return Position()
        if kept.instance != self._instance:
            _log.warning("%s is passed over: it belongs to instance %s", self._path, kept.instance)
            return Position()
        self._written = Position(kept.epoch, kept.version)
        return self._written

    def write(self, position: Position) -> None:
        """Keep ``position``, if it is another than the last one."""
        if position <= self._written:
            return
        data = msgspec.json.encode(_Kept(self._instance, position.epoch, position.version))
        temporary = self._path.with_suffix(f".{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            temporary.replace(self._path)
        except OSError as error:
            if not self._failed:
                _log.warning("%s cannot be written, going on without: %s", self._path, error)
            self._failed = True
            return
        self._written, self._failed = position, False
