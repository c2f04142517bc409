"""Every golden case and every example compiles to what stands beside it, and the edge finds its way in it."""

from __future__ import annotations

import pytest

from proto.codec import decode_resource
from proto.resources import VirtualHost
from services.contract.matching import compile_matcher
from tests.golden.case import EXPECTED_OF_EXAMPLES, Case, all_cases, compile_case, render

CASES = all_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case) -> None:
    compiler = compile_case(case)
    assert case.expected.exists(), "no answer yet: run python -m tests.golden.update, and read what it wrote"
    assert render(compiler) == case.expected.read_text()
    for record in compiler.records():
        resource = decode_resource(record)
        if isinstance(resource, VirtualHost):
            compile_matcher(resource.routes, resource.mode)


def test_no_answer_is_left_over() -> None:
    used = {case.expected for case in CASES}
    assert {path for path in EXPECTED_OF_EXAMPLES.glob("*.yaml") if path not in used} == set()
