"""The roles, called as in their pods, against NATS as it is deployed: each login's permissions are enough."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.pods import guarded_bus
from tests.support.ports import free_port
from tests.support.processes import REPOSITORY, limen
from tests.support.waiting import eventually


def _get(port: int, path: str, *arguments: str) -> str:
    url = f"http://127.0.0.1:{port}{path}"
    command = ["curl", "--silent", "--show-error", "--max-time", "2", "-H", "Host: cafe.localhost", *arguments, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    if done.returncode:
        raise OSError(done.stderr)
    return done.stdout


@pytest.mark.parametrize("overlay", ["base", "overlays/nats-tls"])
async def test_a_change_reaches_the_edge_and_nothing_is_refused(tmp_path: Path, overlay: str) -> None:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    shutil.copy(REPOSITORY / "examples/ingressclass.yaml", manifests)
    shutil.copytree(REPOSITORY / "examples/hosts-and-paths", manifests / "cafe")
    (manifests / "cafe/endpoints.yaml").unlink()
    port = free_port()
    status = ["--output", "/dev/null", "--write-out", "%{http_code}"]
    async with guarded_bus(tmp_path, overlay) as pods:
        children = [
            pods.start("compiler", "compiler-1"),
            pods.start("compiler", "compiler-2"),
            pods.start("watcher", "watcher-1", {"--kube": None, "--publish-service": None}, f"--manifests={manifests}"),
            pods.start("edge", "edge-1", {"--http": f"127.0.0.1:{port}", "--https": None}),
        ]
        try:
            # no endpoints yet: 503 says that the route is there
            await eventually(lambda: _get(port, "/coffee", *status) == "503", 20, what="the route is live")
            ingress = manifests / "cafe/manifests.yaml"
            ingress.write_text(ingress.read_text().replace("/coffee", "/espresso"))
            await eventually(lambda: _get(port, "/espresso", *status) == "503", 10, what="the change is live")
            assert _get(port, "/coffee", *status) == "404"
            _, environment = pods.call("compiler", "compiler-1", {})  # as kubectl exec has it
            shown = await asyncio.to_thread(
                subprocess.run,
                limen("status"),
                env={**os.environ, **environment},
                capture_output=True,
                text=True,
                timeout=20,
            )
            assert shown.returncode == 0, shown.stderr
            assert all(name in shown.stdout for name in ("compiler-1", "compiler-2", "watcher-1", "edge-1")), shown
            for child in children:
                assert child.running, child.output()
        finally:
            for child in reversed(children):
                child.end()
    assert pods.refusals() == []


@pytest.mark.parametrize("role", ["watcher", "compiler", "edge"])
async def test_a_role_with_the_login_of_an_observer_gets_nowhere(tmp_path: Path, role: str) -> None:
    async with guarded_bus(tmp_path) as pods:
        seed = pods.keys / "nats/observer.nk"
        replace = {
            "--http": "127.0.0.1:0",
            "--https": None,
        }
        env = {"LIMEN_NATS_NKEY": str(seed), "LIMEN_NATS_INBOX": "_INBOX_observer"}
        more: list[str] = []
        if role == "watcher":
            replace |= {"--kube": None, "--publish-service": None}
            more = [f"--manifests={REPOSITORY / 'examples'}"]
        child = pods.start(role, "stranger", replace, *more, env=env)
        try:
            await eventually(pods.refusals, 20, what="the server refuses it")
        finally:
            child.end()
