"""Two watchers of one cluster: one is active."""

from __future__ import annotations

import time

import pytest

from services.watcher import lease
from tests.support.kube import KubeApi
from tests.support.manifests import ingress
from tests.support.nats import NatsServer
from tests.support.processes import limen, process
from tests.support.waiting import eventually
from tests.support.watchers import bus_view, watcher_options, watching

pytestmark = pytest.mark.kube


async def test_a_holder_that_stops_hands_over_at_once(kube: KubeApi, nats: NatsServer, tmp_path) -> None:
    options = watcher_options(tmp_path, nats.url, kube=True, kubeconfig=str(kube.kubeconfig()), election_id="handover")
    async with bus_view(nats.url, tmp_path) as view:
        async with watching(options) as first:
            second = watching(options, ready=False)
            waiting = await second.__aenter__()
            try:
                await eventually(lambda: waiting.standby and "held by" in waiting.status().last_error)
                assert waiting.ready
                assert not waiting.status().active
                assert first.work is not None
                session = first.work.outbox.session
                await kube.create(ingress("one", "handover", "a.example"))
                await view.has("ingress", "handover/one")
                assert {envelope.session for envelope in view.heard} == {session}
            except BaseException:
                await second.__aexit__(None, None, None)
                raise
        try:
            began = time.monotonic()
            await eventually(lambda: waiting.work is not None and waiting.ready)
            assert time.monotonic() - began < 12, "before the Lease of the one who left would have run out"
            heard = len(view.heard)
            await kube.create(ingress("two", "handover", "b.example"))
            await view.has("ingress", "handover/two")
            assert [envelope.key.name for envelope in view.heard[heard:]] == ["two"]
        finally:
            await second.__aexit__(None, None, None)


async def test_a_holder_that_is_killed_is_replaced_when_its_lease_has_run_out(
    kube: KubeApi, nats: NatsServer, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = watcher_options(tmp_path, nats.url, kube=True, kubeconfig=str(kube.kubeconfig()), election_id="killed")
    command = limen(
        "watcher",
        "--nats",
        nats.url,
        "--state",
        tmp_path / "state",
        "--kube",
        "--kubeconfig",
        kube.kubeconfig(),
        "--sealing-key",
        options.sealing_key,
        "--objects-key",
        options.objects_key,
        "--election-id",
        "killed",
    )
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/killed"

    async def holder() -> str:
        return str((await kube.get(path))["spec"].get("holderIdentity", ""))

    with process(*command, log=tmp_path / "watcher.log") as child:
        await eventually(holder, 20, "the process holds the Lease")
        child.kill()
    # A short lease, as if most of it had passed: what is tested is who takes it over, not the waiting.
    await kube.request(
        "PATCH", path, {"spec": {"leaseDurationSeconds": 2}}, content_type="application/merge-patch+json"
    )
    began = time.monotonic()
    async with watching(options) as watcher:
        assert time.monotonic() - began >= 1.9
        assert (await kube.get(path))["spec"]["leaseTransitions"] == 1
        assert watcher.work is not None


async def test_who_loses_the_lease_stops_publishing(
    kube: KubeApi, nats: NatsServer, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_EVERY", 0.1)
    options = watcher_options(tmp_path, nats.url, kube=True, kubeconfig=str(kube.kubeconfig()), election_id="stolen")
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/stolen"
    async with bus_view(nats.url, tmp_path) as view, watching(options) as watcher:
        # renewals go on meanwhile, so a merge may be overtaken: insist
        async def stolen() -> bool:
            await kube.request(
                "PATCH",
                path,
                {"spec": {"holderIdentity": "another", "leaseDurationSeconds": 3600}},
                content_type="application/merge-patch+json",
            )
            return watcher.work is None

        await eventually(stolen)
        last = await view.last()
        await kube.create(ingress("web", "stolen", "a.example"))
        assert watcher.standby
        assert watcher.work is None  # nothing is left that could publish
        assert await view.last() == last
