"""Starting a role inside its command: what is missing is said in words, not as a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

import click

from services.runtime.bus.values import BusError
from services.runtime.settings import SettingsError

_OURS = ("services", "proto")


def finish(role: str, start: Callable[[], int]) -> NoReturn:
    """Run ``start`` (which imports the role) and exit with its code.

    A library that is not installed is reported with the extra that brings it; a setting that cannot be used with its
    own words.
    """
    try:
        code = start()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in _OURS:
            raise
        raise click.ClickException(
            f"limen {role} needs the Python package {error.name!r}: pip install 'limen[{role}]'"
        ) from None
    except (SettingsError, BusError) as error:
        raise click.UsageError(str(error)) from None
    sys.exit(code)
