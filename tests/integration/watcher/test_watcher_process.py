"""``limen watcher`` as a process: its admin pages, its end, its refusals."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from services.runtime.keys import make_keys
from tests.support.nats import NatsServer
from tests.support.ports import free_port
from tests.support.processes import limen, process
from tests.support.waiting import eventually


def page(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
        return str(answer.read().decode())


async def test_it_says_how_it_does_and_stops_when_told(nats: NatsServer, tmp_path: Path) -> None:
    make_keys(tmp_path / "keys")
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "a.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: a}\n")
    (folder / "b.yaml").write_text("kind: [\n")
    admin = free_port()
    command = limen(
        "watcher",
        *("--nats", nats.url, "--state", tmp_path / "state", "--manifests", folder),
        *("--sealing-key", tmp_path / "keys" / "sealing.key", "--objects-key", tmp_path / "keys" / "objects.key"),
        *("--admin", f"127.0.0.1:{admin}"),
    )
    with process(*command, log=tmp_path / "watcher.log") as child:
        await eventually(lambda: page(admin, "/readyz") == "ok\n", 10)
        status = json.loads(page(admin, "/status"))
        assert (status["role"], status["ready"], status.get("active", True)) == ("watcher", True, True)
        assert {source["kind"]: source["synced"] for source in status["sources"]}["service"] is True
        assert status["diagnostics"][0]["code"] == "manifest-invalid"
        metrics = page(admin, "/metrics")
        for line in (
            "limen_watcher_active 1.0",
            'limen_watcher_source_synced{kind="ingress"} 1.0',
            'limen_watcher_source_objects{kind="service"} 1.0',
            'limen_watcher_published_objects{kind="service"} 1.0',
            'limen_watcher_diagnostics{severity="error"} 1.0',
            "limen_watcher_pending_messages 0.0",
        ):
            assert line in metrics
        assert child.terminate() == 0
        assert "Traceback" not in child.output()


def test_a_watcher_has_one_source(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys")
    command = limen(
        "watcher",
        *("--nats", "nats://127.0.0.1:1", "--state", tmp_path, "--kube", "--manifests", tmp_path),
        *("--sealing-key", tmp_path / "keys" / "sealing.key", "--objects-key", tmp_path / "keys" / "objects.key"),
    )
    with process(*command, log=tmp_path / "watcher.log") as child:
        assert child.wait() == 2
        assert "either --kube or --manifests" in child.output()


def test_a_flag_that_names_nothing_is_refused(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys")
    command = limen(
        "watcher",
        *("--nats", "nats://127.0.0.1:1", "--state", tmp_path, "--manifests", tmp_path, "--configmap", "no-slash"),
        *("--sealing-key", tmp_path / "keys" / "sealing.key", "--objects-key", tmp_path / "keys" / "objects.key"),
    )
    with process(*command, log=tmp_path / "watcher.log") as child:
        assert child.wait() == 2
        assert "--configmap: 'no-slash' is not NAMESPACE/NAME" in child.output()


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys")
    command = limen(
        "watcher",
        *("--nats", "nats://127.0.0.1:1", "--state", tmp_path, "--kube", "--kubeconfig", tmp_path / "nowhere"),
        *("--sealing-key", tmp_path / "keys" / "sealing.key", "--objects-key", tmp_path / "keys" / "objects.key"),
    )
    with process(*command, log=tmp_path / "watcher.log") as child:
        assert child.wait() == 2
        assert f"--kube: {tmp_path / 'nowhere'}" in child.output()
        assert "Traceback" not in child.output()
