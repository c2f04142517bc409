"""deploy/kubernetes, applied to a real API server; the watcher then works with exactly the rights that it grants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.deploy.pods import NAMESPACE, Pods, guarded_bus
from tests.support.kube import KubeApi, shared_kube_api, taken
from tests.support.kustomize import rendered
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.waiting import eventually

pytestmark = pytest.mark.kube

EVENTS = "/api/v1/namespaces/shop/events"
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
INGRESSES = "/apis/networking.k8s.io/v1/namespaces/shop/ingresses"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/limen-watcher"


@pytest.fixture(scope="module")
def _shared_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    with shared_kube_api(tmp_path_factory.mktemp("kube")) as api:
        yield api


@pytest.fixture
async def api(_shared_api: KubeApi) -> AsyncIterator[KubeApi]:
    """An API server with the manifests and nothing else of ours."""
    async with taken(_shared_api) as api:
        for manifest in rendered("base"):
            await api.apply(manifest)
        yield api
        for path in (INGRESSES, EVENTS, LEASE, WEBHOOKS):
            await api.request("DELETE", path)


async def _token(api: KubeApi, account: str) -> str:
    """A token of a ServiceAccount, as the kubelet gets it for a pod."""
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    status, answer = await api.request("POST", path, body)
    assert status == 201, answer
    return str(answer["status"]["token"])


def _ingress(name: str, host: str, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    backend = {"service": {"name": "coffee", "port": {"number": 80}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": "shop", "annotations": annotations or {}},
        "spec": {
            "ingressClassName": "nginx",
            "rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
        },
    }


@asynccontextmanager
async def _watchers(pods: Pods, api: KubeApi, token: str, *names: str) -> AsyncIterator[list[Process]]:
    """Pods of the watcher. In a pod the library finds token and server by itself; here a kubeconfig says the same."""
    config = api.kubeconfig(token, pods.keys / "kubeconfig")
    children = [pods.start("watcher", name, {}, f"--kubeconfig={config}") for name in names]
    try:
        yield children
    finally:
        for child in children:
            child.end()
    for child in children:
        refused = [line for line in child.output().splitlines() if "403" in line or "orbidden" in line]
        assert refused == [], child.output()


async def test_the_overlays_are_taken_too(api: KubeApi) -> None:
    kinds = ("nats-tls", "admission-webhook", "beside-ingress-nginx", "tcp-udp-services")
    for overlay in (f"overlays/{kind}" for kind in kinds):
        for manifest in rendered(overlay):
            await api.apply(manifest)
    for manifest in rendered("overlays/nodeport"):
        await api.apply(manifest)
    service = await api.get(f"/api/v1/namespaces/{NAMESPACE}/services/ingress-nginx-controller")
    assert service["spec"]["type"] == "NodePort"
    assert [port["nodePort"] for port in service["spec"]["ports"]] == [31000, 32000]


async def test_pods_pass_the_restricted_standard_that_their_namespace_enforces(api: KubeApi) -> None:
    path = f"/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All"
    for found in rendered("base"):
        if found["kind"] not in ("Deployment", "StatefulSet"):
            continue
        template = found["spec"]["template"]
        claims = [
            {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": "made-by-the-controller"}}
            for claim in found["spec"].get("volumeClaimTemplates", ())
        ]
        spec = {**template["spec"], "volumes": [*template["spec"]["volumes"], *claims]}
        pod = {"metadata": {**template["metadata"], "name": found["metadata"]["name"]}, "spec": spec}
        status, answer = await api.request("POST", path, pod)
        assert status == 201, answer
        spec["containers"] = [{**spec["containers"][0], "securityContext": {}}]
        status, answer = await api.request("POST", path, pod)
        assert status == 403, "the standard is enforced"


@pytest.mark.parametrize("account", ["limen-edge", "limen-compiler", "limen-nats"])
async def test_other_accounts_may_do_nothing(api: KubeApi, account: str) -> None:
    token = await _token(api, account)
    for path in ("/apis/networking.k8s.io/v1/ingresses", "/api/v1/secrets", "/api/v1/namespaces", LEASE):
        status, _ = await api.request("GET", path, token=token)
        assert status == 403, path


async def test_the_watcher_may_not_do_more_than_it_must(api: KubeApi) -> None:
    token = await _token(api, "limen-watcher")
    await api.create(_ingress("cafe", "cafe.example.com"))
    for method, path, body in (
        ("DELETE", f"{INGRESSES}/cafe", None),
        ("PATCH", f"{INGRESSES}/cafe", {"metadata": {"labels": {"a": "b"}}}),
        ("POST", "/api/v1/namespaces/shop/secrets", {"metadata": {"name": "new"}}),
        ("GET", "/api/v1/pods", None),
        ("GET", "/api/v1/nodes", None),
        ("GET", "/apis/coordination.k8s.io/v1/namespaces/shop/leases/other", None),
    ):
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        status, answer = await api.request(method, path, body, token=token, content_type=kind)
        assert status == 403, (method, path, answer)


async def test_from_an_ingress_to_an_answer_with_the_rights_of_the_manifests(api: KubeApi, tmp_path: Path) -> None:
    token = await _token(api, "limen-watcher")
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "ingress-nginx-controller"}}
    service["metadata"] |= {"namespace": NAMESPACE}  # type: ignore[operator]
    await api.patch(service, {"status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}]}}}, "status")
    port = free_port()
    async with guarded_bus(tmp_path) as pods, _watchers(pods, api, token, "watcher-1", "watcher-2"):
        others = [
            pods.start("compiler", "compiler-1"),
            pods.start("edge", "edge-1", {"--http": f"127.0.0.1:{port}", "--https": None}),
        ]
        try:
            await api.create(_ingress("cafe", "cafe.example.com"))
            async with aiohttp.ClientSession() as client:

                async def answered() -> int:
                    headers = {"Host": "cafe.example.com"}
                    try:
                        async with client.get(f"http://127.0.0.1:{port}/", headers=headers) as response:
                            return response.status
                    except aiohttp.ClientError as error:
                        raise OSError(str(error)) from error

                async def served() -> bool:
                    return await answered() == 503  # the route is there; its Service has no endpoints

                await eventually(served, 30, what="the route is served")

            async def address() -> bool:
                status = (await api.get(f"{INGRESSES}/cafe"))["status"]
                return bool(status["loadBalancer"] == {"ingress": [{"ip": "198.51.100.7"}]})

            await eventually(address, 15, what="the address of the Service stands in the Ingress' status")

            snippet = {"nginx.ingress.kubernetes.io/configuration-snippet": "return 200;"}
            await api.create(_ingress("menu", "menu.example.com", snippet))

            async def reported() -> bool:
                events = (await api.get(EVENTS))["items"]
                return any(event["involvedObject"]["name"] == "menu" for event in events)

            await eventually(reported, 15, what="an Event tells what was refused")
        finally:
            for child in others:
                child.end()
        assert pods.refusals() == []


async def test_the_second_watcher_takes_over_when_the_first_one_stops(api: KubeApi, tmp_path: Path) -> None:
    token = await _token(api, "limen-watcher")

    async def holder() -> str:
        status, lease = await api.request("GET", LEASE)
        return str(lease["spec"].get("holderIdentity") or "") if status == 200 else ""

    async with guarded_bus(tmp_path) as pods, _watchers(pods, api, token, "watcher-1", "watcher-2") as children:
        first = await eventually(holder, 30, what="a watcher holds the Lease")
        child = next(child for child in children if child.log.stem in first)
        child.terminate()

        async def other() -> bool:
            now = await holder()
            return bool(now) and now != first

        await eventually(other, 10, what="the other one holds it")
