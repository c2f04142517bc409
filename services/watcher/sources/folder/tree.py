"""What files there are: manifests in a tree of folders, and whether one may have changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

SUFFIXES: Final = (".yaml", ".yml", ".json")


class Stat(Struct, frozen=True):
    """What tells that a file may have changed."""

    mtime: float
    size: int
    inode: int

    @staticmethod
    def of(file: str | Path) -> Stat:
        """Follows symbolic links (a mounted ConfigMap is made of them). Raises OSError."""
        found = Path(file).stat()
        return Stat(found.st_mtime, found.st_size, found.st_ino)


def is_manifest(name: str) -> bool:
    """Whether a file of this name is read. Hidden ones are not: editors and mounts keep their own there."""
    return name.endswith(SUFFIXES) and not name.startswith(".")


def folders(root: Path) -> Iterator[Path]:
    """``root`` and every folder below it but hidden ones; each once, wherever symbolic links lead."""
    if not root.is_dir():
        return
    seen: set[tuple[int, int]] = set()
    for path, names, _ in os.walk(root, followlinks=True):
        found = Path(path).stat()
        if (found.st_dev, found.st_ino) in seen:
            names.clear()
            continue
        seen.add((found.st_dev, found.st_ino))
        names[:] = sorted(name for name in names if not name.startswith("."))
        yield Path(path)


def scan(roots: tuple[Path, ...]) -> dict[str, Stat]:
    """Every manifest below ``roots``, by path. A root that is a file counts whatever its name."""
    found: dict[str, Stat] = {}
    for root in roots:
        if root.is_file():
            _note(found, str(root))
        for folder in folders(root):
            try:
                names = sorted(entry.name for entry in os.scandir(folder))
            except OSError:  # it went while it was looked at, or is not ours to read: it holds nothing for us
                continue
            for name in names:
                if is_manifest(name):
                    _note(found, str(folder / name))
    return found


def _note(found: dict[str, Stat], file: str) -> None:
    try:
        if Path(file).is_file():
            found[file] = Stat.of(file)
    except OSError:  # it went while it was looked at
        return
