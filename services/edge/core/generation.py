"""A generation: one snapshot, ready to serve. Immutable from outside; a swap replaces the whole of it.

Records are kept as the bytes that came; a host or an Upstream is decoded and planned when it is first asked for, and
what a delta does not touch is carried over, so that ten thousand hosts cost little more than their bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec.structs import replace

from proto.codec import KINDS, DecodeError, decode_resource
from proto.policies import Balancing
from proto.resources import (
    CATCH_ALL,
    SETTINGS_NAME,
    Certificate,
    Credentials,
    ResourceKey,
    ResourceKind,
    ResourceRecord,
    Route,
    RouteGroup,
    Settings,
    Upstream,
    VirtualHost,
)
from services.contract.hosts import wildcard_of
from services.edge.core.aliases import NONE, Aliases, Named
from services.edge.core.blocked import Blocked, blocked_of
from services.edge.core.bound import Bound, bound_of
from services.edge.core.forwarded import Trust, trust_of
from services.edge.core.host_plans import plan_host
from services.edge.core.layered import Layered
from services.edge.core.own_lines import naming_of, security_line
from services.edge.core.plan import HostPlan
from services.edge.core.policies.response_headers import added_lines
from services.edge.core.proxying import Proxying, proxying_of
from services.edge.core.request_head import HeadLimits
from services.edge.core.response_head import Naming
from services.edge.core.streams import NONE as NO_STREAMS
from services.edge.core.streams import Streams
from services.edge.core.tls_options import TLSOptions, tls_options

PLANNED_AT_MOST: Final = 16384
"""Hosts that stay planned; beyond that all plans are dropped and made again as they are asked for."""

HEAD_TIME: Final = 10.0
"""Seconds for a whole head, from its first byte (a drip of bytes does not extend it), where ``client-header-timeout``
says nothing else: those that it says by default are long for somebody who has begun to speak."""

RESTS_AFTER: Final = 5.0
"""Seconds after which an idle connection lets go of what it remembers for the next request."""

_UNSAID: Final = Settings()
_NOTHING: Final = Layered({})

Bodies = Mapping[ResourceKind, Layered]
"""The MessagePack of every resource, by kind and name."""


class Generation:
    """See the module. ``epoch``, ``version`` and ``digest`` are the snapshot's. ``requests_at_most``: of a client's
    connection; 0 where connections are not kept at all (nginx: ``keepalive_timeout 0``); ``rests_after``: seconds until
    an idle one keeps as little as it can. ``proxying``: that of all
    routes which say nothing of their own; ``tls_options``: of hosts likewise. ``head_limits``: how large the head
    of a request may be; ``head_time``: seconds that it may take, once it has begun. ``streams``: what is handed on
    unread."""

    __slots__ = (
        "_aliases",
        "_bodies",
        "_hosts",
        "_planned",
        "_upstream_bodies",
        "_upstreams",
        "added_lines",
        "blocked",
        "bound",
        "digest",
        "epoch",
        "head_limits",
        "head_time",
        "naming",
        "proxying",
        "requests_at_most",
        "rests_after",
        "security_line",
        "settings",
        "streams",
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
        aliases: Aliases,
        streams: Streams,
    ) -> None:
        self._aliases = aliases
        self.streams = streams
        self.epoch = epoch
        self.version = version
        self.digest = digest
        self.settings = settings
        self.trust: Trust = trust_of(settings)
        self.tls_options: TLSOptions = tls_options(settings)
        self.proxying: Proxying = proxying_of(settings)
        self.blocked: Blocked | None = blocked_of(settings)
        self.bound: Bound | None = bound_of(settings)
        self.security_line: bytes = security_line(settings)
        self.added_lines: bytes = added_lines(settings)
        self.naming: Naming = naming_of(settings)
        number, size = settings.large_client_header_buffers
        odd = not settings.ignore_invalid_headers
        underscores = odd or settings.enable_underscores_in_headers
        self.head_limits = HeadLimits(size, number * size, underscores, odd)
        whole = settings.client_header_timeout
        self.head_time = HEAD_TIME if whole == _UNSAID.client_header_timeout else whole
        self.requests_at_most = settings.keep_alive_requests if settings.keep_alive > 0 else 0
        self.rests_after = min(settings.keep_alive, RESTS_AFTER)
        self._bodies = bodies
        self._hosts = bodies["virtualhost"]
        self._upstream_bodies = bodies["upstream"]
        self._planned = hosts
        self._upstreams = upstreams  # shared by all generations: each entry says of which bytes it was decoded

    @staticmethod
    def first(records: Iterable[ResourceRecord], epoch: int, version: int, digest: bytes) -> Generation:
        """The generation that holds exactly ``records``. Raises DecodeError for unreadable settings."""
        tables: dict[ResourceKind, dict[str, bytes]] = {kind: {} for kind in KINDS}
        for record in records:
            tables.setdefault(record.kind, {})[record.name] = record.body
        bodies = {kind: Layered(table) for kind, table in tables.items()}
        aliases = NONE.changed(tables["alias"])
        streams = NO_STREAMS.changed(tables["stream"])
        return Generation(bodies, epoch, version, digest, _settings_in(bodies), {}, {}, aliases, streams)

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
            bodies[kind] = bodies.get(kind, _NOTHING).changed(changes)
        settings = _settings_in(bodies) if "settings" in touched else self.settings
        default = settings.default_upstream
        same_default = (default in bodies["upstream"]) == (default in self._bodies["upstream"])
        plans = self._plans_left(touched) if same_default else {}
        aliases = self._aliases.changed(touched["alias"]) if "alias" in touched else self._aliases
        streams = self.streams.changed(touched["stream"]) if "stream" in touched else self.streams
        return Generation(bodies, epoch, version, digest, settings, plans, self._upstreams, aliases, streams)

    def _plans_left(self, touched: Mapping[ResourceKind, Mapping[str, bytes | None]]) -> dict[str, HostPlan]:
        """The plans that a change leaves right: a host's own record, its groups, and its wildcard's TLS count.

        The same dict where all stay right: what either generation plans later serves the other too.
        """
        if "settings" in touched or "routegroup" in touched or "credentials" in touched:
            return {}
        if "upstream" in touched and any(self._balanced_anew(name, body) for name, body in touched["upstream"].items()):
            return {}
        hosts = touched.get("virtualhost", {})
        aliases = touched.get("alias", {})
        if not hosts and not aliases:
            return self._planned
        plans = dict(self._planned)
        for alias in aliases:
            plans.pop(alias, None)
            plans.pop(f" {alias}", None)
        if self._aliases:
            plans = {name: plan for name, plan in plans.items() if plan.host not in hosts}
        for host in hosts:
            plans.pop(host, None)
        if any(host.startswith("*.") for host in hosts):
            plans = {name: plan for name, plan in plans.items() if wildcard_of(name) not in hosts}
        return plans

    def _balanced_anew(self, name: str, body: bytes | None) -> bool:
        """Whether the endpoints of an Upstream are to be chosen in another way: plans of routes hold how."""
        before = self._upstream_bodies.get(name)
        return _balancing_in(name, before) != _balancing_in(name, body)

    def host(self, host: str) -> HostPlan:
        """The plan that answers for a canonical host: exact, else its wildcard, else the catch-all."""
        plan = self._planned.get(host)
        if plan is not None:
            return plan
        if host not in self._hosts:
            wildcard = wildcard_of(host)
            wildcard = wildcard if wildcard is not None and wildcard in self._hosts else None
            named = self._aliases.find(host, wildcard) if self._aliases else None
            if named is not None:
                return self._plan_alias(named)
            host = wildcard or CATCH_ALL
        return self._plan(host)

    def _plan(self, host: str) -> HostPlan:
        """The plan of exactly this host."""
        plan = self._planned.get(host)
        if plan is None:
            if len(self._planned) >= PLANNED_AT_MOST:
                self._planned.clear()
            found = self._virtual_host(host)
            plan = self._planned[host] = plan_host(self, found, self._has_tls(host, found.tls), self._routes(found))
        return plan

    def _plan_alias(self, named: Named) -> HostPlan:
        """The plan of another name of a host: the host's own but for TLS, or the way there."""
        key = named.name if named.pattern is None else f" {named.name}"  # which no host is called
        plan = self._planned.get(key)
        if plan is None:
            if len(self._planned) >= PLANNED_AT_MOST:
                self._planned.clear()
            alias = named.alias
            host = replace(self._virtual_host(alias.host), tls=alias.tls, certificate=alias.certificate)
            tls = alias.tls or (named.pattern is None and self._has_tls(named.name, False))
            if alias.redirects:
                way = VirtualHost(alias.host, tls=alias.tls, certificate=alias.certificate)
                plan = plan_host(self, way, tls, (), alias.host.encode())
            else:
                plan = plan_host(self, host, tls, self._routes(host))
            self._planned[key] = plan
        return plan

    def has_host(self, host: str) -> bool:
        """Whether somebody declared ``host``, spelled like this."""
        return host in self._hosts

    def has_upstream(self, name: str) -> bool:
        """Whether there is an Upstream of that name."""
        return name in self._upstream_bodies

    def has_endpoints(self, name: str) -> bool:
        """Whether there is an Upstream of that name with an endpoint, or the name of one."""
        upstream = self.upstream(name)
        return upstream is not None and bool(upstream.endpoints)

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
            elif host and (alias := self._aliases.get(host)) and alias.certificate in self._bodies["certificate"]:
                return alias.certificate
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

    def _has_tls(self, host: str, own: bool) -> bool:
        """A host without TLS of its own takes part in its wildcard's (contract section 1.8)."""
        if own:
            return True
        wildcard = wildcard_of(host)
        return wildcard is not None and wildcard in self._hosts and self._virtual_host(wildcard).tls

    def _routes(self, host: VirtualHost) -> Iterable[Route]:
        yield from host.routes
        for name in host.groups:
            body = self._bodies["routegroup"].get(name)
            if body is not None:
                group = decode_resource(ResourceRecord("routegroup", name, body))
                assert isinstance(group, RouteGroup)
                yield from group.routes


def head_time(generation: Generation | None) -> float:
    """Seconds for a head that has begun; the preface of HTTP/2 begins the first."""
    return HEAD_TIME if generation is None else generation.head_time


def _balancing_in(name: str, body: bytes | None) -> Balancing | None:
    if body is None:
        return None
    try:
        decoded = decode_resource(ResourceRecord("upstream", name, body))
    except DecodeError:  # one Upstream must not stop the others; whoever asks for it hears of it
        return None
    assert isinstance(decoded, Upstream)
    return decoded.balancing


def _settings_in(bodies: Bodies) -> Settings:
    body = bodies["settings"].get(SETTINGS_NAME)
    if body is None:
        return Settings()
    decoded = decode_resource(ResourceRecord("settings", SETTINGS_NAME, body))
    assert isinstance(decoded, Settings)
    return decoded
