"""A real API server that is cut off, forgets its history, dies, or refuses."""

from __future__ import annotations

from typing import Any

import pytest

from services.watcher.sources.kubernetes import backoff, reflector
from services.watcher.sources.kubernetes.backoff import Backoff
from tests.support.kube import KubeApi
from tests.support.manifests import endpoints, ingress, ingress_class, secret, service
from tests.support.nats import NatsServer
from tests.support.pairs import tls_data
from tests.support.relay import relay
from tests.support.waiting import eventually
from tests.support.watchers import bus_view, watcher_options, watching

pytestmark = pytest.mark.kube


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST", 0.05)
    monkeypatch.setattr(Backoff.__init__, "__defaults__", (0.05, 0.5))


def role(name: str, *rules: tuple[str, str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [
            {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}
            for group, resources, verbs in rules
        ],
    }


def binding(name: str, user: str) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
    }


READ = "get list watch"
WITHOUT_SECRETS = (
    ("", "services configmaps", READ),
    ("networking.k8s.io", "ingresses ingressclasses", READ),
    ("discovery.k8s.io", "endpointslices", READ),
    ("coordination.k8s.io", "leases", "get create update"),
)
SECRETS = ("", "secrets", READ)


async def test_watches_that_are_cut_resume_without_a_list(kube: KubeApi, nats: NatsServer, tmp_path) -> None:
    async with relay(kube.port) as cuttable:
        url = f"https://127.0.0.1:{cuttable.port}"
        config = kube.kubeconfig(path=tmp_path / "kubeconfig", url=url)
        options = watcher_options(tmp_path, nats.url, kube=True, kubeconfig=str(config), election_id="cut")
        async with bus_view(nats.url, tmp_path) as view, watching(options) as watcher:
            assert watcher.work is not None
            for number in range(10):
                cuttable.cut()
                await kube.create(ingress(f"i{number}", "cut", f"h{number}.example"))
                await view.has("ingress", f"cut/i{number}")
            assert set(watcher.work.hub.lists().values()) == {1}
            names = [envelope.key.name for envelope in view.heard if envelope.key.namespace == "cut"]
            assert names == [f"i{number}" for number in range(10)]


async def test_history_that_is_gone_means_one_list_and_only_differences(
    kube: KubeApi, nats: NatsServer, tmp_path
) -> None:
    for number in range(30):
        await kube.create(ingress(f"i{number:02}", "gone", f"h{number}.example"))
    async with relay(kube.port) as cuttable:
        url = f"https://127.0.0.1:{cuttable.port}"
        config = kube.kubeconfig(path=tmp_path / "kubeconfig", url=url)
        options = watcher_options(tmp_path, nats.url, kube=True, kubeconfig=str(config), election_id="gone")
        async with bus_view(nats.url, tmp_path) as view, watching(options) as watcher:
            assert watcher.work is not None
            hub = watcher.work.hub
            heard = len(view.heard)
            cuttable.refusing = True
            cuttable.cut()
            await kube.delete(ingress("i00", "gone", ""))
            await kube.patch(ingress("i01", "gone", ""), {"metadata": {"annotations": {"a": "b"}}})
            await kube.create(ingress("new", "gone", "new.example"))
            # A new API server knows nothing from before its start, and etcd nothing from before the compaction.
            kube.kill_apiserver()
            await kube.start_apiserver()
            await kube.compact()
            kube.kill_apiserver()
            await kube.start_apiserver()
            cuttable.refusing = False
            await view.has("ingress", "gone/new")
            await view.lacks("ingress", "gone/i00")
            changed = [e for e in view.heard[heard:] if e.key.kind == "ingress"]
            assert sorted((e.key.name, bool(e.object), e.relisted) for e in changed) == [
                ("i00", False, True),
                ("i01", True, False),
                ("new", True, False),
            ]
            assert hub.lists()["ingress"] == 2
            assert all(count <= 2 for count in hub.lists().values())


async def test_an_api_server_that_dies_and_comes_back(kube: KubeApi, nats: NatsServer, tmp_path) -> None:
    await kube.create(ingress("web", "outage", "a.example"))
    config = kube.kubeconfig()
    options = watcher_options(tmp_path, nats.url, kube=True, kubeconfig=str(config), election_id="outage")
    async with bus_view(nats.url, tmp_path) as view, watching(options) as watcher:
        kube.kill_apiserver()
        await eventually(lambda: "ingress" in watcher.status().last_error, 20)
        assert await view.get("ingress", "outage/web") is not None
        assert (await view.get("source", "kubernetes")).synced
        assert watcher.ready
        await kube.start_apiserver()
        await kube.create(ingress("later", "outage", "b.example"))
        await view.has("ingress", "outage/later", timeout=20)
        await eventually(lambda: watcher.status().last_error == "", 20)
        assert not any(not envelope.object for envelope in view.heard)


async def test_a_connection_that_goes_silent_is_replaced(
    kube: KubeApi, nats: NatsServer, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector, "WATCH_SECONDS", (1, 1))
    monkeypatch.setattr(reflector, "MARGIN", 1.0)
    async with relay(kube.port) as silent:
        url = f"https://127.0.0.1:{silent.port}"
        config = kube.kubeconfig(path=tmp_path / "kubeconfig", url=url)
        options = watcher_options(tmp_path, nats.url, kube=True, kubeconfig=str(config), election_id="silent")
        async with bus_view(nats.url, tmp_path) as view, watching(options) as watcher:
            assert watcher.work is not None
            silent.freeze()
            await kube.create(ingress("web", "silent", "a.example"))
            connections = silent.connections
            await eventually(lambda: silent.connections > connections, 20, "new connections")
            silent.thaw()
            await view.has("ingress", "silent/web", timeout=20)
            assert watcher.work.hub.lists()["ingress"] == 1


async def test_a_quiet_namespace_is_kept_current_by_bookmarks(
    kube: KubeApi, nats: NatsServer, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector, "WATCH_SECONDS", (3, 3))  # the API server sends one 2 s before the end
    monkeypatch.setattr(reflector, "SHORT_WATCH", 0.0)
    asked: list[dict[str, str]] = []
    options = watcher_options(
        tmp_path, nats.url, kube=True, kubeconfig=str(kube.kubeconfig()), watch_namespace="quiet", election_id="quiet"
    )
    async with watching(options) as watcher:
        assert watcher.work is not None
        quiet = watcher.work.source._reflectors["ingress"][0]  # type: ignore[attr-defined]
        listed, api = int(quiet._version), quiet._api
        original = api.lines

        def noting(path: str, params: dict[str, str]) -> Any:
            if path.endswith("ingresses"):
                asked.append(params)
            return original(path, params)

        monkeypatch.setattr(api, "lines", noting)
        for number in range(20):
            await kube.create(ingress(f"i{number}", "busy", f"h{number}.example"))
        await eventually(
            lambda: any(int(params["resourceVersion"]) > listed for params in asked), 30, "a watch from a later version"
        )
        assert watcher.work.hub.lists()["ingress"] == 1


async def test_a_kind_that_is_forbidden_stops_no_other(kube: KubeApi, nats: NatsServer, tmp_path) -> None:
    await kube.apply(role("limited", *WITHOUT_SECRETS))
    await kube.apply(binding("limited", "limited"))
    await kube.apply(ingress_class())
    await kube.create(ingress("web", "forbidden", "a.example", "cert"))
    await kube.create(secret("cert", "forbidden", tls_data("a.example")))
    async with relay(kube.port) as cuttable:
        url = f"https://127.0.0.1:{cuttable.port}"
        config = kube.kubeconfig("limited", tmp_path / "kubeconfig", url)
        options = watcher_options(
            tmp_path, nats.url, kube=True, kubeconfig=str(config), update_status=False, election_id="forbidden"
        )
        async with bus_view(nats.url, tmp_path) as view, watching(options, ready=False) as watcher:
            await view.has("ingress", "forbidden/web", timeout=20)

            async def reported() -> bool:
                source = await view.get("source", "kubernetes")
                states = {state.kind: state for state in source.kinds} if source else {}
                secrets = states.get("secret")
                return (
                    secrets is not None and "403" in secrets.error and not secrets.synced and states["ingress"].synced
                )

            await eventually(reported)
            assert not watcher.ready
            assert view.beacons == []  # nothing vouches for Secrets that were never listed

            await kube.apply(role("limited", *WITHOUT_SECRETS, SECRETS))
            await view.has("secret", "forbidden/cert", timeout=20)
            await eventually(lambda: watcher.ready)

            await kube.apply(role("limited", *WITHOUT_SECRETS))
            cuttable.cut()
            await eventually(lambda: "secret: " in watcher.status().last_error, 20)
            await kube.create(service("later", "forbidden"))
            await view.has("service", "forbidden/later")
            assert await view.get("secret", "forbidden/cert") is not None
            assert (await view.get("source", "kubernetes")).synced


async def test_rights_in_one_namespace_are_enough_to_watch_it(kube: KubeApi, nats: NatsServer, tmp_path) -> None:
    namespaced = role("inside", *(rule for rule in (*WITHOUT_SECRETS, SECRETS)))
    namespaced["kind"] = "Role"
    namespaced["metadata"]["namespace"] = "inside"
    await kube.create(ingress("web", "inside", "a.example"))
    await kube.create(endpoints("web", "inside", "10.1.0.1"))
    await kube.create(ingress("web", "outside", "b.example"))
    await kube.apply(namespaced)
    bound = binding("inside", "namespaced")
    bound["kind"] = "RoleBinding"
    bound["metadata"]["namespace"] = "inside"
    bound["roleRef"]["kind"] = "Role"
    await kube.apply(bound)
    await kube.apply(role("classes", ("networking.k8s.io", "ingressclasses", READ)))
    await kube.apply(binding("classes", "namespaced"))
    options = watcher_options(
        tmp_path,
        nats.url,
        kube=True,
        kubeconfig=str(kube.kubeconfig("namespaced", tmp_path / "kubeconfig")),
        watch_namespace="inside",
        update_status=False,
        election_namespace="inside",
        election_id="inside",
    )
    async with bus_view(nats.url, tmp_path) as view, watching(options) as watcher:
        assert {key.namespace for key in await view.objects() if key.namespace} == {"inside"}
        assert watcher.status().last_error == ""


async def test_no_rights_at_all_is_said(kube: KubeApi, nats: NatsServer, tmp_path) -> None:
    config = kube.kubeconfig("nobody", tmp_path / "kubeconfig")
    options = watcher_options(tmp_path, nats.url, kube=True, kubeconfig=str(config), election_id="nobody")
    async with watching(options, ready=False) as watcher:
        await eventually(lambda: "403" in watcher.status().last_error)
        assert watcher.work is None
