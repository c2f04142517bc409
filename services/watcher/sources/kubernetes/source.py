"""The Kubernetes source: a reflector per kind and scope, and what they see in the words of the sink."""

from __future__ import annotations

import asyncio
import time

import msgspec

from proto.objects import Kind, ObjectKey
from services.contract.diagnostics import finding
from services.watcher.observed import Change, Sink
from services.watcher.options import WatcherOptions
from services.watcher.sources.kubernetes.kinds import KINDS, NAMESPACES, KindSpec, Read, scopes_of
from services.watcher.sources.kubernetes.reflector import Api, Reflector, Seen
from services.watcher.trim import TrimError


class KubernetesSource:
    """Follows one cluster. Kinds whose access is refused go stale and say so; the others go on."""

    def __init__(self, api: Api, options: WatcherOptions, sink: Sink) -> None:
        self._reflectors: dict[Kind, list[Reflector]] = {}
        self._namespaces: Reflector | None = None
        self._selected = asyncio.Event()
        for spec in KINDS:
            scopes = scopes_of(spec, options)
            progress = _KindProgress(spec.kind, len(scopes), sink)
            self._reflectors[spec.kind] = [
                Reflector(api, scope.path(spec), scope.selectors(), _Ear(spec, number, progress, sink))
                for number, scope in enumerate(scopes)
            ]
        if options.watch_namespace_selector:
            labels = {"labelSelector": options.watch_namespace_selector}
            self._namespaces = Reflector(api, NAMESPACES, labels, _NamespaceEar(sink, self._selected))
        else:
            self._selected.set()

    def look_again(self, kinds: frozenset[Kind]) -> None:
        """List these kinds once more, soon."""
        for kind in kinds:
            for reflector in self._reflectors.get(kind, ()):
                reflector.look_again()

    async def run(self) -> None:
        """Follow for ever."""
        async with asyncio.TaskGroup() as group:
            if self._namespaces is not None:
                group.create_task(self._namespaces.run())
                await self._selected.wait()  # before it is known which namespaces count, no list is complete
            for reflectors in self._reflectors.values():
                for reflector in reflectors:
                    group.create_task(reflector.run())


class _KindProgress:
    """A kind is listed when each of its scopes is, and in trouble while one is."""

    def __init__(self, kind: Kind, scopes: int, sink: Sink) -> None:
        self._kind, self._sink = kind, sink
        self._lists = [0] * scopes
        self._errors = [""] * scopes
        self._told = 0

    def listed(self, scope: int) -> None:
        self._lists[scope] += 1
        while self._told < min(self._lists):
            self._told += 1
            self._sink.listed(self._kind)

    def trouble(self, scope: int, error: str) -> None:
        self._errors[scope] = error
        self._sink.trouble(self._kind, next(filter(None, self._errors), ""))


class _Ear:
    """The listener of one reflector."""

    def __init__(self, spec: KindSpec, scope: int, progress: _KindProgress, sink: Sink) -> None:
        self._spec, self._scope, self._progress, self._sink = spec, scope, progress, sink

    def seen(self, objects: list[Seen]) -> None:
        now = time.time()
        changes = [change for seen in objects if (change := self._change(seen, now)) is not None]
        if changes:
            self._sink.changed(changes)

    def listed(self) -> None:
        self._progress.listed(self._scope)

    def trouble(self, error: str) -> None:
        self._progress.trouble(self._scope, error)

    def heard(self) -> None:
        self._sink.heard(self._spec.kind)

    def _change(self, seen: Seen, now: float) -> Change | None:
        key = ObjectKey(self._spec.kind, seen.namespace if self._spec.namespaced else "", seen.name)
        if seen.data is None:
            self._sink.diagnosed(str(key), ())
            return Change(key, None, now, seen.resource_version, seen.uid, seen.relisted)
        try:
            read = self._spec.read(seen.data)
        except (msgspec.MsgspecError, UnicodeDecodeError, TrimError) as error:
            message = f"{key} cannot be read: {error}; its last good version, if there is one, stays"
            self._sink.diagnosed(str(key), (finding(key, "object-unreadable", str(key), "", message),))
            return None
        self._judge(key, read)
        return Change(key, read.value, now, seen.resource_version, seen.uid, published=read.published)

    def _judge(self, key: ObjectKey, read: Read) -> None:
        found = [
            finding(
                key,
                "endpoint-refused",
                "endpoints[].addresses",
                refused.partition(": ")[0],
                f"{key}: address {refused}: no pod has it, so it gets no traffic",
                "remove the address, or serve it through a Service of type ExternalName",
            )
            for refused in read.refused
        ]
        self._sink.diagnosed(str(key), tuple(found))


class _NamespaceEar:
    """The listener of the namespaces' reflector."""

    def __init__(self, sink: Sink, selected: asyncio.Event) -> None:
        self._sink, self._selected = sink, selected
        self._names: set[str] = set()

    def seen(self, objects: list[Seen]) -> None:
        for seen in objects:
            (self._names.discard if seen.data is None else self._names.add)(seen.name)
        if self._selected.is_set():
            self._sink.namespaces(frozenset(self._names))

    def listed(self) -> None:
        self._sink.namespaces(frozenset(self._names))
        self._selected.set()

    def trouble(self, error: str) -> None:
        self._sink.trouble("ingress", f"namespaces: {error}" if error else "")

    def heard(self) -> None:
        return
