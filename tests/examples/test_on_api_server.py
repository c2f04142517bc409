"""The examples, applied to a real API server: it takes all that are meant for one, and only those."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.examples.test_folders import EXAMPLES, FOLDERS, WITH_SERVICES, documents, hosts, manifests
from tests.support.kube import KubeApi, collection, kube_api

pytestmark = pytest.mark.kube


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[KubeApi]:
    async with kube_api(tmp_path / "kube") as api:
        yield api


async def test_the_api_server_takes_every_example_of_today_and_none_of_the_past(api: KubeApi) -> None:
    for manifest in documents(EXAMPLES / "ingressclass.yaml"):
        await api.apply(manifest)
    for name in FOLDERS:
        for manifest in manifests(name):
            if manifest["apiVersion"] in ("networking.k8s.io/v1beta1", "extensions/v1beta1"):
                status, _ = await api.request("POST", collection(manifest), manifest)
                assert status == 404, "a current API server does not know this version"
            else:
                await api.apply(manifest)
    stored = {
        (found["metadata"]["namespace"], found["metadata"]["name"]): found
        for found in (await api.get("/apis/networking.k8s.io/v1/ingresses"))["items"]
    }
    applied = [found for name in FOLDERS if name != "v1beta1" for found in manifests(name, "Ingress")]
    assert len(stored) == len(applied)
    for ingress in applied:
        found = stored[ingress["metadata"]["namespace"], ingress["metadata"]["name"]]
        assert hosts(found) == hosts(ingress)
        assert found["metadata"].get("annotations", {}) == ingress["metadata"].get("annotations", {})
    # The reason why endpoints stand in files of their own.
    manifest = next(documents(EXAMPLES / WITH_SERVICES[0] / "endpoints.yaml"))
    status, answer = await api.request("POST", collection(manifest), manifest)
    assert status == 422
    assert "loopback" in answer["message"]
