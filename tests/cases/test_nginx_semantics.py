"""ingress-nginx's behaviour, case by case: manifests through the watcher's trimming and the compile into a real edge.

The cases are data (``nginx_semantics.yaml``).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases.asking import KNOWN, ask
from tests.cases.judge import fields_without_check, judge
from tests.cases.semantics import TOLD_IN_WORDS, Case, all_cases, is_told_in_words
from tests.cases.steps import known, perform, text_of
from tests.cases.world import World, world


def marks(case: Case) -> list[pytest.MarkDecorator]:
    return [pytest.mark.skip(reason=TOLD_IN_WORDS)] if is_told_in_words(case) else []


def parameters() -> list[object]:
    return [pytest.param(case, id=case.id, marks=marks(case)) for case in all_cases() if case.kind != "admission"]


async def play(around: World, entries: list[dict[str, object]]) -> None:
    for entry in entries:
        await judge(around, entry["expect"], await ask(around, entry))  # type: ignore[arg-type]


@pytest.mark.parametrize("case", parameters())
async def test_case(case: Case, tmp_path: Path) -> None:
    async with world(case, tmp_path) as around:
        await play(around, around.case.requests)
        for step in around.case.then:
            await perform(around, step)
            await play(around, step.get("requests") or [])


def test_all_cases_but_few_are_run_and_judged_whole() -> None:
    assert len({case.id for case in all_cases()}) == len(all_cases()) == 131
    run = [case for case in all_cases() if case.kind != "admission" and not is_told_in_words(case)]
    assert len(run) == len([case for case in all_cases() if case.kind != "admission"]) - 4
    for case in run:
        assert case.requests, f"{case.id} asks nothing"
        for entry in case.everything_asked():
            assert not fields_without_check(entry["expect"]), case.id
            assert not entry["request"].keys() - KNOWN, case.id
        for step in case.then:
            assert known(text_of(step)), case.id


WRONG: dict[str, object] = {
    "status": 404,
    "status_range": [500, 599],
    "status_counts": {"503": 1},
    "service": "echo",
    "upstream_requests": 0,
    "upstream": {"path": "/"},
    "response_headers": {"Server": "x"},
    "response_headers_absent": ["Date"],
    "response_header_count": {"Date": 2},
    "set_cookie_present": "x",
    "set_cookie_contains": "x",
    "tls": {"leaf_first_dns_name": "x"},
}


@pytest.mark.parametrize("field", WRONG)
async def test_a_wrong_expectation_fails(field: str, tmp_path: Path) -> None:
    case = next(case for case in all_cases() if case.id == "PATH-06")
    async with world(case, tmp_path) as around:
        exchanges = await ask(
            around, case.requests[0] | {"request": {**case.requests[0]["request"], "scheme": "https"}}
        )
        await judge(around, {"status": 200, "service": "svc-exact"}, exchanges)
        with pytest.raises(AssertionError):
            await judge(around, {field: WRONG[field]}, exchanges)
