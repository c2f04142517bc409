"""An edge that serves a victim's Ingress and a hostile one beside it, compiled from manifests as tenants write them.

Whatever the hostile one says, the victim's resources are those without it, byte for byte, and the victim is answered by
its own pod: every yard sees to that when it closes.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from proto.diagnostics import Diagnostic
from proto.objects import EndpointPort, EndpointSlice, Object, ObjectKey, SliceEndpoint, key_of
from proto.resources import ResourceRecord
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions
from services.contract.annotations.entry import PREFIX
from services.edge.core.generation import Generation
from services.edge.listener import Listeners, listen
from services.edge.serving import Serving
from services.watcher.observed import RawSecret
from services.watcher.secrets import seal_secret
from services.watcher.sources.folder.documents import read_json
from tests.cases.pods import Arrival, Pod
from tests.support.edge import SEALER, Reply, ask, bound, request
from tests.support.manifests import Manifest, ingress, ingress_class, service

EVIL, VICTIM = "evil.example", "bank.example"
CONFIGMAP = "limen/settings"
OPTIONS = CompileOptions(configmap=CONFIGMAP)
OPEN_DOORS = {"allow-snippet-annotations": "true", "annotations-risk-level": "Critical"}
"""What an administrator may say to let tenants write what ingress-nginx pastes."""


def hostile(path: str = "/", path_type: str = "Prefix", host: str = EVIL, name: str = "evil", **said: str) -> Manifest:
    """The Ingress of a hostile tenant, with its annotations (``_`` stands for ``-``)."""
    words = {PREFIX + key.replace("_", "-"): value for key, value in said.items()}
    made = ingress(name, "evil", host, annotations=words)
    made["spec"]["rules"][0]["http"]["paths"][0] |= {"path": path, "pathType": path_type}
    return made


def opaque(name: str, namespace: str, **data: str) -> Manifest:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": meta, "stringData": data}


def configmap(name: str, namespace: str, data: Mapping[str, str]) -> Manifest:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": dict(data)}


def objects_of(*manifests: Manifest) -> list[Object]:
    """The objects that the watcher would put on the bus. What it refuses to read is left out, as it would be."""
    found: list[Object] = []
    for manifest in manifests:
        for entry in read_json(json.dumps(manifest).encode()).found:
            value = entry.value
            taken = seal_secret(value, SEALER, None) if isinstance(value, RawSecret) else value
            found.append(taken)
    return found


def compiled(*manifests: Manifest, settings: Mapping[str, str] | None = None) -> Compiler:
    """A compiler that has compiled the victim and ``manifests``."""
    made = Compiler(OPTIONS)
    standing = [ingress_class(), configmap("settings", "limen", settings or {})]
    victim = [ingress("good", "bank", VICTIM), service("web", "bank"), service("web", "evil")]
    for value in objects_of(*standing, *victim, *manifests):
        made.change(key_of(value), value)
    made.compile()
    return made


def said_of(compiler: Compiler, name: str = "evil", namespace: str = "evil") -> list[Diagnostic]:
    """What is said of an Ingress."""
    return list(compiler.diagnostics.get(ObjectKey("ingress", namespace, name), ()))


def victims(compiler: Compiler) -> dict[str, ResourceRecord]:
    """The victim's host, as it is published."""
    return {record.name: record for record in compiler.records() if record.name == VICTIM}


@cache
def unharmed() -> dict[str, ResourceRecord]:
    """The same without anybody hostile."""
    return victims(compiled())


@dataclass
class Yard:
    """``arrived``: what the pods got."""

    compiler: Compiler
    http: int = 0
    https: int = 0
    arrived: list[Arrival] = field(default_factory=list)
    pods: dict[str, Pod] = field(default_factory=dict)

    async def ask(
        self, target: str = "/", *lines: str, host: str = EVIL, method: str = "GET", **more: Any
    ) -> tuple[Reply, list[Arrival]]:
        """(the answer, what pods got meanwhile) of one request by http."""
        mark = len(self.arrived)
        reply = await ask(self.http, request(method, target, *lines, name=host, **more))
        return reply, self.arrived[mark:]

    def codes(self, name: str = "evil", namespace: str = "evil") -> set[str]:
        return {found.code for found in said_of(self.compiler, name, namespace)}


@asynccontextmanager
async def yard(
    *manifests: Manifest, settings: Mapping[str, str] | None = None, namespaces: tuple[str, ...] = ("bank", "evil")
) -> AsyncIterator[Yard]:
    """An edge that serves it all; the Service web of each namespace has a pod."""
    made = Yard(compiled(*manifests, settings=settings))
    listeners: list[Listeners] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for namespace in namespaces:
                pod = made.pods[namespace] = await Pod(namespace, made.arrived).start()
                where = SliceEndpoint(addresses=(pod.address,), ready=True)
                slice_ = EndpointSlice(namespace, "web-1", "web", ports=(EndpointPort(pod.port),), endpoints=(where,))
                for value in (*objects_of(service("web", namespace)), slice_):
                    made.compiler.change(key_of(value), value)
            made.compiler.compile()
            serving = Serving(asyncio.get_running_loop(), SEALER, Path(folder))
            serving.swap(Generation.first(made.compiler.records(), 1, 1, made.compiler.digest))
            http, https = bound(), bound()
            made.http, made.https = http.getsockname()[1], https.getsockname()[1]
            listeners += [await listen(serving, [http], False), await listen(serving, [https], True)]
            yield made
            assert victims(made.compiler) == unharmed()
            reply, (arrival,) = await made.ask("/account", host=VICTIM)
            assert (reply.status, arrival.pod.service) == (200, "bank")
        finally:
            for each in listeners:
                await each.drain(0)
            for pod in made.pods.values():
                pod.stop()
