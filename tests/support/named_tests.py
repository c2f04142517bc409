"""Tests by their names: what a table of proofs says has to be there."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


@cache
def functions_in(path: str) -> frozenset[str]:
    """The names of all functions in a module of the repository; none if there is no such module."""
    file = ROOT / path
    if not file.is_file():
        return frozenset()
    found = ast.walk(ast.parse(file.read_text()))
    return frozenset(node.name for node in found if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def is_there(test: str) -> bool:
    """Whether ``path::function`` is a test of the repository."""
    path, _, name = test.partition("::")
    return name.startswith("test_") and name in functions_in(path)
