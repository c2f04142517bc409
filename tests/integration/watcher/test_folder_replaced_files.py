"""A manifest that is replaced by removing and writing it, as editors and tools do, is never missing in between."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proto.diagnostics import Diagnostic
from proto.objects import Kind, Object
from services.watcher.observed import Change
from services.watcher.sources.folder.source import GRACE, FolderSource
from tests.support.waiting import eventually

MANIFEST = """apiVersion: v1
kind: ConfigMap
metadata: {{name: settings, namespace: shop}}
data: {{text: "{text}"}}
"""


class Recorder:
    """A sink that remembers every value of the object, in order; None: it was gone."""

    def __init__(self) -> None:
        self.seen: list[Object | None] = []

    def changed(self, changes: list[Change]) -> None:
        self.seen += [change.value for change in changes]

    def listed(self, kind: Kind) -> None: ...

    def trouble(self, kind: Kind, error: str) -> None: ...

    def heard(self, kind: Kind) -> None: ...

    def namespaces(self, names: frozenset[str]) -> None: ...

    def diagnosed(self, place: str, diagnostics: tuple[Diagnostic, ...]) -> None: ...

    def texts(self) -> list[str]:
        return [value.data["text"] if value is not None else "gone" for value in self.seen]  # type: ignore[union-attr]


@asynccontextmanager
async def _following(folder: Path) -> AsyncIterator[Recorder]:
    recorder = Recorder()
    task = asyncio.create_task(FolderSource((folder,), recorder).run())
    try:
        await eventually(lambda: recorder.seen, 10, what="the first object")
        yield recorder
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _remove_then_write(file: Path) -> None:
    file.unlink()
    time.sleep(GRACE / 4)  # the gap that some tools leave
    file.write_text(MANIFEST.format(text="after"))


def _rename_then_write(file: Path) -> None:
    file.rename(file.with_suffix(".yaml~"))
    time.sleep(GRACE / 4)  # the gap that some tools leave
    file.write_text(MANIFEST.format(text="after"))


def _write_slowly(file: Path) -> None:
    """The writer is at work for longer than the grace lasts."""
    file.unlink()
    text = MANIFEST.format(text="after")
    with file.open("w") as out:
        out.write(text[:30])
        out.flush()
        time.sleep(3 * GRACE)
        out.write(text[30:])


def _move_over(file: Path) -> None:
    other = file.with_name("new.tmp")
    other.write_text(MANIFEST.format(text="after"))
    os.replace(other, file)


@pytest.mark.parametrize("replace", [_remove_then_write, _rename_then_write, _write_slowly, _move_over])
async def test_an_object_stays_while_its_file_is_replaced(tmp_path: Path, replace: Callable[[Path], None]) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(MANIFEST.format(text="before"))
    async with _following(tmp_path) as recorder:
        await asyncio.to_thread(replace, file)
        await eventually(lambda: recorder.texts()[-1] == "after", 5, what="the new content")
    assert recorder.texts() == ["before", "after"]


async def test_an_object_whose_file_stays_away_goes(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(MANIFEST.format(text="before"))
    async with _following(tmp_path) as recorder:
        file.unlink()
        await eventually(lambda: recorder.texts() == ["before", "gone"], 5, what="the removal")
