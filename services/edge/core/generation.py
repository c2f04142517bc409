"""A generation: one snapshot, ready to serve. Immutable from outside; a swap replaces the whole of it.

Records are kept as the bytes that came; a host or an Upstream is decoded and planned when it is first asked for, and
what a delta does not touch is carried over, so that ten thousand hosts cost little more than their bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from proto.codec import decode_resource
from proto.resources import (
    CATCH_ALL,
    SETTINGS_NAME,
    Certificate,
    Credentials,
    PathMatch,
    ResourceKey,
    ResourceKind,
    ResourceRecord,
    Route,
    RouteGroup,
    Settings,
    Upstream,
    VirtualHost,
)
from proto.resources import Respond as RespondAction
from services.contract.hosts import wildcard_of
from services.contract.matching import matcher_of
from services.contract.paths import as_bytes_text
from services.contract.regex import RegexError
from services.contract.rewrite import RewriteError, Rewriter
from services.edge.core.client_certificates import guard_of
from services.edge.core.forwarded import Trust, trust_of
from services.edge.core.layered import Layered
from services.edge.core.phases import Context, policed
from services.edge.core.plan import (
    NO_LABELS,
    Decision,
    Forward,
    HostPlan,
    Respond,
    RouteLabels,
    RoutePlan,
    compile_route,
    labels_of_nobody,
    rewrite_policy,
)
from services.edge.core.proxying import Proxying, proxying_of
from services.edge.core.request_head import HeadLimits
from services.edge.core.tls_options import TLSOptions, tls_options
from services.edge.core.transport import transports_for

PLANNED_AT_MOST: Final = 16384
"""Hosts that stay planned; beyond that all plans are dropped and made again as they are asked for."""

HEAD_TIME: Final = 10.0
"""Seconds for a whole head, from its first byte (a drip of bytes does not extend it), where ``client-header-timeout``
says nothing else: those that it says by default are long for somebody who has begun to speak."""

_UNSAID: Final = Settings()

NOWHERE: Final = Route(PathMatch("prefix", "/"), RespondAction(404), synthetic=True)
"""What stands for the route where there is none."""

Bodies = Mapping[ResourceKind, Layered]
"""The MessagePack of every resource, by kind and name."""


class Generation:
    """See the module. ``epoch``, ``version`` and ``digest`` are the snapshot's. ``requests_at_most``: of a client's
    connection; 0 where connections are not kept at all (nginx: ``keepalive_timeout 0``). ``proxying``: that of all
    routes which say nothing of their own; ``tls_options``: of hosts likewise. ``head_limits``: how large the head
    of a request may be; ``head_time``: seconds that it may take, once it has begun."""

    __slots__ = (
        "_bodies",
        "_hosts",
        "_planned",
        "_upstream_bodies",
        "_upstreams",
        "digest",
        "epoch",
        "head_limits",
        "head_time",
        "proxying",
        "requests_at_most",
        "security_line",
        "settings",
        "tls_options",
        "trust",
        "version",
    )

    def __init__(
        self,
        bodies: Bodies,
        epoch: int,
        version: int,
        digest: bytes,
        settings: Settings,
        hosts: dict[str, HostPlan],
        upstreams: dict[str, tuple[bytes, Upstream]],
    ) -> None:
        self.epoch = epoch
        self.version = version
        self.digest = digest
        self.settings = settings
        self.trust: Trust = trust_of(settings)
        self.tls_options: TLSOptions = tls_options(settings)
        self.proxying: Proxying = proxying_of(settings)
        self.security_line: bytes = security_line(settings)
        number, size = settings.large_client_header_buffers
        self.head_limits = HeadLimits(size, number * size)
        whole = settings.client_header_timeout
        self.head_time = HEAD_TIME if whole == _UNSAID.client_header_timeout else whole
        self.requests_at_most = settings.keep_alive_requests if settings.keep_alive > 0 else 0
        self._bodies = bodies
        self._hosts = bodies["virtualhost"]
        self._upstream_bodies = bodies["upstream"]
        self._planned = hosts
        self._upstreams = upstreams  # shared by all generations: each entry says of which bytes it was decoded

    @staticmethod
    def first(records: Iterable[ResourceRecord], epoch: int, version: int, digest: bytes) -> Generation:
        """The generation that holds exactly ``records``. Raises DecodeError for unreadable settings."""
        tables: dict[ResourceKind, dict[str, bytes]] = {kind: {} for kind in _KINDS}
        for record in records:
            tables[record.kind][record.name] = record.body
        bodies = {kind: Layered(table) for kind, table in tables.items()}
        return Generation(bodies, epoch, version, digest, _settings_in(bodies), {}, {})

    def next(
        self,
        upserts: Iterable[ResourceRecord],
        removals: Iterable[ResourceKey],
        epoch: int,
        version: int,
        digest: bytes,
    ) -> Generation:
        """This generation with a change. Plans of what the change does not touch are carried over."""
        touched: dict[ResourceKind, dict[str, bytes | None]] = {}
        for key in removals:
            touched.setdefault(key.kind, {})[key.name] = None
            if key.kind == "upstream":
                self._upstreams.pop(key.name, None)
        for record in upserts:
            touched.setdefault(record.kind, {})[record.name] = record.body
        bodies = dict(self._bodies)
        for kind, changes in touched.items():
            bodies[kind] = bodies[kind].changed(changes)
        settings = _settings_in(bodies) if "settings" in touched else self.settings
        default = settings.default_upstream
        same_default = (default in bodies["upstream"]) == (default in self._bodies["upstream"])
        plans = self._plans_left(touched) if same_default else {}
        return Generation(bodies, epoch, version, digest, settings, plans, self._upstreams)

    def _plans_left(self, touched: Mapping[ResourceKind, Mapping[str, object]]) -> dict[str, HostPlan]:
        """The plans that a change leaves right: a host's own record, its groups, and its wildcard's TLS count.

        The same dict where all stay right: what either generation plans later serves the other too.
        """
        if "settings" in touched or "routegroup" in touched or "credentials" in touched:
            return {}
        hosts = touched.get("virtualhost")
        if hosts is None:
            return self._planned
        plans = dict(self._planned)
        for host in hosts:
            plans.pop(host, None)
        if any(host.startswith("*.") for host in hosts):
            plans = {name: plan for name, plan in plans.items() if wildcard_of(name) not in hosts}
        return plans

    def host(self, host: str) -> HostPlan:
        """The plan that answers for a canonical host: exact, else its wildcard, else the catch-all."""
        plan = self._planned.get(host)
        if plan is not None:
            return plan
        if host not in self._hosts:
            wildcard = wildcard_of(host)
            host = wildcard if wildcard is not None and wildcard in self._hosts else CATCH_ALL
        return self._plan(host)

    def _plan(self, host: str) -> HostPlan:
        """The plan of exactly this host."""
        plan = self._planned.get(host)
        if plan is None:
            if len(self._planned) >= PLANNED_AT_MOST:
                self._planned.clear()
            plan = self._planned[host] = self._plan_host(self._virtual_host(host))
        return plan

    def has_host(self, host: str) -> bool:
        """Whether somebody declared ``host``, spelled like this."""
        return host in self._hosts

    def upstream(self, name: str) -> Upstream | None:
        """The Upstream of that name; the same object as long as it does not change."""
        body = self._upstream_bodies.get(name)
        if body is None:
            return None
        known = self._upstreams.get(name)
        if known is not None and known[0] is body:
            return known[1]
        decoded = decode_resource(ResourceRecord("upstream", name, body))
        assert isinstance(decoded, Upstream)
        self._upstreams[name] = (body, decoded)
        return decoded

    def certificate_for(self, server_name: str) -> str | None:
        """The name of the Certificate for an SNI (lower case): that of the host, or of its wildcard where the host has
        no TLS of its own; the default one where that is not there; None: there is no default either."""
        for host in (server_name, wildcard_of(server_name)):
            if host and host in self._hosts:
                plan = self._plan(host)
                if plan.certificate in self._bodies["certificate"]:
                    return plan.certificate
                if plan.tls:
                    break
        default = self.settings.default_certificate
        return default if default in self._bodies["certificate"] else None

    def certificate(self, name: str) -> Certificate | None:
        """The Certificate of that name."""
        body = self._bodies["certificate"].get(name)
        if body is None:
            return None
        decoded = decode_resource(ResourceRecord("certificate", name, body))
        assert isinstance(decoded, Certificate)
        return decoded

    def certificate_body(self, name: str) -> bytes | None:
        """The bytes of a Certificate: what tells whether it is still the same."""
        return self._bodies["certificate"].get(name)

    def credentials(self, name: str) -> Credentials | None:
        """The Credentials of that name."""
        body = self._bodies["credentials"].get(name)
        if body is None:
            return None
        decoded = decode_resource(ResourceRecord("credentials", name, body))
        assert isinstance(decoded, Credentials)
        return decoded

    def credentials_body(self, name: str) -> bytes | None:
        """The bytes of Credentials: what tells whether they are still the same."""
        return self._bodies["credentials"].get(name)

    def count(self, kind: ResourceKind) -> int:
        """How many resources of a kind there are."""
        return len(self._bodies[kind])

    def _virtual_host(self, host: str) -> VirtualHost:
        body = self._hosts.get(host)
        if body is None:
            return VirtualHost(host)
        decoded = decode_resource(ResourceRecord("virtualhost", host, body))
        assert isinstance(decoded, VirtualHost)
        return decoded

    def _has_tls(self, host: VirtualHost) -> bool:
        """A host without TLS of its own takes part in its wildcard's (contract section 1.8)."""
        if host.tls:
            return True
        wildcard = wildcard_of(host.host)
        return wildcard is not None and wildcard in self._hosts and self._virtual_host(wildcard).tls

    def _routes(self, host: VirtualHost) -> Iterable[Route]:
        yield from host.routes
        for name in host.groups:
            body = self._bodies["routegroup"].get(name)
            if body is not None:
                group = decode_resource(ResourceRecord("routegroup", name, body))
                assert isinstance(group, RouteGroup)
                yield from group.routes

    def _plan_host(self, host: VirtualHost) -> HostPlan:
        tls = self._has_tls(host)
        plans = [(route.match, self._plan_route(host.host, tls, route)) for route in self._routes(host)]
        denied = host.denied
        try:
            matcher = matcher_of(plans, host.mode)
        except RegexError:  # the compiler refuses such routes; should one come all the same, the host is closed
            matcher = matcher_of((), "plain")
            denied = True
        guard = None
        try:
            guard = guard_of(host.handshake)
        except RegexError:  # likewise
            denied = True
        return HostPlan(
            host=host.host,
            routes=matcher,
            simple=not (denied or host.app_root or guard or host.host == CATCH_ALL),
            denied=denied,
            app_root=host.app_root.encode(),
            not_found=self._not_found(host.host, tls),
            https_code=self.settings.http_redirect_code,
            exempt=tuple(map(as_bytes_text, self.settings.no_tls_redirect_locations)),
            tls=host.tls,
            certificate=host.certificate,
            body_limit=self.proxying.body_limit,
            guard=guard,
            tls_options=None if host.handshake is None else tls_options(self.settings, host.handshake),
        )

    def _plan_route(self, host: str, tls: bool, route: Route) -> RoutePlan:
        policy = rewrite_policy(route)
        try:
            rewriter = None if policy is None else Rewriter(policy.pattern, policy.target)
        except (RegexError, RewriteError):  # refused by the compiler; closed if it comes all the same
            return closed(NO_LABELS)
        transports = transports_for(route.policies, self.credentials)
        plan = compile_route(host, tls, route, rewriter, self.settings, self.proxying, transports)
        return self._policed(host, tls, route, plan)

    def _policed(self, host: str, tls: bool, route: Route, plan: RoutePlan) -> RoutePlan:
        """``plan`` with the route's policies; closed if one of them cannot be compiled, which the compiler sees to."""
        settings, proxying = self.settings, self.proxying
        try:
            return policed(Context(host, tls, route, plan, settings, proxying, self.credentials, self.upstream))
        except (RegexError, ValueError):
            return closed(plan.labels)

    def _not_found(self, host: str, tls: bool) -> Decision:
        """What answers where no route does: the global default backend, else 404; what holds for all routes holds."""
        labels = labels_of_nobody(host, self.settings)
        name = self.settings.default_upstream
        settled: Forward | Respond = Respond(labels, 404)
        if name in self._bodies["upstream"]:
            settled = Forward(labels, name, name, proxying=self.proxying)
        plan = RoutePlan(labels, settled, False, None, settled, settled)
        return self._policed(host, tls, NOWHERE, plan).ready or settled


_KINDS: Final[tuple[ResourceKind, ...]] = (
    "virtualhost",
    "routegroup",
    "upstream",
    "certificate",
    "credentials",
    "settings",
)


def _settings_in(bodies: Bodies) -> Settings:
    body = bodies["settings"].get(SETTINGS_NAME)
    if body is None:
        return Settings()
    decoded = decode_resource(ResourceRecord("settings", SETTINGS_NAME, body))
    assert isinstance(decoded, Settings)
    return decoded


def closed(labels: RouteLabels) -> RoutePlan:
    """A route of which something is not understood: never open."""
    answer = Respond(labels, 503)
    return RoutePlan(labels, answer, False, None, answer, answer, too_large=answer)


def own_lines(generation: Generation | None, tls: bool) -> bytes:
    """The lines that an answer of the edge itself carries besides what every page has."""
    if generation is None:
        return b""
    lines = generation.security_line if tls else b""
    return lines + b"Server: limen\r\n" if generation.settings.server_tokens else lines


def security_line(settings: Settings) -> bytes:
    """The Strict-Transport-Security line of https responses, with its CRLF; empty if there is none."""
    if not settings.hsts:
        return b""
    subdomains = "; includeSubDomains" if settings.hsts_include_subdomains else ""
    preload = "; preload" if settings.hsts_preload else ""
    return f"Strict-Transport-Security: max-age={settings.hsts_max_age}{subdomains}{preload}\r\n".encode()
