"""What is written back, and how often."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from proto.diagnostics import Diagnostic
from proto.objects import Ingress, ObjectKey, Service
from services.contract.ingress_manifest import LoadBalancerPoint
from services.watcher.observed import Change
from services.watcher.sources.kubernetes.client import ApiError
from services.watcher.status import events as events_module
from services.watcher.status import ingresses as ingresses_module
from services.watcher.status.events import MAX_WAITING, EventWriter, message_of, reason_of
from services.watcher.status.ingresses import StatusWriter
from tests.support.waiting import eventually

OURS = (LoadBalancerPoint(ip="10.0.0.1"),)
WEB = ObjectKey("ingress", "n", "web")
EDGE = ObjectKey("service", "n", "edge")


class Api:
    """Notes what is written; ``failures`` are raised first."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, Any]] = []
        self.failures: list[ApiError] = []

    async def send(self, method: str, path: str, body: bytes, content_type: str = "application/json") -> bytes:
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append((method, path, json.loads(body)))
        return b"{}"


@contextlib.asynccontextmanager
async def running(writer: StatusWriter | EventWriter) -> AsyncIterator[None]:
    task = asyncio.create_task(writer.run())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def seen(name: str, *points: LoadBalancerPoint) -> Change:
    return Change(ObjectKey("ingress", "n", name), Ingress("n", name), 0.0, uid=f"u-{name}", published=points)


def statuses(api: Api) -> list[tuple[str, Any]]:
    return [(path.split("/")[-2], body["status"]["loadBalancer"]["ingress"]) for _, path, body in api.sent]


async def test_only_what_differs_is_written_and_once() -> None:
    api = Api()
    writer = StatusWriter(api, publish_service=None, addresses="10.0.0.1")
    writer.watched(seen("web"))
    writer.watched(seen("right", *OURS))
    writer.watched(seen("foreign"))
    async with running(writer):
        writer.served(("n/web", "n/right", "n/unknown"), ())
        await eventually(lambda: api.sent)
        writer.served(("n/web",), ())
        writer.recheck()
        writer.watched(seen("later"))
        writer.served(("n/later",), ())
        await eventually(lambda: len(api.sent) == 2)
    assert statuses(api) == [("web", [{"ip": "10.0.0.1"}]), ("later", [{"ip": "10.0.0.1"}])]


async def test_nothing_is_written_before_the_service_is_known() -> None:
    api = Api()
    writer = StatusWriter(api, publish_service=EDGE, addresses="")
    writer.watched(seen("web", LoadBalancerPoint(ip="9.9.9.9")))
    async with running(writer):
        writer.served(("n/web",), ())
        assert writer.wanted is None
        writer.watched(Change(EDGE, Service("n", "edge"), 0.0, published=OURS))
        await eventually(lambda: api.sent)
        writer.watched(Change(EDGE, None, 0.0))  # a deleted Service says nothing about where traffic should go
        writer.recheck()
        assert writer.wanted is None
    assert len(api.sent) == 1


async def test_an_ingress_that_is_no_longer_ours_loses_only_our_addresses() -> None:
    api = Api()
    writer = StatusWriter(api, publish_service=None, addresses="10.0.0.1")
    writer.watched(seen("ours", *OURS))
    writer.watched(seen("theirs", LoadBalancerPoint(ip="9.9.9.9")))
    async with running(writer):
        writer.served(("n/ours",), ())
        writer.served((), ("n/ours", "n/theirs", "n/deleted"))
        await eventually(lambda: api.sent)
    assert statuses(api) == [("ours", None)]


async def test_a_write_that_fails_is_tried_again_and_one_without_object_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ingresses_module, "RETRY", 0.01)
    api = Api()
    api.failures = [ApiError(409, "conflict"), ApiError(0, "connection refused")]
    writer = StatusWriter(api, publish_service=None, addresses="10.0.0.1")
    writer.watched(seen("web"))
    async with running(writer):
        writer.served(("n/web",), ())
        await eventually(lambda: api.sent)
        assert writer.failures == 2
        api.failures = [ApiError(404, "gone")]
        writer.watched(seen("gone"))
        writer.served(("n/gone",), ())
        await eventually(lambda: not api.failures)
    assert len(api.sent) == 1


def found(code: str = "annotation-invalid", value: str = "x", severity: Any = "error") -> Diagnostic:
    return Diagnostic(WEB, code, severity, "metadata.annotations[a]", value, "is wrong", "correct it")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "INTERVAL", 0.0)


async def test_a_finding_is_said_once_and_then_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()
    writer = EventWriter(api, "pod")
    writer.exists(WEB, "u1")
    async with running(writer):
        writer.say((found(), found(), found(severity="notice", code="other")))
        await eventually(lambda: api.sent)
        writer.say((found(),))  # within the minute: not even counted
        writer.say((found(value="y"),))
        await eventually(lambda: len(api.sent) == 2)
        monkeypatch.setattr(events_module, "COUNT_INTERVAL", 0.0)
        writer.say((found(),))
        await eventually(lambda: len(api.sent) == 3)
    methods = [method for method, _, _ in api.sent]
    assert methods == ["POST", "POST", "PATCH"]
    first = api.sent[0][2]
    assert (first["reason"], first["type"], first["involvedObject"]["uid"]) == ("AnnotationInvalid", "Warning", "u1")
    assert api.sent[2][1].endswith(first["metadata"]["name"])
    assert api.sent[2][2]["count"] == 2


async def test_the_same_finding_has_the_same_name_whoever_says_it() -> None:
    names = []
    for _ in range(2):
        api = Api()
        writer = EventWriter(api, "pod")
        writer.exists(WEB, "u1")
        async with running(writer):
            writer.say((found(),))
            await eventually(lambda api=api: api.sent)
        names.append(api.sent[0][2]["metadata"]["name"])
    assert names[0] == names[1]


async def test_what_another_watcher_said_or_what_expired_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "COUNT_INTERVAL", 0.0)
    api = Api()
    writer = EventWriter(api, "pod")
    writer.exists(WEB, "u1")
    async with running(writer):
        api.failures = [ApiError(409, "exists")]
        writer.say((found(),))
        await eventually(lambda: writer.written == 1)
        api.failures = [ApiError(404, "expired")]
        writer.say((found(),))
        await eventually(lambda: api.sent)
    assert api.sent[0][0] == "POST"


async def test_an_object_that_is_not_there_gets_no_event_and_refusals_are_counted() -> None:
    api = Api()
    writer = EventWriter(api, "pod")
    async with running(writer):
        writer.say((found(value="before it is known"),))
        await eventually(lambda: not writer._waiting)
        writer.exists(WEB, "u1")
        api.failures = [ApiError(403, "forbidden")]
        writer.say((found(),))
        await eventually(lambda: writer.dropped == 1)
        writer.exists(WEB, "")
        writer.say((found(value="after it is gone"),))
        await eventually(lambda: not writer._waiting)
    assert api.sent == []


def test_the_queue_is_bounded() -> None:
    writer = EventWriter(Api(), "pod")
    writer.say(tuple(found(value=str(number)) for number in range(MAX_WAITING + 50)))
    assert writer.dropped == 50


def test_reason_and_message() -> None:
    assert reason_of("service-port-not-found") == "ServicePortNotFound"
    assert message_of(found()) == "metadata.annotations[a]: is wrong (correct it)"
    long = Diagnostic(WEB, "c", "error", "f", "", "m" * 5000)
    assert len(message_of(long)) == 1024
