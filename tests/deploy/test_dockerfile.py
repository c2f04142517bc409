"""The Dockerfile, read: one slim image per role, non-root, each with its own extra only."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field

import pytest

from tests.support.processes import REPOSITORY

ROLES = ("edge", "watcher", "compiler")


@dataclass
class Stage:
    """One FROM with what follows it; ``steps`` are (instruction, arguments)."""

    parent: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def last(self, instruction: str) -> str:
        return [arguments for name, arguments in self.steps if name == instruction][-1]

    def text(self) -> str:
        return "\n".join(arguments for _, arguments in self.steps)


def stages() -> dict[str, Stage]:
    """The stages of the Dockerfile by name."""
    text = (REPOSITORY / "Dockerfile").read_text()
    lines = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    found: dict[str, Stage] = {}
    current: Stage | None = None
    for line in filter(None, map(str.strip, lines.splitlines())):
        instruction, _, arguments = line.partition(" ")
        if match := re.fullmatch(r"(\S+) AS (\S+)", arguments) if instruction == "FROM" else None:
            current = found[match[2]] = Stage(match[1])
        elif current is not None:
            current.steps.append((instruction, arguments))
    return found


STAGES = stages()


@pytest.mark.parametrize("role", [*ROLES, "limen"])
def test_a_role_runs_as_nobody_with_its_command(role: str) -> None:
    stage = STAGES[role]
    assert stage.last("USER") == "65532:65532"
    assert stage.last("ENTRYPOINT") == '["limen"]'
    assert stage.last("CMD") == ('["--help"]' if role == "limen" else f'["{role}"]')


@pytest.mark.parametrize("role", [*ROLES, "limen"])
def test_a_role_installs_the_wheel_with_its_extra_only(role: str) -> None:
    extras = re.findall(r"limen-\*\.whl\)\[([a-z,]+)\]", STAGES[role].text())
    assert extras == ["all" if role == "limen" else role]
    assert "from=build,source=/wheels" in STAGES[role].text()


@pytest.mark.parametrize("role", [*ROLES, "limen"])
def test_a_role_inherits_no_build_tools(role: str) -> None:
    assert STAGES[role].parent == "base"
    assert STAGES["base"].parent == "python:${PYTHON}-slim"
    assert "apt-get" not in STAGES["base"].text()


def test_the_edge_has_neither_kubernetes_nor_yaml() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    needed = " ".join([*project["dependencies"], *project["optional-dependencies"]["edge"]]).lower()
    assert "kubernetes" not in needed
    assert "yaml" not in needed
    assert "nats-server" not in needed


def test_the_build_sees_nothing_but_what_the_wheel_is_made_of() -> None:
    ignored, *allowed = (REPOSITORY / ".dockerignore").read_text().split()
    assert ignored == "*"
    assert {line.removeprefix("!") for line in allowed if line.startswith("!")} == {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "proto",
        "services",
    }
    copied = [word for name, rest in STAGES["build"].steps if name == "COPY" for word in rest.split()[:-1]]
    assert set(copied) == {"pyproject.toml", "README.md", "LICENSE", "proto", "services"}
