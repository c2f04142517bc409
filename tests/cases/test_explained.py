"""What ``limen explain`` says of the cases' requests is what the edge does, without a request being sent."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from services.cli.explanation import Explanation, Request, explain
from tests.cases.semantics import Case, all_cases, is_told_in_words
from tests.cases.world import World, world

TOLD = {"method", "scheme", "host", "path", "headers"}
"""What a request may say to be told in full; others have a body, a certificate, a password …"""


def tellable(case: Case) -> bool:
    return not is_told_in_words(case) and any(map(_simple, case.requests))


def _simple(entry: dict[str, Any]) -> bool:
    """Whether the request's head alone says what becomes of it."""
    asked, expected = entry["request"], entry["expect"]
    left_to_the_endpoint = asked.get("path", "/").startswith(("/sleep", "/redirect-to"))
    return (
        set(asked) <= TOLD
        and isinstance(expected.get("status"), int)
        and not left_to_the_endpoint
        and "body_bytes" not in expected
    )


def _explained(around: World, request: dict[str, Any]) -> Explanation:
    generation = around.serving.generation
    assert generation is not None
    tls = request.get("scheme") == "https"
    headers = tuple((name, str(value)) for name, value in (request.get("headers") or {}).items())
    asked = Request(
        request.get("method", "GET"),
        request.get("host", "x"),
        request.get("path", "/"),
        tls,
        around.told["https" if tls else "http"],
        headers=headers,
    )
    return explain(generation, around.compiler.records(), asked)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in all_cases() if tellable(case)])
async def test_case(case: Case, tmp_path: Path) -> None:
    async with world(case, tmp_path) as around:
        for entry in filter(_simple, around.case.requests):
            told = _explained(around, entry["request"])
            if any("asks outside" in step.said for step in told.steps):
                continue
            wanted, upstream = entry["expect"]["status"], entry["expect"].get("upstream") or {}
            if told.leaves:
                asked_for = re.search(r"/status/(\d+)", told.leaves)
                assert wanted == (int(asked_for[1]) if asked_for else 200), told
                if isinstance(upstream.get("path"), str):
                    assert told.leaves.split(" ")[1].partition("?")[0] == upstream["path"].partition("?")[0]
            else:
                assert told.status == wanted, told
