"""Files that no watcher should take into memory."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from proto.diagnostics import Diagnostic
from proto.objects import Kind
from services.watcher.observed import Change
from services.watcher.sources.folder.files import MAX_FILE
from services.watcher.sources.folder.source import FolderSource
from tests.support.waiting import eventually


class Heard:
    """A ``Sink`` that keeps what it is told."""

    def __init__(self) -> None:
        self.kinds: list[Kind] = []
        self.names: list[str] = []
        self.found: dict[str, tuple[Diagnostic, ...]] = {}

    def changed(self, changes: list[Change]) -> None:
        self.names += [change.key.name for change in changes]

    def listed(self, kind: Kind) -> None:
        self.kinds.append(kind)

    def trouble(self, kind: Kind, error: str) -> None: ...

    def heard(self, kind: Kind) -> None: ...

    def namespaces(self, names: frozenset[str]) -> None: ...

    def diagnosed(self, place: str, diagnostics: tuple[Diagnostic, ...]) -> None:
        self.found[place] = diagnostics


async def test_a_file_beyond_all_measure_is_named_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: good}\n")
    with (tmp_path / "huge.yaml").open("wb") as file:
        file.truncate(MAX_FILE + 1)
    read: list[str] = []
    whole = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path.name) or whole(path))
    sink = Heard()
    running = asyncio.create_task(FolderSource((tmp_path,), sink).run())
    try:
        await eventually(lambda: sink.kinds)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert (read, sink.names) == (["good.yaml"], ["good"])
    (found,) = sink.found[str(tmp_path / "huge.yaml")]
    assert (found.code, str(MAX_FILE) in found.message) == ("manifest-invalid", True)
