"""The webhook, asked by a real API server, in front of a real watcher and compiler."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.compiler.core.options import CompileOptions
from services.compiler.options import WebhookOptions
from services.contract.annotations.entry import PREFIX
from services.runtime.settings import HostPort
from tests.support.compiling import RunningCompiler, plant
from tests.support.kube import KubeApi, collection, place
from tests.support.manifests import Manifest, ingress, ingress_class
from tests.support.nats import NatsServer
from tests.support.pairs import make_pair, pem, pem_key
from tests.support.ports import free_port
from tests.support.waiting import eventually
from tests.support.watchers import watcher_options, watching

pytestmark = pytest.mark.kube

NAMESPACE = "admission"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


class Cluster:
    """An API server that asks ``compiler`` before it stores an Ingress."""

    def __init__(self, kube: KubeApi, compiler: RunningCompiler) -> None:
        self.kube = kube
        self.compiler = compiler

    async def refused(self, manifest: Manifest, method: str = "POST") -> str:
        """What the API server says; empty: it stored the Ingress, and that is compiled."""
        path = collection(manifest) if method == "POST" else place(manifest)
        status, answer = await self.kube.request(method, path, manifest)
        if status in (200, 201):
            name = f"{NAMESPACE}/{manifest['metadata']['name']}"
            await eventually(lambda: name in self.compiler.state.compiler.served)
            return ""
        assert status == 400, answer
        return str(answer["message"])

    async def register(self, port: int, authority: bytes) -> None:
        """Tell the API server, and wait until it asks."""
        hook = {
            "name": "validate.nginx.ingress.kubernetes.io",
            "matchPolicy": "Equivalent",
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
            "rules": [
                {
                    "apiGroups": ["networking.k8s.io"],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["ingresses"],
                }
            ],
            "clientConfig": {
                "url": f"https://localhost:{port}/networking/v1/ingresses",
                "caBundle": base64.b64encode(authority).decode(),
            },
        }
        status, answer = await self.kube.request(
            "POST", CONFIGURATIONS, {"metadata": {"name": "limen"}, "webhooks": [hook]}
        )
        assert status == 201, answer
        probe = ingress("probe", NAMESPACE, "probe.example", annotations={f"{PREFIX}server-snippet": "x"})

        async def asks() -> bool:
            return (await self.kube.request("POST", collection(probe) + "?dryRun=All", probe))[0] == 400

        await eventually(asks, 20, "the API server asks the webhook", every=0.1)


@pytest.fixture
async def cluster(kube: KubeApi, nats: NatsServer, tmp_path: Path) -> AsyncIterator[Cluster]:
    certificate, key = make_pair("localhost")
    (tmp_path / "tls.crt").write_bytes(pem(certificate))
    (tmp_path / "tls.key").write_bytes(pem_key(key))
    webhook = WebhookOptions(
        address=HostPort("", free_port()), certificate=tmp_path / "tls.crt", key=tmp_path / "tls.key"
    )
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": NAMESPACE}}
    await kube.create(config | {"data": {"annotation-value-word-blocklist": "evil"}})
    if (await kube.request("GET", "/apis/networking.k8s.io/v1/ingressclasses/nginx"))[0] == 404:
        await kube.create(ingress_class())
    configmap = f"{NAMESPACE}/settings"
    watcher = watcher_options(
        tmp_path,
        nats.url,
        kube=True,
        kubeconfig=str(kube.kubeconfig()),
        configmap=configmap,
        update_status=False,
        watch_namespace=NAMESPACE,
        election_id="admission",
    )
    async with plant(nats.url, tmp_path) as made, watching(watcher):
        options = CompileOptions(configmap=configmap, watch_namespace=NAMESPACE)
        compiler = made.compiler(webhook=webhook, compile=options)
        await eventually(lambda: compiler.state.ready, 20)
        there = Cluster(kube, compiler)
        try:
            await there.register(webhook.address.port, pem(certificate))
            yield there
        finally:
            await kube.request("DELETE", f"{CONFIGURATIONS}/limen")


async def test_what_people_see_when_they_apply(cluster: Cluster) -> None:
    def made(name: str, host: str, **annotations: str) -> Any:
        words = {PREFIX + key.replace("_", "-"): value for key, value in annotations.items()}
        return ingress(name, NAMESPACE, host, annotations=words)

    denied = 'admission webhook "validate.nginx.ingress.kubernetes.io" denied the request: '
    assert await cluster.refused(made("first", "shop.example")) == ""
    taken = 'host "shop.example" and path "/" is already defined in ingress admission/first'
    assert await cluster.refused(made("second", "shop.example")) == denied + taken
    assert await cluster.refused(made("canary", "shop.example", canary="true")) == ""
    word = f"{PREFIX}rewrite-target annotation contains invalid word evil"
    assert await cluster.refused(made("third", "third.example", rewrite_target="/evil")) == denied + word
    snippet = "annotation cannot be used. Snippet directives are disabled by the Ingress administrator"
    changed = made("first", "shop.example", configuration_snippet="deny all;")
    assert await cluster.refused(changed, "PUT") == f"{denied}{PREFIX}configuration-snippet {snippet}"
    path = made("fourth", "fourth.example")
    path["spec"]["rules"][0]["http"]["paths"][0]["path"] = "/(a|b)"
    words = "ingress contains invalid paths: path /(a|b) cannot be used with pathType Prefix"
    assert await cluster.refused(path) == denied + words
    foreign = made("fifth", "fifth.example", configuration_snippet="x") | {}
    foreign["spec"]["ingressClassName"] = "another"
    assert (await cluster.kube.request("POST", collection(foreign), foreign))[0] == 201
    await cluster.kube.delete(made("first", "shop.example"))
    await eventually(lambda: f"{NAMESPACE}/first" not in cluster.compiler.state.compiler.served)
    assert await cluster.refused(made("second", "shop.example")) == ""
