"""``limen lint`` and ``limen explain`` over the manifests of real applications, as those run them who change over."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from proto.objects import Ingress
from services.cli.explanation import Request, explain
from services.cli.main import cli
from services.edge.core.generation import Generation
from tests.golden.case import REAL, compile_case, objects_in, real_cases

REFUSED = {
    "authelia/wiki-with-snippet",
    "kubernetes-dashboard/kubernetes-dashboard-with-snippet",
    "matrix-synapse/synapse-well-known-inline",
    "mattermost/mattermost-cached",
    "nextcloud/nextcloud-with-snippet",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    page = tmp_path_factory.mktemp("lint") / "report.html"
    words = ["lint", *map(str, sorted(REAL.rglob("objects.yaml"))), str(REAL / "controller.yaml")]
    words += ["--enable-ssl-passthrough", "--json"]
    found = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert found.exit_code == 1
    assert CliRunner().invoke(cli, [*words[:-1], f"--html={page}"], catch_exceptions=False).exit_code == 1
    text = page.read_text()
    assert all(f"<b>{name}</b>" in text for name in REFUSED)
    told: dict[str, Any] = json.loads(found.stdout)
    return told


def test_every_ingress_has_its_verdict(report: dict[str, Any]) -> None:
    assert {entry["name"] for entry in report["ingresses"] if entry["verdict"] == "refused"} == REFUSED
    assert report["verdicts"]["passed-over"] == 0
    assert report["verdicts"]["served"] >= 50
    assert len(report["ingresses"]) == 63
    assert [entry for entry in report["others"] if entry.get("severity") == "error"] == []


def test_every_finding_says_who_does_what_and_what_to_do(report: dict[str, Any]) -> None:
    for entry in report["ingresses"]:
        for finding in entry["findings"]:
            assert finding["ingress_nginx"], finding
            assert finding["limen"], finding
            assert finding["remedy"] or finding["severity"] == "notice", finding


@pytest.mark.parametrize("case", real_cases(), ids=lambda case: case.name)
def test_every_path_of_every_host_can_be_explained(case: Any) -> None:
    compiler = compile_case(case)
    records = list(compiler.records())
    generation = Generation.first(records, 1, 1, compiler.digest)
    for ingress in objects_in(case.files):
        if not isinstance(ingress, Ingress) or f"{ingress.namespace}/{ingress.name}" in REFUSED:
            continue
        for rule in ingress.rules:
            for path in rule.paths:
                target = path.path.replace("(/|$)(.*)", "/x").replace("(.*)", "x")
                target = target.replace("[1-9]\\d*", "7").replace("(_matrix|_synapse/client)", "_matrix")
                host = rule.host.replace("*", "any")
                for tls in (False, True):
                    told = explain(generation, records, Request("GET", host, target, tls, 443 if tls else 80))
                    assert told.steps or told.passes, (host, target)
                    if not tls and ingress.tls:
                        assert told.status in (301, 307, 308, 403) or told.endpoints is not None, (host, target, told)
                    owners = [route.ingress for route in told.candidates.routes if route.won]
                    named = f"{ingress.namespace}/{ingress.name}"
                    assert told.passes or owners == [named] or "canary" in named, (host, target, owners)
