"""Status and Events on real objects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from proto.diagnostics import Diagnostic
from proto.objects import ObjectKey
from proto.reports import Findings, to_json
from services.runtime.bus import Message
from services.watcher.status import events
from tests.support.kube import KubeApi
from tests.support.manifests import ingress, ingress_class, secret, service
from tests.support.nats import NatsServer
from tests.support.waiting import eventually
from tests.support.watchers import SUBJECTS, BusView, bus_view, watcher_options, watching

pytestmark = pytest.mark.kube


class Compiler:
    """Says what a compiler says of Ingresses."""

    def __init__(self, view: BusView, *served: str, diagnostics: tuple[Diagnostic, ...] = ()) -> None:
        self.bus = view.bus
        self.served = served
        self.diagnostics = diagnostics
        self.asked = 0

    async def start(self) -> None:
        await self.bus.subscribe(f"{SUBJECTS.findings}.ask", self._answer)

    async def _answer(self, message: Message) -> None:
        self.asked += 1
        await self.bus.publish(message.reply, to_json(Findings(complete=True, served=self.served[:1])))
        await self.bus.publish(message.reply, to_json(Findings(served=self.served[1:], diagnostics=self.diagnostics)))

    async def say(self, findings: Findings) -> None:
        await self.bus.publish(SUBJECTS.findings, to_json(findings))


def shown(kube: KubeApi, namespace: str, name: str) -> Callable[[], Awaitable[Any]]:
    async def status() -> Any:
        path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/{name}"
        return (await kube.get(path))["status"]["loadBalancer"].get("ingress", [])

    return status


def is_(status: Callable[[], Awaitable[Any]], expected: Any) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return bool(await status() == expected)

    return holds


async def test_fixed_addresses_are_written_to_what_is_served_and_nothing_else(
    kube: KubeApi, nats: NatsServer, tmp_path
) -> None:
    for name in ("web", "more", "foreign"):
        await kube.create(ingress(name, "status", f"{name}.example"))
    foreign = {"status": {"loadBalancer": {"ingress": [{"ip": "9.9.9.9"}]}}}
    await kube.patch(ingress("foreign", "status", ""), foreign, "status")
    options = watcher_options(
        tmp_path,
        nats.url,
        kube=True,
        kubeconfig=str(kube.kubeconfig()),
        publish_status_address="10.0.0.9,lb.example",
        election_id="status",
    )
    expected = [{"hostname": "lb.example"}, {"ip": "10.0.0.9"}]
    web, more, other = (shown(kube, "status", name) for name in ("web", "more", "foreign"))
    async with bus_view(nats.url, tmp_path) as view:
        compiler = Compiler(view, "status/web", "status/more")
        await compiler.start()
        async with watching(options):
            await eventually(is_(web, expected))
            await eventually(is_(more, expected))
            assert await other() == [{"ip": "9.9.9.9"}]
            # somebody else writes into it: put right
            await kube.patch(ingress("web", "status", ""), foreign, "status")
            await eventually(is_(web, expected))
            # no longer ours: our addresses are taken out, others' stay
            await compiler.say(Findings(gone=("status/web", "status/foreign")))
            await eventually(is_(web, []))
            assert await other() == [{"ip": "9.9.9.9"}]
        assert await more() == expected  # edges serve on without a watcher


async def test_the_published_service_decides_and_is_followed(kube: KubeApi, nats: NatsServer, tmp_path) -> None:
    await kube.create(ingress("web", "published", "a.example"))
    balanced = service("edge", "published")
    balanced["spec"]["type"] = "LoadBalancer"
    await kube.create(balanced)
    options = watcher_options(
        tmp_path,
        nats.url,
        kube=True,
        kubeconfig=str(kube.kubeconfig()),
        publish_service="published/edge",
        election_id="published",
    )
    web = shown(kube, "published", "web")
    async with bus_view(nats.url, tmp_path) as view:
        compiler = Compiler(view, "published/web")
        await compiler.start()
        async with watching(options):
            await kube.patch(balanced, {"status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}}, "status")
            await eventually(is_(web, [{"ip": "1.2.3.4"}]))
            await kube.patch(balanced, {"status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.5"}]}}}, "status")
            await eventually(is_(web, [{"ip": "1.2.3.5"}]))


def diagnostic(name: str, code: str, value: str, severity: Any = "warning") -> Diagnostic:
    key = ObjectKey("ingress", "events", name)
    return Diagnostic(key, code, severity, "metadata.annotations[x]", value, "it is wrong", "put it right")


async def events_of(kube: KubeApi, name: str) -> list[dict[str, Any]]:
    found = await kube.get("/api/v1/namespaces/events/events")
    return [event for event in found["items"] if event["involvedObject"]["name"] == name]


async def test_findings_become_events_once(
    kube: KubeApi, nats: NatsServer, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "COUNT_INTERVAL", 0.0)
    created = await kube.create(ingress("bad", "events", "a.example"))
    found = diagnostic("bad", "annotation-invalid", "maybe")
    options = watcher_options(tmp_path, nats.url, kube=True, kubeconfig=str(kube.kubeconfig()), election_id="events")
    async with bus_view(nats.url, tmp_path) as view:
        compiler = Compiler(view, "events/bad", diagnostics=(found, diagnostic("bad", "x", "y", "notice")))
        await compiler.start()
        async with watching(options):

            async def told() -> list[dict[str, Any]]:
                return await events_of(kube, "bad")

            (event,) = await eventually(told)
            assert (event["type"], event["reason"], event["count"]) == ("Warning", "AnnotationInvalid", 1)
            assert event["involvedObject"]["uid"] == created["metadata"]["uid"]
            assert event["involvedObject"]["kind"] == "Ingress"
            assert event["message"] == "metadata.annotations[x]: it is wrong (put it right)"

            await compiler.say(Findings(diagnostics=(found,)))

            async def counted() -> bool:
                return [event["count"] for event in await told()] == [2]

            await eventually(counted)
            await compiler.say(Findings(diagnostics=(diagnostic("bad", "annotation-invalid", "other"),)))

            async def both() -> bool:
                return sorted(event["count"] for event in await told()) == [1, 2]

            await eventually(both)
        asked = compiler.asked
        async with watching(options):  # the next watcher does not say it again
            await eventually(lambda: compiler.asked > asked)
            await compiler.say(Findings(diagnostics=(diagnostic("bad", "new", "z"),)))

            async def new() -> bool:
                return "New" in {event["reason"] for event in await told()}

            await eventually(new)
            assert len(await told()) == 3


async def test_a_bad_secret_is_told_on_the_secret(kube: KubeApi, nats: NatsServer, tmp_path) -> None:
    await kube.apply(ingress_class())
    await kube.create(secret("cert", "badsecret", {"tls.crt": b"nothing", "tls.key": b"hidden"}))
    await kube.create(ingress("web", "badsecret", "a.example", "cert"))
    options = watcher_options(tmp_path, nats.url, kube=True, kubeconfig=str(kube.kubeconfig()), election_id="badsecret")
    async with watching(options):

        async def told() -> list[dict[str, Any]]:
            return (await kube.get("/api/v1/namespaces/badsecret/events"))["items"]  # type: ignore[no-any-return]

        (event,) = await eventually(told)
        assert event["involvedObject"]["kind"] == "Secret"
        assert event["reason"] == "SecretInvalid"
        assert "hidden" not in event["message"]


async def test_without_update_status_nothing_is_written(kube: KubeApi, nats: NatsServer, tmp_path) -> None:
    await kube.create(ingress("web", "quietly", "a.example"))
    options = watcher_options(
        tmp_path,
        nats.url,
        kube=True,
        kubeconfig=str(kube.kubeconfig()),
        publish_status_address="10.0.0.9",
        update_status=False,
        election_id="quietly",
    )
    async with bus_view(nats.url, tmp_path) as view:
        compiler = Compiler(view, "quietly/web")
        await compiler.start()
        async with watching(options):
            await compiler.say(Findings(served=("quietly/web",)))
            await kube.create(ingress("later", "quietly", "b.example"))
            await view.has("ingress", "quietly/later")
            assert await shown(kube, "quietly", "web")() == []
        assert compiler.asked == 0
