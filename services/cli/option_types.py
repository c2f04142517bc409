"""Kinds of option values: how each is written, and the words of its errors."""

from __future__ import annotations

import re
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any, Final

import click

from proto.subjects import Subjects
from services.runtime.settings import HostPort, SettingsError, namespaced_name


class AddressType(click.ParamType[HostPort]):
    """``ADDRESS:PORT``."""

    name = "ADDRESS:PORT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> HostPort:
        if isinstance(value, HostPort):
            return value
        try:
            return HostPort.parse(value)
        except SettingsError as error:
            self.fail(str(error), param, ctx)


class NamespacedType(click.ParamType[str]):
    """``NAMESPACE/NAME``, kept as text; an empty text stays empty."""

    name = "NAMESPACE/NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value:
            try:
                namespaced_name(param.opts[0] if param else "", value)
            except SettingsError as error:
                self.fail(str(error), param, ctx)
        return str(value)


class InstanceType(click.ParamType[str]):
    """The name of an installation."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return Subjects(value).instance
        except ValueError as error:
            self.fail(str(error), param, ctx)


class SecondsType(click.ParamType[float]):
    """Seconds as a number, or with a unit as Go writes durations: ``240``, ``240s``, ``4m``, ``1m30s``, ``500ms``."""

    name = "SECONDS"
    _UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value).strip()
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return float(text)
        parts = re.findall(r"(\d+(?:\.\d+)?)(h|ms|m|s)", text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            self.fail(f"{value!r} is not a number of seconds (240) nor a duration (240s, 4m)", param, ctx)
        return sum(float(number) * self._UNITS[unit] for number, unit in parts)


class LeaseType(SecondsType):
    """Seconds as a Lease has them: whole ones, and enough of them to renew it in time."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = super().convert(value, param, ctx)
        if seconds < 5 or seconds % 1:
            self.fail("a Lease is for whole seconds, at least 5", param, ctx)
        return seconds


class BucketsType(click.ParamType[str]):
    """Upper bounds of buckets, rising, with commas between; kept as text, empty: the usual ones."""

    name = "NUMBER,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            buckets(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a list of rising numbers (0.1,0.5,1)", param, ctx)
        return str(value)


def buckets(text: str) -> tuple[float, ...]:
    """The bounds in ``text``; none if it is empty. Raises ValueError."""
    bounds = tuple(float(word) for word in text.split(",")) if text.strip() else ()
    if any(not isfinite(bound) for bound in bounds) or any(low >= high for low, high in pairwise(bounds)):
        raise ValueError(text)
    return bounds


ADDRESS: Final = AddressType()
BUCKETS: Final = BucketsType()
NAMESPACED: Final = NamespacedType()
SECONDS: Final = SecondsType()
LEASE: Final = LeaseType()
FILE: Final = click.Path(path_type=Path, dir_okay=False)
FOLDER: Final = click.Path(path_type=Path, file_okay=False)
ANY_PATH: Final = click.Path(path_type=Path)
