"""Lines of mistakes are looked up where that is cheap, and not where it would stop the watcher."""

from __future__ import annotations

import json

import pytest

from services.watcher.sources.folder import yaml_text


def test_the_line_of_a_step() -> None:
    assert yaml_text.line_of("a: 1\nb:\n  - c: 2\n  - d: 3\n", ("b", 1, "d")) == 4


def test_a_large_or_one_line_document_is_not_composed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("composed")

    monkeypatch.setattr(yaml_text.yaml, "compose", refuse)
    items = [{"kind": "Service", "name": str(number)} for number in range(10_000)]
    assert yaml_text.line_of(json.dumps({"items": items}), ("items", 3)) == 1
    assert yaml_text.line_of("# made by a program\n" + json.dumps({"items": items}, indent=1), ("items", 3)) == 2
