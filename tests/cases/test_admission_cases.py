"""The cases of ingress-nginx's admission: Ingresses that come one after the other, and which of them is let in.

How reviews arrive is tested with the webhook itself (``tests/integration/compiler/test_webhook.py``), how large one may
be too (ADM-08).
"""

from __future__ import annotations

import json

import pytest

from proto.objects import ConfigMap, Ingress, key_of
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions
from services.watcher.sources.folder.documents import read_json
from tests.cases.semantics import Case, all_cases
from tests.support.compiling import CLASS, endpoints, service

BY_BYTES = "ADM-08"


CASES = [case for case in all_cases() if case.kind == "admission" and case.id != BY_BYTES]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES])
def test_case(case: Case) -> None:
    compiler = Compiler(CompileOptions(configmap="limen/settings"))
    for value in (CLASS, service(), endpoints("10.1.0.1"), ConfigMap("limen", "settings", case.configmap)):
        compiler.change(key_of(value), value)
    compiler.compile()
    for step in case.steps:
        (found,) = read_json(json.dumps(step.get("create") or step["update"]).encode()).found
        assert isinstance(found.value, Ingress)
        refusal = compiler.review(found.value).refusal
        assert step["verdict"] == ("deny" if refusal else "allow"), refusal
        if not refusal:
            compiler.change(key_of(found.value), found.value)
            compiler.compile()
