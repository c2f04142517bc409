"""From a real API server onto a real bus: what comes, changes and goes."""

from __future__ import annotations

from typing import Any

import pytest

from proto.objects import ObjectKey, Source
from proto.sealing import secret_place
from tests.support.kube import KubeApi
from tests.support.manifests import endpoints, ingress, ingress_class, secret, service
from tests.support.nats import NatsServer
from tests.support.pairs import tls_data
from tests.support.waiting import eventually
from tests.support.watchers import bus_view, watcher_options, watching

pytestmark = pytest.mark.kube


async def test_objects_come_change_and_go(kube: KubeApi, nats: NatsServer, tmp_path) -> None:
    await kube.apply(ingress_class())
    pair = tls_data("a.example")
    early = ingress("early", "crud", "early.example")
    await kube.create(early)
    options = watcher_options(
        tmp_path, nats.url, kube=True, kubeconfig=str(kube.kubeconfig()), configmap="crud/limen", election_id="crud"
    )
    async with bus_view(nats.url, tmp_path) as view, watching(options):
        assert (await view.get("ingress", "crud/early")).rules[0].host == "early.example"
        source = await view.get("source", "kubernetes")
        assert isinstance(source, Source)
        assert source.synced

        await kube.create(service("web", "crud"))
        await kube.create(endpoints("web", "crud", "10.1.0.1", "10.1.0.2"))
        await kube.create(secret("cert", "crud", pair))
        await kube.create(secret("unused", "crud", pair))
        await kube.create(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "limen", "namespace": "crud"},
                "data": {"ssl-redirect": "false"},
            }
        )
        await kube.create(ingress("web", "crud", "a.example", "cert"))
        found = await view.has("ingress", "crud/web")
        assert found.tls[0].secret == "cert"
        assert found.uid
        assert found.created > 1_600_000_000
        assert (await view.has("service", "crud/web")).ports[0].target_port == "8080"
        slice_ = await view.has("endpointslice", "crud/web-1")
        assert [endpoint.addresses for endpoint in slice_.endpoints] == [("10.1.0.1",), ("10.1.0.2",)]
        sealed = await view.has("secret", "crud/cert")
        key = view.sealer.open(secret_place("crud", "cert", "tls.key"), sealed.tls.sealed_key)
        assert key == pair["tls.key"]
        assert (await view.has("configmap", "crud/limen")).data == {"ssl-redirect": "false"}
        assert (await view.has("ingressclass", "nginx")).controller == "k8s.io/ingress-nginx"
        assert await view.get("secret", "crud/unused") is None
        assert not any(key.kind == "configmap" and key.name == "kube-root-ca.crt" for key in await view.objects())

        await kube.patch(endpoints("web", "crud"), {"endpoints": [{"addresses": ["10.1.0.3"]}]})

        async def changed() -> bool:
            return (await view.get("endpointslice", "crud/web-1")).endpoints[0].addresses == ("10.1.0.3",)

        await eventually(changed)
        await kube.delete(ingress("web", "crud", "a.example"))
        await view.lacks("ingress", "crud/web")
        await view.lacks("secret", "crud/cert")
        gone = [envelope for envelope in view.heard if not envelope.object]
        assert ObjectKey("ingress", "crud", "web") in [envelope.key for envelope in gone]
        assert not any(envelope.relisted for envelope in gone)
        sequences = [envelope.sequence for envelope in view.heard]
        assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))


async def test_a_restart_against_an_unchanged_cluster_publishes_nothing(
    kube: KubeApi, nats: NatsServer, tmp_path
) -> None:
    await kube.apply(ingress_class())
    await kube.create(secret("cert", "restart", tls_data("a.example")))
    await kube.create(ingress("web", "restart", "a.example", "cert"))
    gone_meanwhile = ingress("gone", "restart", "b.example")
    await kube.create(gone_meanwhile)
    options = watcher_options(tmp_path, nats.url, kube=True, kubeconfig=str(kube.kubeconfig()), election_id="restart")
    async with bus_view(nats.url, tmp_path) as view:
        async with watching(options):
            await view.has("secret", "restart/cert")
        last, heard = await view.last(), len(view.heard)
        async with watching(options) as watcher:
            assert watcher.work is not None
            assert watcher.work.hub.listed_all
        assert await view.last() == last
        assert len(view.heard) == heard

        await kube.delete(gone_meanwhile)
        async with watching(options):
            await view.lacks("ingress", "restart/gone")
        assert [(envelope.key.name, envelope.relisted) for envelope in view.heard[heard:]] == [("gone", True)]


async def test_only_selected_namespaces_count(kube: KubeApi, nats: NatsServer, tmp_path) -> None:
    for name in ("sel-in", "sel-out"):
        await kube.create(ingress("web", name, f"{name}.example"))
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sel-in"}}
    await kube.patch(namespace, {"metadata": {"labels": {"limen": "yes"}}})
    options = watcher_options(
        tmp_path,
        nats.url,
        kube=True,
        kubeconfig=str(kube.kubeconfig()),
        watch_namespace_selector="limen=yes",
        election_id="selected",
    )
    async with bus_view(nats.url, tmp_path) as view, watching(options):
        await view.has("ingress", "sel-in/web")
        assert await view.get("ingress", "sel-out/web") is None
        other = {**namespace, "metadata": {"name": "sel-out"}}
        await kube.patch(other, {"metadata": {"labels": {"limen": "yes"}}})
        await view.has("ingress", "sel-out/web")
        await kube.patch(namespace, {"metadata": {"labels": {"limen": "no"}}})
        await view.lacks("ingress", "sel-in/web")
        assert await view.get("ingress", "sel-out/web") is not None


async def test_addresses_that_no_pod_has_get_no_traffic(kube: KubeApi, nats: NatsServer, tmp_path) -> None:
    await kube.create(endpoints("web", "addresses", "10.1.0.1", "100.100.100.200"))
    options = watcher_options(tmp_path, nats.url, kube=True, kubeconfig=str(kube.kubeconfig()), election_id="addresses")
    async with bus_view(nats.url, tmp_path) as view, watching(options) as watcher:
        slice_ = await view.has("endpointslice", "addresses/web-1")
        assert [endpoint.addresses for endpoint in slice_.endpoints] == [("10.1.0.1",)]
        (found,) = [each for each in watcher.status().diagnostics if each.code == "endpoint-refused"]
        assert (found.object.namespace, found.value) == ("addresses", "100.100.100.200")


async def test_an_object_beyond_all_measure_harms_no_other(kube: KubeApi, nats: NatsServer, tmp_path) -> None:
    huge = ingress("huge", "huge", "huge.example")
    path = huge["spec"]["rules"][0]["http"]["paths"][0]
    huge["spec"]["rules"][0]["http"]["paths"] = [{**path, "path": f"/{number}/" + "x" * 400} for number in range(2300)]
    options = watcher_options(tmp_path, nats.url, kube=True, kubeconfig=str(kube.kubeconfig()), election_id="huge")
    async with bus_view(nats.url, tmp_path) as view, watching(options) as watcher:
        await kube.create(huge)
        await kube.create(ingress("small", "huge", "small.example"))
        await view.has("ingress", "huge/small")
        assert await view.get("ingress", "huge/huge") is None
        assert [each.object.name for each in watcher.status().diagnostics if each.code == "object-too-large"] == [
            "huge"
        ]

        async def told() -> list[dict[str, Any]]:
            events = await kube.get("/api/v1/namespaces/huge/events")
            return [event for event in events["items"] if event["reason"] == "ObjectTooLarge"]

        (event,) = await eventually(told)
        assert event["involvedObject"]["name"] == "huge"
    await kube.delete(huge)
