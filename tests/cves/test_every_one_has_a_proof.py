"""Each CVE of ingress-nginx that came from its design, and each hole that a bus could open, has a test by its name; and
what would bring the first kind back is not in the tree.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.named_tests import ROOT, functions_in, is_there

HERE = "tests/cves"
CVES = (
    *("2020-8553", "2021-25742", "2021-25745", "2021-25746", "2021-25748", "2022-4886", "2023-5043", "2023-5044"),
    *("2024-7646", "2025-1974", "2025-1097", "2025-1098", "2025-24514", "2025-24513", "2025-15566", "2026-1580"),
    *("2026-24512", "2026-24513", "2026-24514", "2026-3288", "2026-4342", "2026-42945", "2021-25740"),
)
ELSEWHERE = {
    "2026-24514": "tests/integration/compiler/test_webhook.py::test_large_reviews_are_read_and_larger_ones_are_not",
    "2021-25740": "tests/unit/watcher/test_kinds.py::test_a_slice_is_left_with_the_addresses_that_pods_have",
}
HOLES = {
    "whoever may publish owns every host: forged deltas": [
        "tests/integration/edge/test_following.py::test_forged_live_messages_move_nothing",
        "tests/integration/edge/test_following.py::test_a_forged_head_in_the_stream_is_passed_over",
        "tests/integration/edge/test_following.py::test_a_forged_base_is_not_believed",
        "tests/unit/edge/follow/test_incoming.py::test_no_byte_can_be_changed",
    ],
    "whoever may publish owns every host: forged objects": [
        "tests/unit/compiler/test_messages_and_reports.py::test_what_is_refused",
        "tests/unit/proto/test_keys_and_signatures.py::test_object_messages_are_bound_to_key_and_purpose",
    ],
    "whoever may publish owns every host: logins and rights": [
        "tests/deploy/test_nats_permissions.py::test_a_role_cannot_publish_what_is_not_its_part",
        "tests/deploy/test_nats_permissions.py::test_a_forged_delta_of_an_edge_reaches_neither_log_nor_edges",
        "tests/deploy/test_nats_permissions.py::test_nobody_enters_without_a_key_that_the_server_knows",
    ],
    "private keys rest in the bus' store": [
        "tests/unit/proto/test_keys_and_signatures.py::test_sealing_is_deterministic_and_bound_to_its_place",
        "tests/cves/test_access_and_references.py::test_no_secret_leaves_the_watcher_unsealed",
        "tests/unit/edge/follow/test_lastgood.py::test_nobody_else_can_read_it",
    ],
    "an old signed snapshot is played again": [
        "tests/integration/edge/test_following.py::test_an_older_log_is_never_followed",
    ],
    "observers see all tenants": [
        "tests/deploy/test_nats_permissions.py::test_a_role_cannot_hear_what_is_not_for_it",
        "tests/deploy/test_roles_with_logins.py::test_a_role_with_the_login_of_an_observer_gets_nowhere",
    ],
    "an edge's reports are input of the most exposed": [
        "tests/unit/compiler/test_messages_and_reports.py::test_reports_are_read_with_limits",
        "tests/unit/compiler/test_messages_and_reports.py::test_a_proof_with_numbers_that_no_compiler_writes_proves_nothing",
    ],
    "endpoints written by tenants": [
        "tests/unit/watcher/test_kinds.py::test_addresses_that_no_pod_has",
        "tests/unit/watcher/test_kinds.py::test_a_slice_is_left_with_the_addresses_that_pods_have",
    ],
    "external names that lead inside": [
        "tests/unit/compiler/core/test_upstreams.py::test_external_names_that_are_refused",
        "tests/unit/compiler/core/test_upstreams.py::test_external_names_can_be_switched_off",
        "tests/unit/edge/test_resolve.py::test_addresses_of_the_machine_itself_are_refused",
    ],
    "stolen credentials reach all Secrets": [
        "tests/deploy/test_manifests.py::test_nobody_else_gets_a_token",
        "tests/deploy/test_manifests.py::test_the_watchers_rights_are_the_least",
        "tests/deploy/test_manifests.py::test_a_pod_gets_only_the_keys_of_its_role",
    ],
}


@pytest.mark.parametrize("cve", CVES)
def test_each_cve_has_a_test_by_its_name(cve: str) -> None:
    name = f"test_cve_{cve.replace('-', '_')}_"
    here = {found for file in (ROOT / HERE).glob("test_*.py") for found in functions_in(f"{HERE}/{file.name}")}
    assert any(found.startswith(name) for found in here) or is_there(ELSEWHERE[cve])


@pytest.mark.parametrize("hole", sorted(HOLES))
def test_each_hole_of_a_bus_has_tests(hole: str) -> None:
    assert [test for test in HOLES[hole] if not is_there(test)] == []


RUNS_TEXT = {"eval", "exec", "compile", "__import__"}
UNWANTED = {"jinja2", "mako", "chevron", "pystache", "Cheetah", "string.Template", "pickle", "marshal", "shelve"}
SUSPECT = re.compile(
    r"\b(?:eval|exec|compile|__import__)\(|import (?:Template|subprocess)|subprocess|" + "|".join(UNWANTED)
)
STARTS_PROGRAMS = {"services/cli/children.py", "services/cli/demo_calls.py", "services/cli/parent.py"}
"""What runs beside the roles on one machine: the command line's own children, none of which an object names."""


def _calls(tree: ast.AST) -> set[str]:
    return {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}


def _imports(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("folder", ["proto", "services"])
def test_nothing_between_the_api_server_and_an_edge_renders_or_runs_text(folder: str) -> None:
    for file in sorted((ROOT / folder).rglob("*.py")):
        text, name = file.read_text(), str(file.relative_to(ROOT))
        programs = [word for word in ("os.system(", "os.popen(", "create_subprocess", "os.exec") if word in text]
        assert not programs or name in STARTS_PROGRAMS, name
        if SUSPECT.search(text) is None:  # most are not worth being parsed
            continue
        tree = ast.parse(text)
        assert not _calls(tree) & RUNS_TEXT, name
        imported = _imports(tree)
        assert not imported & UNWANTED, name
        assert "subprocess" not in imported or name in STARTS_PROGRAMS, name


def test_what_decides_opens_no_file() -> None:
    """Pure cores: an object's name cannot become a file's where no file is opened."""
    for folder in ("services/contract", "services/compiler/core", "services/edge/core"):
        for file in sorted(Path(ROOT / folder).rglob("*.py")):
            tree = ast.parse(file.read_text())
            used = _calls(tree) | {
                node.func.attr
                for node in ast.walk(tree)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            }
            forbidden = {"open", "read_text", "read_bytes", "write_text", "write_bytes", "getenv"}
            assert not used & forbidden, file
