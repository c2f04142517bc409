"""Where ``limen up`` keeps its state, that only one uses it at a time, and how other commands find it.

Owns the state folder's lock, the note ``running.json`` (readable by its owner only: it holds the bus' password), and a
link to the folder where commands look, while one runs in a folder of its own choice.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from services.cli.options import default_state_base
from services.runtime.settings import SettingsError

NOTE: Final = "running.json"
LOCK: Final = "lock"
DEMO: Final = "limen-demo-"
"""How the temporary state folder of ``limen demo`` begins."""
ELSEWHERE: Final = "elsewhere-"
"""How links begin to state folders that stand somewhere else."""


class Running(Struct, frozen=True):
    """A ``limen up`` or ``limen demo`` that runs. ``nats``: the bus, with its password. ``state``: its folder."""

    pid: int
    instance: str
    nats: str
    admin: str
    state: str = ""


def default_folder(instance: str, source: str) -> Path:
    """The state folder when none is named: one for each instance and source, so that what was served from one is never
    mistaken for what is served from another."""
    return default_state_base() / f"{instance}-{hashlib.blake2b(source.encode(), digest_size=5).hexdigest()}"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Own ``folder`` (made if missing) for the block. Raises SettingsError if another process does."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(f"--state {folder}: {error.strerror or error}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SettingsError(f"--state {folder}: another limen up uses it; name another folder") from None
        link = _linked(folder)
        try:
            yield
        finally:
            (folder / NOTE).unlink(missing_ok=True)
            if link is not None:
                with suppress(OSError):
                    link.unlink()
    finally:
        os.close(descriptor)


def _linked(folder: Path) -> Path | None:
    """A link to ``folder`` where commands look for those that run; None if it stands there anyway (that of a demo is
    found too), or if nothing can be written there."""
    base, place = default_state_base(), folder.resolve()
    if place.parent == base.resolve() or folder.name.startswith(DEMO):
        return None
    link = base / f"{ELSEWHERE}{hashlib.blake2b(bytes(place), digest_size=5).hexdigest()}"
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in base.glob(f"{ELSEWHERE}*"):
            if old == link or not old.exists():  # as a killed one left it
                old.unlink()
        link.symlink_to(place)
    except OSError:
        return None
    return link


def leave_note(folder: Path, running: Running) -> None:
    """Say how to reach what runs here."""
    temporary = folder / f".{NOTE}.{os.getpid()}"
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(running))
    temporary.replace(folder / NOTE)


def find(instance: str, folder: Path | None) -> list[Running]:
    """Every ``limen up`` of this user that runs ``instance``: in ``folder``, or wherever state lies by default; there
    also ``limen demo``, whose state is in a temporary folder."""
    folders = [folder] if folder else [*sorted(default_state_base().glob("*/")), *_demos()]
    return [running for each in folders if (running := _read(each)) and running.instance == instance]


def _demos() -> list[Path]:
    """Temporary folders that are this user's own: anybody can make one of that name."""
    found = []
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"{DEMO}*/")):
        with suppress(OSError):
            if not folder.is_symlink() and folder.stat().st_uid == os.geteuid():
                found.append(folder)
    return found


def _read(folder: Path) -> Running | None:
    try:
        running = msgspec.json.decode((folder / NOTE).read_bytes(), type=Running)
        with (folder / LOCK).open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return running  # somebody holds it: it runs
    except (OSError, msgspec.MsgspecError):
        return None
    return None
