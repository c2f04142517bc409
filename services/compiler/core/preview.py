"""What a removal would cost, without doing it: for the hold on mass removals.

Pure: reads the compiled state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection

from proto.objects import ObjectKey
from proto.resources import Forward
from services.compiler.core.hostset import HostSet
from services.compiler.core.index import CATCH_ALL_HOST, ClaimIndex
from services.compiler.core.options import CompileOptions
from services.compiler.core.store import ObjectStore
from services.compiler.core.upstreamset import UpstreamSet
from services.contract.classes import is_ours


def preview_removals(
    keys: Collection[ObjectKey],
    options: CompileOptions,
    store: ObjectStore,
    index: ClaimIndex,
    hosts: HostSet,
    upstreams: UpstreamSet,
) -> tuple[int, int]:
    """(routes now, routes left without ``keys``). A route whose Upstream loses its last endpoint counts as gone."""
    gone = _ingresses_gone(keys, options, store)
    touched = {host for name in gone if (claim := index.claims.get(name)) for host in claim.hosts or (CATCH_ALL_HOST,)}
    lost = 0
    lost_of: dict[str, int] = {}
    for host in touched:
        compiled = hosts.compiled(host)
        for route in () if compiled is None else compiled.declared_routes():
            if route.ingress in gone:
                lost += 1
                if isinstance(route.action, Forward):
                    lost_of[route.action.upstream] = lost_of.get(route.action.upstream, 0) + 1
    for upstream in _emptied(keys, store, upstreams):
        lost += upstreams.declared_routes(upstream) - lost_of.get(upstream, 0)
    return hosts.route_count, hosts.route_count - lost


def _ingresses_gone(keys: Collection[ObjectKey], options: CompileOptions, store: ObjectStore) -> set[str]:
    gone = {f"{key.namespace}/{key.name}" for key in keys if key.kind == "ingress"}
    classes = {key.name for key in keys if key.kind == "ingressclass"}
    if classes:
        left = {name: class_ for name, class_ in store.classes.items() if name not in classes}
        gone.update(name for name, ingress in store.ingresses.items() if not is_ours(ingress, left, options))
    return gone


def _emptied(keys: Collection[ObjectKey], store: ObjectStore, upstreams: UpstreamSet) -> set[str]:
    """The Upstreams that have endpoints and would have none."""
    services = {f"{key.namespace}/{key.name}" for key in keys if key.kind == "service"}
    slices = frozenset(f"{key.namespace}/{key.name}" for key in keys if key.kind == "endpointslice")
    touched = services | {service for name in slices if (service := store.service_of_slice(name))}
    return {
        upstream
        for service in touched
        for upstream in upstreams.of_service(service)
        if upstreams.has_endpoints(upstream)
        and not upstreams.preview(upstream, slices, without_service=service in services).upstream.endpoints
    }
