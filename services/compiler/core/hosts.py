"""One host: everything that Ingresses claim of it -> its VirtualHost.

Pure: the same claims give the same bytes. Must not know Services, Secrets' keys, other hosts, nor what was before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from proto.codec import decode_resource, record_of
from proto.diagnostics import Diagnostic
from proto.handshakes import Handshake
from proto.policies import BasicAuth, Canary, CustomErrors, DigestAuth, EndpointTLS
from proto.resources import Forward, ResourceRecord, Route, RouteGroup, Stream, VirtualHost
from services.compiler.core.aliases import Wish, wishes_of
from services.compiler.core.canaries import attach_canaries
from services.compiler.core.certificates import HostTLS
from services.compiler.core.claims import Claim
from services.compiler.core.endpoint_tls import StateOf
from services.compiler.core.groups import split_routes
from services.compiler.core.handshakes import handshake_of
from services.compiler.core.host_objects import HostObjects, judge_objects
from services.compiler.core.locations import Location, locations_of, owners
from services.compiler.core.named_maps import ConfigMapOf
from services.compiler.core.passthrough import passthrough_of
from services.compiler.core.routes import pattern_routes, plain_routes, uses_patterns
from services.contract.configmap.read import Controller
from services.contract.diagnostics import finding


class CompiledHost(Struct, frozen=True, gc=False):
    """What became of a host.

    ``records``: the VirtualHost, its RouteGroups, and its Stream if TLS is not opened. ``upstreams``: what its routes
    forward to, and how many declared routes lean on each. ``routes``: how many were declared (not synthetic).
    ``credentials``: those that it refers to. ``aliases``: further names that it wants.
    ``diagnostics``: by Ingress.
    """

    records: tuple[ResourceRecord, ...]
    upstreams: dict[str, int]
    certificate: str
    routes: int
    credentials: frozenset[str] = frozenset()
    aliases: tuple[Wish, ...] = ()
    diagnostics: dict[str, tuple[Diagnostic, ...]] = {}

    def declared_routes(self) -> Iterable[Route]:
        """The routes that Ingresses declared, read back from the records."""
        for record in self.records:
            resource = decode_resource(record)
            if isinstance(resource, VirtualHost | RouteGroup):
                yield from (route for route in resource.routes if not route.synthetic)


def compile_host(
    host: str,
    claims: Sequence[Claim],
    catch_alls: Sequence[Claim],
    tls: HostTLS | None,
    controller: Controller,
    state_of: StateOf,
    configmap_of: ConfigMapOf,
    canaries: Sequence[Claim] = (),
) -> CompiledHost:
    """Compile ``host``, which is claimed by ``claims``, or by ``catch_alls`` if it is the catch-all host.

    Both are in order (``claims.in_order``); one of them is not empty. ``tls``: what was decided for the host, or for
    its wildcard parent. ``state_of``: what a Secret is good for;
    ``configmap_of``: a ConfigMap by its name. ``canaries``: in order, those that name the host.
    """
    findings: list[Diagnostic] = []
    involved = (*claims, *catch_alls[:1])
    locations = locations_of(host, claims, catch_alls, findings)
    attach_canaries(host, canaries, locations, findings)
    objects = judge_objects(involved, state_of, configmap_of, controller, findings)
    mode, routes = _routes(host, locations, controller, objects, findings)
    inline, groups = split_routes(host, routes)
    head = VirtualHost(
        host,
        mode,
        inline,
        tuple(groups),
        tls is not None,
        "" if tls is None else tls.certificate,
        _app_root(locations),
        any(claim.settings.host_denied for claim in involved),
        handshake_of(involved, state_of, findings),
    )
    records = [record_of(host, head), *(record_of(name, group) for name, group in groups.items())]
    passes = passthrough_of(host, claims, locations, controller, findings)
    if passes:
        records.append(record_of(f"tls:{host}", Stream("tls", passes)))
    if tls is not None:
        findings.extend(tls.diagnostics)
    return CompiledHost(
        tuple(records),
        _upstreams(routes, passes),
        head.certificate,
        sum(not route.synthetic for route in routes),
        _credentials(routes, head.handshake),
        wishes_of(host, claims),
        _by_ingress(findings),
    )


def _routes(
    host: str, locations: Sequence[Location], controller: Controller, objects: HostObjects, findings: list[Diagnostic]
) -> tuple[Literal["plain", "regex"], list[Route]]:
    """The mode of the host, and its routes."""
    if not uses_patterns(locations):
        return "plain", plain_routes(locations, controller, objects)
    routes = pattern_routes(locations, controller, objects, findings)
    _name_spread(host, locations, findings)
    return "regex", routes


def _upstreams(routes: Sequence[Route], passes: str) -> dict[str, int]:
    """What ``routes`` forward to, with how many declared ones lean on each; ``passes``: where TLS is handed on to."""
    found: dict[str, int] = {}
    for route in routes:
        action = route.action
        if isinstance(action, Forward):
            found[action.upstream] = found.get(action.upstream, 0) + (not route.synthetic)
            if action.fallback:
                found.setdefault(action.fallback, 0)
        for policy in route.policies:
            if isinstance(policy, CustomErrors) and policy.backend:
                found.setdefault(policy.backend, 0)
            elif isinstance(policy, Canary):
                found.setdefault(policy.upstream, 0)
    if passes:
        found.setdefault(passes, 0)
    return found


def _credentials(routes: Sequence[Route], handshake: Handshake | None) -> frozenset[str]:
    policies = (policy for route in routes for policy in route.policies)
    names = {policy.credentials for policy in policies if isinstance(policy, EndpointTLS | BasicAuth | DigestAuth)}
    if handshake is not None and handshake.client is not None and handshake.client.authority:
        names.add(handshake.client.authority)
    return frozenset(names)


def _by_ingress(findings: Sequence[Diagnostic]) -> dict[str, tuple[Diagnostic, ...]]:
    found: dict[str, list[Diagnostic]] = {}
    for diagnostic in findings:
        found.setdefault(f"{diagnostic.object.namespace}/{diagnostic.object.name}", []).append(diagnostic)
    return {name: tuple(diagnostics) for name, diagnostics in found.items()}


def _app_root(locations: Sequence[Location]) -> str:
    """That of the first location in order whose Ingress has one: it holds for the whole host (contract section 1.2)."""
    for location in locations:
        if location.claim is not None and not location.bare and location.claim.settings.app_root:
            return location.claim.settings.app_root
    return ""


def _name_spread(host: str, locations: Sequence[Location], findings: list[Diagnostic]) -> None:
    """Tell the Ingresses of this host that did not ask for patterns that they got them."""
    claims = owners(locations)
    askers = sorted(name for name, claim in claims.items() if claim.settings.use_regex or claim.settings.rewrite_target)
    for name in sorted(claims.keys() - set(askers)):
        claim = claims[name]
        findings.append(
            finding(claim.key, "path-becomes-pattern", claim.hosts[host].field if host in claim.hosts else "spec", host,
                    f"Ingress {askers[0]} uses patterns on this host, so these paths are case-insensitive patterns "
                    "too, and an Exact path matches whatever begins with it.",
                    "Give the patterns a host of their own.")
        )  # fmt: skip
