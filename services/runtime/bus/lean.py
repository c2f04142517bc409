"""Importing a library without something that it would use if it were there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def imported_without(name: str) -> Iterator[None]:
    """Imports in the block see no package ``name`` (unless it is imported already); afterwards all is as before."""
    if name in sys.modules:
        yield
        return
    hidden: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]
    hidden[name] = None  # what the import system takes for "there is none"
    try:
        yield
    finally:
        del sys.modules[name]
