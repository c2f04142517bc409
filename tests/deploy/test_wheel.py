"""The wheel, built as the Dockerfile builds it, and what each extra is enough for."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.processes import REPOSITORY

_ONLY_WITH = """
import importlib
import importlib.machinery
import sys

absent = set(sys.argv[1].split(","))

class Present:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in absent:
            return None
        return importlib.machinery.PathFinder.find_spec(name, path, target)

sys.meta_path[:] = [Present if finder is importlib.machinery.PathFinder else finder for finder in sys.meta_path]
for name in sys.argv[2:]:
    importlib.import_module(name)
"""


def _installed_with(extra: str) -> set[str]:
    """The distributions that ``pip install limen[extra]`` brings."""
    found: set[str] = set()
    todo = [("limen", frozenset({extra}))]
    while todo:
        name, extras = todo.pop()
        for line in metadata.requires(name) or ():
            requirement = Requirement(line)
            wanted = any(
                requirement.marker is None or requirement.marker.evaluate({"extra": each}) for each in (*extras, "")
            )
            dependency = canonicalize_name(requirement.name)
            if wanted and dependency not in found and dependency != "limen":
                found.add(dependency)
                todo.append((dependency, frozenset(requirement.extras)))
    return found


def _absent_without(extra: str) -> set[str]:
    """Top-level modules of the distributions here that an image with this extra lacks."""
    present = _installed_with(extra) | {"limen"}
    return {
        module
        for module, distributions in metadata.packages_distributions().items()
        if not any(canonicalize_name(name) in present for name in distributions)
    }


@pytest.mark.parametrize("role", ["edge", "watcher", "compiler"])
def test_a_role_needs_nothing_but_its_extra(role: str) -> None:
    modules = ["services.cli.main", f"services.cli.{role}", f"services.{role}.main"]
    absent = _absent_without(role)
    assert {"pytest", "hypothesis"} <= absent
    assert ("kubernetes" in absent) == (role != "watcher")
    command = [sys.executable, "-c", _ONLY_WITH, ",".join(sorted(absent)), *modules]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_wheel_holds_the_code_and_nothing_else(tmp_path: Path) -> None:
    build = ["pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(tmp_path), "."]
    done = subprocess.run([sys.executable, "-m", *build], cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("limen-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        points = archive.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"proto", "services"}
    assert "limen = services.cli.main:main" in points
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "proto/schema/cloudevent.json" in names
