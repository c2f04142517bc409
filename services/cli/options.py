"""Options in use: given to commands, turned into values for roles and back into command lines."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from services.cli.option_entry import F, Option
from services.cli.option_table import ADMIN, COMMON, NAME, ROLE_OPTIONS
from services.runtime.bus.values import BusOptions

if TYPE_CHECKING:
    from services.compiler.core.options import CompileOptions


def with_options(options: Iterable[Option], **changes: Mapping[str, Any]) -> Callable[[F], F]:
    """A decorator that gives a command these options; ``changes``: per option (by key), other settings for click."""

    def decorate(function: F) -> F:
        for option in reversed(list(options)):
            function = option.decorate(function, **changes.get(option.key, {}))
        return function

    return decorate


def for_role(role: str) -> tuple[Option, ...]:
    """Everything that the command of a role takes."""
    return tuple(option for option in (NAME, ADMIN, *COMMON, *ROLE_OPTIONS) if role in option.roles)


def arguments(options: Iterable[Option], values: Mapping[str, Any]) -> list[str]:
    """``values`` (by key) as a command line again; what is as by default, or absent, is left out."""
    words: list[str] = []
    for option in options:
        value = values.get(option.key, option.default)
        if value == option.default:
            continue
        for single in value if option.multiple else (value,):
            words.append(f"--{option.name}={str(single).lower() if option.kind is bool else single}")
    return words


def servers(values: Iterable[str]) -> tuple[str, ...]:
    """NATS servers from repeated or comma-separated values."""
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())


def bus_options(values: Mapping[str, Any], name: str) -> BusOptions:
    """What the BUS options say. ``name`` labels the connection. Raises BusError for what can never work."""
    from services.runtime.bus import Bus

    options = BusOptions(
        servers=servers(values["nats"]),
        name=f"limen {name}",
        creds=values["nats_creds"],
        nkey=values["nats_nkey"],
        ca=values["nats_ca"],
        cert=values["nats_cert"],
        key=values["nats_key"],
        inbox=values["nats_inbox"],
    )
    Bus(options).check()
    return options


def compile_options(values: Mapping[str, Any]) -> CompileOptions:
    """What the command line says to the compile: every field of CompileOptions is an option of the same name."""
    from services.compiler.core.options import CompileOptions

    return CompileOptions(**{field: values[field] for field in CompileOptions.__struct_fields__})


def required(values: Mapping[str, Any], *keys: str) -> None:
    """Raise a usage error unless each of these was given."""
    for key in keys:
        if not values[key]:
            name = key.replace("_", "-")
            raise click.UsageError(f"--{name} (or LIMEN_{key.upper()}) is needed; `limen keys DIR` makes key files")


def own_name(values: Mapping[str, Any]) -> str:
    """--name, or the host's."""
    return str(values["name"] or socket.gethostname())


def default_state_base() -> Path:
    """Where state lives when nobody says: $XDG_STATE_HOME/limen, else ~/.local/state/limen."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local/state") / "limen"


def state_folder(values: Mapping[str, Any], name: str) -> Path:
    """--state, else a folder of this process below the default one; made if it is missing."""
    folder = Path(values["state"] or default_state_base() / values["instance"] / name)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"--state {folder}: {error.strerror or error}") from None
    return folder
