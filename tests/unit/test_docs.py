"""The documentation: what is generated is up to date, links lead somewhere, commands and flags exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from docs import generate
from proto.codec import KINDS
from services.cli.main import COMMANDS, cli
from services.edge.options import MetricsOptions
from services.edge.process.families import families_of
from tests.support.processes import REPOSITORY

FOLDERS = ("", "docs", "docs/adr", "docs/performance", "examples", "deploy/kubernetes", "proto")
PAGES = sorted(page for folder in FOLDERS for page in (REPOSITORY / folder).glob("*.md"))
NAMES = [str(page.relative_to(REPOSITORY)) for page in PAGES]


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _links(page: Path) -> Iterator[tuple[Path, str]]:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http:", "https:", "mailto:")):
            path, _, anchor = target.partition("#")
            yield (page.parent / path).resolve() if path else page, anchor


@pytest.mark.parametrize("name", sorted(generate.files()))
def test_generated_parts_are_up_to_date(name: str) -> None:
    assert (REPOSITORY / name).read_text() == generate.files()[name], "run: make docs"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in _links(page):
        assert target.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in _anchors(target), f"{page.name}: {target.name}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_no_merge_left_its_marks(page: Path) -> None:
    assert not re.findall(r"^(?:<{7} .*|={7}|>{7} .*)$", page.read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_that_are_shown_exist_with_their_options(page: Path) -> None:
    shown = re.findall(r"(?:`|bin/|^|exec \S+ -- )limen ([a-z]+)((?: [^`\n]*)?)", page.read_text(), re.MULTILINE)
    for name, rest in shown:
        assert name in COMMANDS, f"{page.name}: limen {name}"
        command = cli.get_command(click.Context(cli), name)  # type: ignore[attr-defined]
        assert command is not None
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        for option in re.findall(r"(--[a-z][a-z-]+)", rest.partition("#")[0]):
            assert option in known, f"{page.name}: limen {name} {option}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_make_targets_that_are_shown_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z%-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    for target in re.findall(r"`make ([a-z-]+)", page.read_text()):
        assert target in targets or (target.startswith("bench-") and "bench-%" in targets), target


def _metrics() -> set[str]:
    """What edges render, and what the other roles name in their sources."""
    sources = "".join(path.read_text() for path in (REPOSITORY / "services").rglob("*.py"))
    named = re.findall(r'"(limen_(?:watcher|compiler|events|nats)_[a-z_]+)"', sources)
    named += [f"nginx_ingress_controller_{name}" for name in re.findall(r'NGINX_PREFIX \+ "([a-z_]+)"', sources)]
    of_edges = families_of(MetricsOptions(per_host=True, per_undefined_host=True))
    return {*named, *(f"{name}_total" for name in named), *(family.name for family in of_edges)}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_metrics_that_are_shown_exist(page: Path) -> None:
    shown = re.findall(r"`((?:limen|nginx_ingress_controller)_[a-z_]+)(?:\{[^`]*)?`", page.read_text())
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in shown} - _metrics() == set()


def test_the_bus_names_every_kind_of_resource() -> None:
    told = re.findall(r"^\| `([a-z]+)` \| ", (REPOSITORY / "docs/bus.md").read_text(), re.MULTILINE)
    assert set(KINDS) <= set(told)
