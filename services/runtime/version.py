"""The version of this program."""

from __future__ import annotations

import importlib.metadata


def software() -> str:
    """The version of the installed package; ``unknown`` when it is run from a folder that was never installed."""
    try:
        return importlib.metadata.version("limen")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
