"""Diagnostics as lines for people: pure."""

from __future__ import annotations

from typing import Final

from proto.diagnostics import Diagnostic

STYLE: Final = {"error": "red", "warning": "yellow", "notice": "dim"}
"""How each severity looks."""


def place(diagnostic: Diagnostic) -> str:
    """The object and the field: where somebody has to look."""
    value = f" = {diagnostic.value!r}" if diagnostic.field and diagnostic.value else ""
    return f"{diagnostic.object}" + (f"  {diagnostic.field}{value}" if diagnostic.field else "")


def advice(diagnostic: Diagnostic) -> str:
    """What is wrong, what happens now, and what to do."""
    return diagnostic.message + (f" → {diagnostic.remedy}" if diagnostic.remedy else "")
