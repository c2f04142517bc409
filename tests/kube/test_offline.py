"""``limen lint --kube`` against a real API server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from services.contract.annotations.entry import PREFIX
from tests.support.kube import KubeApi
from tests.support.manifests import endpoints, ingress, ingress_class, secret, service
from tests.support.pairs import tls_data
from tests.support.processes import limen

pytestmark = pytest.mark.kube

NAMESPACE = "offline"


async def run(*words: str) -> tuple[int, str, str]:
    """(exit code, output, errors) of a command."""
    process = await asyncio.create_subprocess_exec(
        *limen(*words), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), errors.decode()


async def applied(kube: KubeApi) -> list[str]:
    """A cluster with one good and one bad Ingress; the words that lead there."""
    if (await kube.request("GET", "/apis/networking.k8s.io/v1/ingressclasses/nginx"))[0] == 404:
        await kube.create(ingress_class())
    raw: Any = {f"{PREFIX}server-snippet": "deny all;"}
    await kube.create(service("web", NAMESPACE))
    await kube.create(endpoints("web", NAMESPACE, "10.1.2.3"))
    await kube.create(secret("good-tls", NAMESPACE, tls_data("good.example")))
    await kube.create(ingress("good", NAMESPACE, "good.example", secret="good-tls"))
    await kube.create(ingress("raw", NAMESPACE, "raw.example", annotations=raw))
    return ["--kube", f"--kubeconfig={kube.kubeconfig()}", f"--watch-namespace={NAMESPACE}"]


async def test_a_cluster_is_read_and_judged(kube: KubeApi) -> None:
    words = await applied(kube)
    code, out, _ = await run("lint", *words, "--json")
    found = json.loads(out)
    assert code == 1
    assert {entry["name"]: entry["verdict"] for entry in found["ingresses"]} == {
        f"{NAMESPACE}/good": "served",
        f"{NAMESPACE}/raw": "refused",
    }
    assert found["notes"] == []
    nobody = [f"--kubeconfig={kube.kubeconfig('nobody')}"]
    code, _, errors = await run("lint", "--kube", *nobody)
    assert code == 2
    assert "403" in errors or "forbidden" in errors
