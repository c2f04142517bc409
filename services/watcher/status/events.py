"""Kubernetes Events for findings: one per object, code, field and value; said again only as a count.

Owns what has been said. Bounded: a thousand bad Ingresses must not become a storm of writes, nor a queue without end.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Struct

from proto.diagnostics import Diagnostic
from proto.objects import Kind, ObjectKey
from services.watcher.sources.kubernetes.client import MERGE_PATCH, ApiError
from services.watcher.status.ingresses import Api

_log = logging.getLogger(__name__)

MAX_WAITING: Final = 2000
MAX_REMEMBERED: Final = 20_000
INTERVAL: Final = 0.05
"""At most 20 Events a second."""
COUNT_INTERVAL: Final = 60.0
"""A finding that is made again counts up its Event at most so often."""
MAX_MESSAGE: Final = 1024

_KINDS: Final[dict[Kind, tuple[str, str]]] = {
    "ingress": ("networking.k8s.io/v1", "Ingress"),
    "ingressclass": ("networking.k8s.io/v1", "IngressClass"),
    "service": ("v1", "Service"),
    "endpointslice": ("discovery.k8s.io/v1", "EndpointSlice"),
    "secret": ("v1", "Secret"),
    "configmap": ("v1", "ConfigMap"),
}

Saying = tuple[ObjectKey, str, str, str]


class _Said(Struct):
    name: str
    count: int
    at: float
    first: bool


class EventWriter:
    """``reporter``: the instance that reports, e.g. the pod's name."""

    def __init__(self, api: Api, reporter: str) -> None:
        self._api = api
        self._reporter = reporter
        self._uids: dict[ObjectKey, str] = {}
        self._said: OrderedDict[Saying, _Said] = OrderedDict()
        self._waiting: OrderedDict[Saying, Diagnostic] = OrderedDict()
        self._wake = asyncio.Event()
        self.written = 0
        self.dropped = 0

    def exists(self, key: ObjectKey, uid: str) -> None:
        """The source saw an object; ``uid`` empty: it is gone."""
        if uid:
            self._uids[key] = uid
            return
        self._uids.pop(key, None)

    def say(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        """Write Events for errors and warnings among ``diagnostics`` (notices are for ``limen status``)."""
        now = time.monotonic()
        for found in diagnostics:
            if found.severity == "notice" or found.object.kind not in _KINDS:
                continue
            saying = (found.object, found.code, found.field, found.value)
            said = self._said.get(saying)
            if said is not None and now - said.at < COUNT_INTERVAL:
                continue
            if len(self._waiting) >= MAX_WAITING:
                self.dropped += 1
                continue
            self._waiting[saying] = found
            self._wake.set()

    async def run(self) -> None:
        """Write what waits, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                saying, found = self._waiting.popitem(last=False)
                if found.object in self._uids:
                    await self._write(saying, found)
                await asyncio.sleep(INTERVAL)

    async def _write(self, saying: Saying, found: Diagnostic) -> None:
        said = self._said.get(saying)
        try:
            if said is None:
                said = _Said(_name_of(saying, self._uids[found.object]), 1, time.monotonic(), first=True)
                await self._create(said, found)
            else:
                said.count += 1
                said.at = time.monotonic()
                await self._count(said, found)
        except ApiError as error:
            self.dropped += 1
            _log.warning("Event %s for %s: %s", found.code, found.object, error)
            return
        self.written += 1
        self._said[saying] = said
        if len(self._said) > MAX_REMEMBERED:
            self._said.popitem(last=False)

    async def _create(self, said: _Said, found: Diagnostic) -> None:
        now, key = _now(), found.object
        version, kind = _KINDS[key.kind]
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": said.name, "namespace": _namespace(key)},
            "involvedObject": {
                "apiVersion": version,
                "kind": kind,
                "namespace": key.namespace or None,
                "name": key.name,
                "uid": self._uids[key],
            },
            "type": "Warning",
            "reason": reason_of(found.code),
            "message": message_of(found),
            "source": {"component": "limen", "host": self._reporter},
            "reportingComponent": "limen.io/watcher",
            "reportingInstance": self._reporter,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self._api.send("POST", f"/api/v1/namespaces/{_namespace(key)}/events", msgspec.json.encode(event))
        except ApiError as error:
            if error.status != 409:  # a watcher before this one has said it
                raise

    async def _count(self, said: _Said, found: Diagnostic) -> None:
        path = f"/api/v1/namespaces/{_namespace(found.object)}/events/{said.name}"
        patch = msgspec.json.encode({"count": said.count, "lastTimestamp": _now()})
        try:
            await self._api.send("PATCH", path, patch, MERGE_PATCH)
        except ApiError as error:
            if error.status != 404:
                raise
            said.count = 1  # Events expire
            await self._create(said, found)


def reason_of(code: str) -> str:
    """The Event's reason for a diagnostic's code: ``service-not-found`` is ``ServiceNotFound``."""
    return "".join(word.capitalize() for word in code.split("-"))


def message_of(found: Diagnostic) -> str:
    """The Event's text, within what the API server takes."""
    text = f"{found.field}: {found.message}" if found.field else found.message
    text = f"{text} ({found.remedy})" if found.remedy else text
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"


def _name_of(saying: Saying, uid: str) -> str:
    """The same for the same finding, whoever writes it: so that a watcher that takes over does not say it again."""
    key, *rest = saying
    digest = blake2b("\0".join([uid, *rest]).encode(), digest_size=8).hexdigest()
    return f"{key.name[:200]}.{digest}"


def _namespace(key: ObjectKey) -> str:
    return key.namespace or "default"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
