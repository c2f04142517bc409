"""The contract's test vectors, and its quirks, over real sockets: each is here as data, or named where it is tested."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cases.asking import ask
from tests.cases.judge import fields_without_check, judge
from tests.cases.semantics import Case
from tests.cases.world import world
from tests.support.named_tests import ROOT, is_there

FILES = tuple(
    Path(__file__).parent / name for name in ("contract_vectors.yaml", "more_vectors.yaml", "policy_vectors.yaml")
)
PREFIX = "nginx.ingress.kubernetes.io/"
HOST = "h.example"
TYPES = {"P": "Prefix", "E": "Exact", "I": "ImplementationSpecific"}
LIMITS = "tests/unit/edge/core/test_client_limits.py"
ELSEWHERE = {
    "V25": "tests/integration/edge/serving/test_external_auth.py::test_what_is_asked_and_what_is_handed_on",
    "V27": f"{LIMITS}::test_an_idle_client_may_ask_once_and_burst_times_more_then_by_the_rate",
    "V39": "tests/unit/compiler/core/test_contract_vectors.py::test_vector",
}
"""Vectors that need a clock, a server of their own, or objects that stand nowhere in a world of one namespace."""
NUMBER = re.compile(r"[VQMP]\d+")
ASKED = re.compile(r"(?:([A-Z]+) )?(?:(https?) )?(?:([A-Za-z0-9_.:-]+) )?(/.*)")
KNOWN = {"ingresses", "asked", "headers", "configmap", "objects", "missing Secrets", "flags"}


@cache
def vectors() -> list[dict[str, Any]]:
    return [vector for file in FILES for vector in yaml.safe_load(file.read_text())]


def number(vector: dict[str, Any]) -> str:
    (name,) = vector.keys() - KNOWN
    assert NUMBER.fullmatch(name), name
    return name


def manifest(said: dict[str, Any], order: int) -> dict[str, Any]:
    """An Ingress as it would be written."""
    words = {key: value for key, value in said.items() if key not in ("paths", "host", "tls")}
    host = said.get("host", HOST)
    paths = [
        {"path": path, "pathType": TYPES[kind], "backend": {"service": {"name": service, "port": {"number": 80}}}}
        for path, (kind, service) in said["paths"].items()
    ]
    rule = {"host": host, "http": {"paths": paths}} if paths else {"host": host}
    spec: dict[str, Any] = {"ingressClassName": "nginx", "rules": [rule]}
    if "tls" in said:
        spec["tls"] = [{"hosts": [host], "secretName": said["tls"]}]
    annotations = {PREFIX + key: value for key, value in words.items()}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": f"i{order}", "annotations": annotations},
        "spec": spec,
    }


def expectation(said: Any) -> dict[str, Any]:
    """What a vector's few words expect of an answer."""
    if isinstance(said, dict):
        return said
    if isinstance(said, int):
        return {"status": said} | ({} if said == 200 else {"upstream_requests": 0})
    first, _, second = said.partition(" ")
    if first.isdigit():
        return {"status": int(first), "response_headers": {"Location": second}, "upstream_requests": 0}
    return {"status": 200, "service": first} | ({"upstream": {"path": second}} if second else {})


def case_of(vector: dict[str, Any]) -> Case:
    entries = []
    for text, said in vector["asked"].items():
        found = ASKED.fullmatch(text)
        assert found, text
        method, scheme, host, target = found.groups()
        wanted = {"method": method or "GET", "scheme": scheme or "http", "host": host or HOST, "path": target}
        expected = dict(expectation(said))
        sent = expected.pop("sent", {})
        headers = vector.get("headers", {}) | sent.get("headers", {})
        entries.append({"request": wanted | sent | {"headers": headers}, "expect": expected})
    name = number(vector)
    return Case(
        id=name,
        title=vector[name] + (" (missing)" if vector.get("missing Secrets") else ""),
        kind="behaviour",
        source="test vectors",
        ingresses=[manifest(said, order) for order, said in enumerate(vector["ingresses"])],
        requests=entries,
        objects=vector.get("objects", []),
        configmap=vector.get("configmap", {}),
        flags=vector.get("flags", []),
    )


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: f"{number(vector)} {vector[number(vector)]}")
async def test_what_comes_of_it(vector: dict[str, Any], tmp_path: Path) -> None:
    async with world(case_of(vector), tmp_path) as around:
        for entry in around.case.requests:
            assert not fields_without_check(entry["expect"])
            await judge(around, entry["expect"], await ask(around, entry))


def test_every_vector_is_tested() -> None:
    here = {name for name in map(number, vectors()) if name.startswith("V")}
    assert here.isdisjoint(ELSEWHERE)
    assert here | ELSEWHERE.keys() == {f"V{count}" for count in range(1, 41)}
    assert [test for test in ELSEWHERE.values() if not is_there(test)] == []
    assert '"V39 ' in (ROOT / ELSEWHERE["V39"].partition("::")[0]).read_text()
