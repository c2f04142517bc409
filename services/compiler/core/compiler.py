"""The compile: objects in, resources and diagnostics out, only what a change touches.

Owns the order of the steps, and what is dirty. Every step is a pure function of objects and accepted Ingresses, so the
table depends on these alone, never on the order of events. Must not know the bus, the log or the clock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from proto.codec import record_of
from proto.diagnostics import Diagnostic
from proto.objects import EndpointSlice, Ingress, Object, ObjectKey
from proto.policies import Balancing
from proto.resources import SETTINGS_NAME, ResourceKey, ResourceRecord
from services.compiler.core.admit import Admission
from services.compiler.core.balancing import balancing_of
from services.compiler.core.claims import Claim
from services.compiler.core.credentials import CredentialsSet
from services.compiler.core.findings import Findings
from services.compiler.core.hostset import HostSet
from services.compiler.core.index import ClaimIndex
from services.compiler.core.options import CompileOptions
from services.compiler.core.preview import preview_removals
from services.compiler.core.result import Compiled, Orphan, Rejected
from services.compiler.core.review import Reviewed, Standing, review
from services.compiler.core.settings import compile_settings, configmaps_of, read_controller
from services.compiler.core.store import ObjectStore
from services.compiler.core.streams import StreamSet
from services.compiler.core.table import CompiledTable
from services.compiler.core.upstreamset import UpstreamSet


class InconsistentTableError(Exception):
    """A resource refers to one that is not in the table: a defect, and nothing may be published."""


class _Admitted(Struct):
    """What came of the dirty Ingresses: as in ``Compiled``."""

    rejected: list[Rejected] = []
    served: list[str] = []
    gone: list[str] = []


class Compiler:
    """The one owner of the objects and the compiled table. Not for use by two threads."""

    def __init__(self, options: CompileOptions) -> None:
        self._options = options
        self._store = ObjectStore()
        self._admission = Admission(options)
        self._index = ClaimIndex()
        self._table = CompiledTable()
        self._reading = read_controller(options, self._store)
        self._upstreams = UpstreamSet(
            self._store,
            self._table,
            self._goes_to_service,
            self._balancing,
            external_names=not options.disable_svc_external_name,
            by_zone=options.enable_topology_aware_routing,
        )
        self._streams = StreamSet(options, self._store, self._table, self._upstreams)
        self._findings = Findings(self._index, self._upstreams.problem)
        self._credentials = CredentialsSet(self._store, self._table)
        self._hosts = HostSet(
            self._store,
            self._index,
            self._table,
            self._upstreams,
            self._credentials,
            self._findings,
            self._last_good,
        )
        self._dirty_ingresses: set[str] = set()
        self._by_class: dict[str, set[str]] = {}
        self._settings_dirty = True
        self._suspect = False

    @property
    def table(self) -> Mapping[ResourceKey, bytes]:
        """Every resource's bytes, as of the last compile; for reading only."""
        return self._table.records

    @property
    def digest(self) -> bytes:
        """The digest over ``table``."""
        return self._table.digest

    @property
    def diagnostics(self) -> Mapping[ObjectKey, tuple[Diagnostic, ...]]:
        """All findings that hold, by object."""
        return self._findings.by_object

    @property
    def served(self) -> Collection[str]:
        """The Ingresses (``namespace/name``) that are served."""
        return self._index.claims.keys()

    def orphans(self) -> set[Orphan]:
        """The Ingresses that name a Service which does not exist, or has no endpoints."""
        found = set()
        for upstream, broken in self._upstreams.empty():
            for ingress in self._index.users_of(upstream):
                namespace, _, name = ingress.partition("/")
                found.add(Orphan(namespace, name, "no-service" if broken else "no-endpoint"))
        return found

    def records(self) -> list[ResourceRecord]:
        """Every resource, as a base packs them."""
        return [ResourceRecord(key.kind, key.name, body) for key, body in self._table.records.items()]

    def route_count(self) -> int:
        """How many routes Ingresses have declared, as of the last compile."""
        return self._hosts.route_count

    def preview_removals(self, keys: Collection[ObjectKey]) -> tuple[int, int]:
        """(routes now, routes that would be left without the objects ``keys``), as of the last compile.

        A route whose Upstream would lose its last endpoint counts as gone. Changes nothing.
        """
        return preview_removals(keys, self._options, self._store, self._index, self._hosts, self._upstreams)

    def review(self, ingress: Ingress) -> Reviewed:
        """What admission says of ``ingress``, against the table as of the last compile. Changes nothing."""
        controller = self._reading.controller
        standing = Standing(
            self._options,
            controller,
            self._store.classes,
            self._store.ingresses,
            self._index,
            lambda claim: self._hosts.preview(claim, controller),
        )
        return review(ingress, standing)

    def set_accepted(self, ingress: Ingress) -> None:
        """Tell which version of an Ingress was accepted last (before the first ``compile``)."""
        self._admission.set_accepted(ingress)
        self._dirty_ingresses.add(f"{ingress.namespace}/{ingress.name}")

    def change(self, key: ObjectKey, value: Object | None) -> bool:
        """Take in one object (None: it is gone). Returns whether the next ``compile`` has something to do for it."""
        name = f"{key.namespace}/{key.name}"
        service_before = self._store.service_of_slice(name) if key.kind == "endpointslice" else ""
        ingress_before = self._store.ingresses.get(name) if key.kind == "ingress" else None
        if not self._store.put(key, value):
            return False
        match key.kind:
            case "ingress":
                self._reindex_class(name, ingress_before, value)
                self._dirty_ingresses.add(name)
                return True
            case "ingressclass":
                touched = self._by_class.get(key.name, set())
                self._dirty_ingresses |= touched
                return bool(touched)
            case "service":
                return self._touch_service(name)
            case "endpointslice":
                service_now = f"{value.namespace}/{value.service}" if isinstance(value, EndpointSlice) else ""
                touched_before = bool(service_before) and self._touch_service(service_before)
                return (bool(service_now) and self._touch_service(service_now)) or touched_before
            case "secret":
                return self._touch_secret(name)
            case "configmap":
                concerns = name in configmaps_of(self._options, self._reading)
                self._settings_dirty |= concerns
                concerns |= self._streams.touch_configmap(name)
                return self._hosts.touch_configmap(name) or concerns
            case _:
                return False

    def compile(self) -> Compiled:
        """Compile what is dirty. Raises InconsistentTableError for a defect; then nothing may be published."""
        self._read_settings()
        called = self._index.are_called
        admitted = self._admit()
        self._settings_dirty |= called != self._index.are_called
        self._hosts.compile(self._reading.controller)
        self._streams.compile()
        self._upstreams.compile()
        self._credentials.compile()
        self._finish_settings()
        self._findings.touch_services(self._upstreams.take_changed_problems())
        self._findings.set_flags("streams", self._streams.diagnostics())
        upserts, removals = self._table.settle()
        self._check(upserts, removals)
        accepted, forgotten = self._admission.settle(self._hosts.poisoned())
        return Compiled(
            upserts=upserts,
            removals=removals,
            diagnostics=self._findings.settle(),
            accepted=accepted,
            forgotten=forgotten,
            rejected=tuple(admitted.rejected),
            served=tuple(admitted.served),
            gone=tuple(admitted.gone),
            counts=self._counts(),
        )

    @property
    def broken(self) -> set[str]:
        """The Ingresses, ``namespace/name``, of which nothing can be compiled for a defect of ours: what is published
        of them is better than nothing."""
        return self._admission.broken | self._hosts.left_out()

    def _last_good(self, name: str) -> Claim | None:
        return self._admission.last_good(name, self._store.ingresses[name], self._reading.controller)

    def _goes_to_service(self, upstream: str) -> bool:
        """Whether requests for an Upstream go to its Service's own address (``service-upstream``)."""
        claim = self._index.first_user(upstream)
        own = None if claim is None else claim.settings.service_upstream
        return self._reading.controller.service_upstream if own is None else own

    def _balancing(self, upstream: str) -> Balancing | None:
        """How an Upstream's endpoints take turns, where an Ingress says so."""
        claim = self._index.first_user(upstream)
        return None if claim is None else balancing_of(claim.settings)

    def _reindex_class(self, name: str, before: Ingress | None, after: Object | None) -> None:
        old = before.class_name if before is not None else None
        new = after.class_name if isinstance(after, Ingress) else None
        if old == new:
            return
        if old is not None:
            self._by_class[old].discard(name)
            if not self._by_class[old]:
                del self._by_class[old]
        if new is not None:
            self._by_class.setdefault(new, set()).add(name)

    def _touch_service(self, service: str) -> bool:
        touched = self._upstreams.touch(service)
        if service == self._options.default_backend_service:
            self._settings_dirty = True
            return True
        return touched

    def _touch_secret(self, name: str) -> bool:
        touched = self._hosts.touch_secret(name)
        if name in (self._options.default_ssl_certificate, self._reading.settings.ssl_dh_param):
            self._settings_dirty = True
            return True
        return touched

    def _read_settings(self) -> None:
        """The ConfigMap comes first: what it says to the compiler holds for every Ingress and host."""
        if not self._settings_dirty:
            return
        reading = read_controller(self._options, self._store)
        if reading.controller != self._reading.controller:
            self._dirty_ingresses.update(self._store.ingresses)
            self._hosts.touch_all()
            self._upstreams.touch_all()
        self._reading = reading

    def _finish_settings(self) -> None:
        """The Settings resource comes last: it names the default backend only while that has endpoints."""
        if not self._settings_dirty:
            return
        self._settings_dirty = False
        compiled = compile_settings(self._options, self._reading, self._store, self._index.are_called)
        self._upstreams.lean("", compiled.upstreams)
        self._upstreams.compile()
        self._hosts.use_default_certificate(compiled.settings.default_certificate)
        self._table.put(record_of(SETTINGS_NAME, compiled.settings))
        self._findings.set_flags("settings", compiled.diagnostics)

    def _admit(self) -> _Admitted:
        admitted = _Admitted()
        for name in sorted(self._dirty_ingresses):
            ingress = self._store.ingresses.get(name)
            was_served = name in self._index.claims
            verdict = self._admission.decide(name, ingress, self._store.classes, self._reading.controller)
            if verdict.rejected and ingress is not None:
                admitted.rejected.append(Rejected(ingress, verdict.claim is not None))
            for claim in (self._index.claims.get(name), verdict.claim):
                self._upstreams.touch_names(() if claim is None else claim.upstreams())
            self._hosts.touch(self._index.put(name, verdict.claim))
            self._findings.set_own(name, verdict.diagnostics)
            if was_served != (verdict.claim is not None):
                (admitted.gone if was_served else admitted.served).append(name)
        self._dirty_ingresses = set()
        return admitted

    def _check(self, upserts: Sequence[ResourceRecord], removals: tuple[ResourceKey, ...]) -> None:
        """Every reference of what changed resolves; nothing that is still referred to went. After a failure,
        everything is looked at until all is well again."""
        records = self._table.records
        looked_at = self.records() if self._suspect else upserts
        self._suspect = True
        for host, key in self._hosts.references(looked_at):
            if key not in records:
                raise InconsistentTableError(f"virtualhost {host} refers to {key}, which is not in the table")
        for key in removals:
            if self._hosts.is_referenced(key):
                raise InconsistentTableError(f"{key} is gone from the table and still referred to")
        self._suspect = False

    def _counts(self) -> dict[str, int]:
        return {
            "ingresses": len(self._index.claims),
            "hosts": self._hosts.count,
            "routes": self._hosts.route_count,
            "upstreams": self._upstreams.count,
            "endpoints": self._upstreams.endpoint_count,
            "certificates": self._hosts.certificate_count,
        }
