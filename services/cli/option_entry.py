"""One option of a command, as the tables of options define it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from msgspec import Struct

F = TypeVar("F", bound=Callable[..., Any])


class Option(Struct, frozen=True, kw_only=True):
    """One option. ``kind``: a click type, or bool for a switch that also takes ``=true`` and ``=false``."""

    name: str
    roles: frozenset[str]
    help: str
    kind: Any = str
    default: Any = ""
    multiple: bool = False
    metavar: str = ""

    @property
    def key(self) -> str:
        """Its name as a Python argument."""
        return self.name.replace("-", "_")

    def decorate(self, function: F, **changes: Any) -> F:
        """Give ``function`` (a command) this option; ``changes`` override what click is told."""
        settings: dict[str, Any] = {
            "envvar": f"LIMEN_{self.key.upper()}",
            "show_envvar": True,
            "help": self.help,
            "default": self.default,
            "show_default": self.default not in ("", None, (), False),
        }
        if self.kind is bool:
            # "--flag" and "--flag=false"; a flag proper would refuse the second form, which Go programs know
            settings |= {"type": click.BOOL, "is_flag": False, "flag_value": True, "metavar": "[=true|false]"}
        else:
            settings |= {"type": self.kind, "multiple": self.multiple}
            if self.metavar:
                settings["metavar"] = self.metavar
        settings |= changes
        return click.option(f"--{self.name}", self.key, **settings)(function)


def extra(name: str, *others: str, **settings: Any) -> Callable[[F], F]:
    """An option of one command alone, with its environment variable; ``others``: further names."""
    variable = f"LIMEN_{name.upper().replace('-', '_')}"
    return click.option(f"--{name}", *others, envvar=variable, show_envvar=True, **settings)


def of(*roles: str) -> frozenset[str]:
    """The roles that take an option."""
    return frozenset(roles)
