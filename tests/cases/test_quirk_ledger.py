"""The ledger of ingress-nginx's quirks: each has a test, and a line in docs/differences.md where we depart from it."""

from __future__ import annotations

import pytest
from msgspec import Struct

from proto.codec import decode_resource
from proto.objects import key_of
from proto.resources import VirtualHost
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions
from tests.cases.test_vectors_by_sockets import ELSEWHERE, number, vectors
from tests.support.named_tests import ROOT, is_there
from tests.support.objects import NGINX, ingress, path, rule

HERE = "tests/cases/test_quirk_ledger.py"
COMPILER = "tests/unit/compiler/core/test_compiler.py"
ENDPOINT_TLS = "tests/integration/edge/serving/test_tls_to_endpoints.py"
UPSTREAMS = "tests/unit/compiler/core/test_upstreams.py"


class Quirk(Struct, frozen=True):
    """``proofs``: vectors by their numbers (contract_vectors.yaml), tests as ``path::name``, golden cases as
    ``golden NAME CODE``. ``differs``: how its line in the table of differences begins; empty: as in ingress-nginx."""

    what: str
    proofs: tuple[str, ...]
    differs: str = ""


LEDGER = (
    Quirk(
        "patterns spread over the host, and Exact is open at its end",
        ("V8", "V10", "golden patterns path-becomes-pattern"),
    ),
    Quirk("ImplementationSpecific is Prefix", ("Q2",)),
    Quirk("the root that nobody declared has the annotations of the host's first Ingress", ("V14", "V38")),
    Quirk("of the same age, the greater namespace/name is first", ("V39",)),
    Quirk(
        "two paths that become the same location freeze all configuration",
        ("Q5", "golden conflicts path-conflict"),
        "conflicting paths that break nginx.conf",
    ),
    Quirk("a host without paths redirects and keeps out", ("Q6",)),
    Quirk("503 before 401, 204 and 301 before https", ("V20", "V21", "Q7")),
    Quirk("limits answer 503", ("V27", "Q8")),
    Quirk(
        "limits count for each replica",
        ("tests/unit/edge/core/test_client_limits.py::test_a_route_asks_and_is_told",),
        "`limit-rps`, `limit-rpm`, `limit-connections`",
    ),
    Quirk("the redirect to https takes a slash off, that from www has a port", ("V15", "V19")),
    Quirk("all origins with credentials", ("V28", "golden responses cors-credentials")),
    Quirk(
        "endpoints are not verified",
        (f"{ENDPOINT_TLS}::test_without_a_secret_nothing_is_sent_nothing_is_verified",),
        '`proxy-ssl-verify: "on"` and a Secret without `ca.crt`',
    ),
    Quirk(
        "external names are served",
        (f"{UPSTREAMS}::test_external_names", f"{UPSTREAMS}::test_external_names_that_are_refused"),
        "endpoints on loopback, link-local, metadata addresses",
    ),
    Quirk("namespaces share hosts", (f"{HERE}::test_namespaces_share_a_host_and_the_oldest_has_a_path",)),
    Quirk(
        "what cannot be read keeps the old version in force",
        (
            f"{COMPILER}::test_a_bad_version_leaves_the_good_one_in_force",
            "tests/faults/test_pipeline_objects.py::test_a_broken_ingress_harms_nobody_and_keeps_its_last_good_version",
            "tests/kube/test_write_back.py::test_findings_become_events_once",
        ),
        "an Ingress that cannot be read",
    ),
    Quirk(
        "snippets",
        (
            "golden snippets annotation-refused",
            "golden snippets-left-out snippet-left-out",
            "tests/cves/test_configuration_is_no_code.py::test_cve_2021_25742_snippets_that_read_the_token",
        ),
        "snippets (`*-snippet`)",
    ),
    Quirk("ModSecurity", ("Q15",), "`enable-modsecurity`, `enable-owasp-core-rules`"),
)


def is_proved(proof: str) -> bool:
    """Whether what a row names is there."""
    if proof.startswith("golden "):
        _, name, code = proof.split()
        expected = ROOT / "tests" / "golden" / "cases" / name / "expected.yaml"
        return expected.is_file() and f"code: {code} (" in expected.read_text()
    if "::" in proof:
        return is_there(proof)
    return proof in ELSEWHERE or proof in {number(vector) for vector in vectors()}


@pytest.mark.parametrize("quirk", LEDGER, ids=lambda quirk: quirk.what)
def test_each_quirk_is_tested_and_told_where_we_differ(quirk: Quirk) -> None:
    assert quirk.proofs
    assert [proof for proof in quirk.proofs if not is_proved(proof)] == []
    lines = (ROOT / "docs" / "differences.md").read_text().splitlines()
    assert not quirk.differs or any(line.startswith(f"| {quirk.differs}") for line in lines), "a line is missing"


def test_every_row_of_the_ledger_stands_here() -> None:
    assert len(LEDGER) == 17
    assert {name for name in map(number, vectors()) if name.startswith("Q")} <= {
        proof for quirk in LEDGER for proof in quirk.proofs
    }


def test_namespaces_share_a_host_and_the_oldest_has_a_path() -> None:
    compiler = Compiler(CompileOptions())
    older = ingress("older", rule("h.test", path("/", "a:80")), namespace="one", created=1)
    newer = ingress("newer", rule("h.test", path("/", "b:80"), path("/more", "b:80")), namespace="two", created=2)
    for value in (NGINX, newer, older):
        compiler.change(key_of(value), value)
    compiler.compile()
    (host,) = [decode_resource(record) for record in compiler.records() if record.kind == "virtualhost"]
    assert isinstance(host, VirtualHost)
    assert {(route.path, route.ingress) for route in host.routes} == {("/", "one/older"), ("/more", "two/newer")}
