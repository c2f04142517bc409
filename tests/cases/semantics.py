"""The behaviour cases as data, and which of them are not run here."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct

FILE = Path(__file__).parent / "nginx_semantics.yaml"
TOLD_IN_WORDS = "steps in words about whole processes over minutes; tests of processes say the same"


class Case(Struct, frozen=True):
    """One case. ``then``: changes made afterwards, in words, each with its own requests. ``steps``: what admission is
    asked, one after the other."""

    id: str
    title: str
    kind: str
    source: str
    ingresses: list[dict[str, Any]] = []
    requests: list[dict[str, Any]] = []
    then: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    configmap: dict[str, str] = {}
    flags: list[str] = []
    setup: list[str] = []
    steps: list[Any] = []

    def everything_asked(self) -> Iterator[dict[str, Any]]:
        """All requests with what is expected of them."""
        yield from self.requests
        for step in self.then:
            yield from step.get("requests") or []


@functools.cache
def all_cases() -> tuple[Case, ...]:
    """The cases of the file, in its order."""
    document = yaml.safe_load(FILE.read_text())
    return tuple(msgspec.convert(entry, Case) for entry in document["cases"])


def filled(case: Case, values: dict[str, str]) -> Case:
    """The same case with its placeholders (``AUTH_IP`` …) replaced."""
    words = re.compile(r"\b(" + "|".join(values) + r")\b")
    text = json.dumps(msgspec.to_builtins(case))
    return msgspec.convert(json.loads(words.sub(lambda found: values[found[1]], text)), Case)


def is_told_in_words(case: Case) -> bool:
    """Whether the case is not run from its data, because of ``TOLD_IN_WORDS``."""
    return case.kind == "lifecycle"
