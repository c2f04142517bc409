"""Rendering deploy/kubernetes as its users do: by kustomize or kubectl; kustomize is built if neither is there."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.processes import REPOSITORY

MODULE = "sigs.k8s.io/kustomize/kustomize/v5@v5.5.0"
BUILT = REPOSITORY / ".cache/bin/kustomize"


@cache
def _command() -> list[str]:
    if found := shutil.which("kustomize"):
        return [found, "build"]
    if found := shutil.which("kubectl"):
        return [found, "kustomize"]
    if not BUILT.exists():
        go = shutil.which("go")
        if go is None:
            if os.environ.get("CI"):
                pytest.fail("neither kustomize nor kubectl is here, nor go to build kustomize")
            pytest.skip("needs kustomize, kubectl, or go to build kustomize")
        BUILT.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([go, "install", MODULE], check=True, env={**os.environ, "GOBIN": str(BUILT.parent)}, timeout=600)
    return [str(BUILT), "build"]


@cache
def _text(folder: Path) -> str:
    return subprocess.run([*_command(), str(folder)], check=True, capture_output=True, text=True, timeout=120).stdout


def rendered(folder: str) -> list[dict[str, Any]]:
    """The objects of ``deploy/kubernetes/<folder>``, in the order in which they are applied."""
    return [found for found in yaml.safe_load_all(_text(REPOSITORY / "deploy/kubernetes" / folder)) if found]
