"""All Upstreams in the table: which are referred to, which are dirty, what each became.

Owns the references of hosts to Upstreams. An endpoint's change touches only what is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from msgspec.structs import replace

from proto.codec import record_of
from proto.policies import Balancing
from proto.resources import ResourceKey
from services.compiler.core.store import ObjectStore
from services.compiler.core.table import CompiledTable
from services.compiler.core.upstreams import EMPTY, CompiledUpstream, compile_upstream, parse_name


class UpstreamSet:
    """Upstreams by name. ``count`` and ``endpoint_count`` are those of the last compile."""

    def __init__(
        self,
        store: ObjectStore,
        table: CompiledTable,
        by_service: Callable[[str], bool],
        balancing: Callable[[str], Balancing | None],
        *,
        external_names: bool,
        by_zone: bool = False,
    ) -> None:
        """``by_service``: whether requests for an Upstream go to its Service's own address; ``balancing``: how its
        endpoints take turns; ``by_zone``: hints of zones count."""
        self._store = store
        self._table = table
        self._goes_to_service = by_service
        self._balancing = balancing
        self._external_names = external_names
        self._by_zone = by_zone
        self._leaning: dict[str, dict[str, int]] = {}
        self._used_by: dict[str, int] = {}
        self._routes: dict[str, int] = {}
        self._by_service: dict[str, set[str]] = {}
        self._compiled: dict[str, tuple[int, str]] = {}
        self._dirty: set[str] = set()
        self._changed_problems: set[str] = set()
        self.endpoint_count = 0

    @property
    def count(self) -> int:
        """How many Upstreams there are."""
        return len(self._compiled)

    def lean(self, host: str, upstreams: dict[str, int]) -> None:
        """Say to which Upstreams a host refers now, and how many declared routes lean on each.

        ``host`` is any name that is used for nothing else.
        """
        before = self._leaning.get(host, {})
        if before == upstreams:
            return
        for name, routes in before.items():
            self._routes[name] -= routes
            self._used_by[name] -= 1
            if name not in upstreams:
                self._dirty.add(name)
        for name, routes in upstreams.items():
            if name not in self._used_by:
                self._used_by[name] = self._routes[name] = 0
                self._by_service.setdefault(_service_of(name), set()).add(name)
                self._dirty.add(name)
            self._routes[name] += routes
            self._used_by[name] += 1
        if upstreams:
            self._leaning[host] = upstreams
        else:
            self._leaning.pop(host, None)

    def touch(self, service: str) -> bool:
        """A Service or its slices changed. Returns whether an Upstream depends on it."""
        names = self._by_service.get(service)
        if names:
            self._dirty |= names
        return bool(names)

    def touch_names(self, names: Iterable[str]) -> None:
        """What Ingresses say of these Upstreams may differ."""
        self._dirty.update(name for name in names if name in self._used_by)

    def touch_all(self) -> None:
        """Every Upstream may differ."""
        self._dirty.update(self._used_by)

    def compile(self) -> None:
        """Compile what is dirty, and drop what nobody refers to."""
        for name in sorted(self._dirty):
            if self._used_by.get(name):
                self._compile(name)
            else:
                self._drop(name)
        self._dirty = set()

    def empty(self) -> Iterator[tuple[str, bool]]:
        """The Upstreams without endpoints, and whether that is because something is wrong with the Service."""
        for name, (endpoints, problem) in self._compiled.items():
            if not endpoints:
                yield name, bool(problem)

    def problem(self, name: str) -> str:
        """The code of what is wrong with the Service behind an Upstream, empty if nothing is."""
        return self._compiled.get(name, (0, ""))[1]

    def take_changed_problems(self) -> set[str]:
        """The Upstreams whose problem changed since the last time."""
        changed, self._changed_problems = self._changed_problems, set()
        return changed

    def is_used(self, name: str) -> bool:
        """Whether anything refers to an Upstream."""
        return bool(self._used_by.get(name))

    def of_service(self, service: str) -> set[str]:
        """The Upstreams that are a Service by one of its ports."""
        return self._by_service.get(service, set())

    def has_endpoints(self, name: str) -> bool:
        """Whether an Upstream had endpoints at the last compile."""
        return self._compiled.get(name, (0, ""))[0] > 0

    def preview(self, name: str, without: frozenset[str], *, without_service: bool) -> CompiledUpstream:
        """An Upstream as it would be without these slices (``namespace/name``), or without its Service."""
        namespace, service_name, port = parse_name(name)
        service = f"{namespace}/{service_name}"
        found = None if without_service else self._store.services.get(service)
        slices = [
            slice_ for slice_name, slice_ in self._store.named_slices_of(service).items() if slice_name not in without
        ]
        by_service = self._goes_to_service(name)
        return compile_upstream(port, found, slices, external_names=self._external_names, by_service=by_service)

    def _compile(self, name: str) -> None:
        compiled = self._safely(name)
        endpoints, problem = self._compiled.get(name, (0, ""))
        if compiled.problem != problem:
            self._changed_problems.add(name)
        self.endpoint_count += len(compiled.upstream.endpoints) - endpoints
        self._compiled[name] = (len(compiled.upstream.endpoints), compiled.problem)
        balancing = self._balancing(name)
        upstream = compiled.upstream if balancing is None else replace(compiled.upstream, balancing=balancing)
        self._table.put(record_of(name, upstream))

    def _safely(self, name: str) -> CompiledUpstream:
        namespace, service_name, port = parse_name(name)
        service = f"{namespace}/{service_name}"
        try:
            return compile_upstream(
                port,
                self._store.services.get(service),
                self._store.slices_of(service),
                external_names=self._external_names,
                by_service=self._goes_to_service(name),
                by_zone=self._by_zone,
            )
        except Exception:  # one Service must not stop the others; its own routes answer 503
            return CompiledUpstream(EMPTY, "service-internal-error")

    def _drop(self, name: str) -> None:
        endpoints, problem = self._compiled.pop(name, (0, ""))
        self.endpoint_count -= endpoints
        if problem:
            self._changed_problems.add(name)
        self._used_by.pop(name, None)
        self._routes.pop(name, None)
        service = _service_of(name)
        names = self._by_service.get(service)
        if names is not None:
            names.discard(name)
            if not names:
                del self._by_service[service]
        self._table.remove(ResourceKey("upstream", name))

    def declared_routes(self, name: str) -> int:
        """How many declared routes lean on an Upstream."""
        return self._routes.get(name, 0)


def _service_of(name: str) -> str:
    return name.rpartition(":")[0]
