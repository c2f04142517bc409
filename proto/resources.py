"""Resources: what a snapshot holds and an edge serves.

Owns VirtualHost, RouteGroup, Upstream, Certificate and Settings as they stand in a snapshot. Must not know how they
are compiled, nor how an edge indexes them. Names are the vocabulary of docs/architecture.md.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from proto.policies import Policy

ResourceKind = Literal["virtualhost", "routegroup", "upstream", "certificate", "settings"]

SETTINGS_NAME = "global"
"""The name of the one Settings resource."""

CATCH_ALL = ""
"""The host of the VirtualHost that answers for hosts nobody declared (nginx: server ``_``)."""


class PathMatch(Struct, frozen=True, array_like=True, gc=False):
    """How a route matches the decoded, merged, dot-resolved path.

    ``exact``: equal. ``prefix``: equal, or continues after a ``/`` (elements, not characters); a value that ends in
    ``/`` matches only below it. ``regex``: ``value`` is a PCRE that is searched case-insensitively; it carries its own
    ``^`` (contract section 1.3).
    """

    kind: Literal["exact", "prefix", "regex"]
    value: str


class Forward(Struct, frozen=True, array_like=True, tag="forward", gc=False):
    """Send to an Upstream (by name); ``fallback`` names the Upstream that serves while the first has no endpoints."""

    upstream: str
    fallback: str = ""


class Respond(Struct, frozen=True, array_like=True, tag="respond", gc=False):
    """The edge answers itself with nginx's page for ``status``."""

    status: int


class Redirect(Struct, frozen=True, array_like=True, tag="redirect", gc=False):
    """The edge answers ``status`` with ``location``."""

    status: int
    location: str


Action = Forward | Respond | Redirect


class Route(Struct, frozen=True, array_like=True):
    """One match with what happens then.

    ``ingress`` is ``namespace/name`` of the owner (empty for routes nobody declared). ``path`` is the path as the
    Ingress spells it, for logs, metrics and explanations. ``synthetic`` marks the root that a host gets without
    having declared it (contract section 1.3, step 2).
    """

    match: PathMatch
    action: Action
    policies: tuple[Policy, ...] = ()
    ingress: str = ""
    path: str = ""
    synthetic: bool = False


class VirtualHost(Struct, frozen=True, array_like=True):
    """All routes of one host.

    ``host``: lower case; ``*.example.com`` for one-label wildcards, empty for the catch-all. ``mode`` ``plain``: exact
    before longest prefix; ``regex``: the routes in their order, first match wins. The routes are ``routes`` followed
    by those of the RouteGroups named in ``groups``, in that order (only large hosts have groups).
    ``tls``: some Ingress lists the host under ``tls`` (redirects to https apply). ``certificate`` names a Certificate;
    empty: the default one. ``app_root``: where a request for ``/`` is sent, empty: nowhere.
    ``denied``: every request is answered 503 (a setting that guards the host could not be understood).
    """

    host: str
    mode: Literal["plain", "regex"] = "plain"
    routes: tuple[Route, ...] = ()
    groups: tuple[str, ...] = ()
    tls: bool = False
    certificate: str = ""
    app_root: str = ""
    denied: bool = False


class RouteGroup(Struct, frozen=True, array_like=True):
    """A run of consecutive routes of a large VirtualHost, so that a change of one path stays a small delta."""

    routes: tuple[Route, ...]


class Endpoint(Struct, frozen=True, array_like=True, order=True, gc=False):
    """An address (IPv4, IPv6 without brackets, or the DNS name of an ExternalName Service) and a port."""

    address: str
    port: int


class Upstream(Struct, frozen=True, array_like=True):
    """A named pool of endpoints, sorted, without duplicates.

    Its name is ``namespace/service:port`` with the port as the Ingress wrote it. ``dns``: the endpoints' addresses are
    names that the edge resolves (ExternalName).
    """

    endpoints: tuple[Endpoint, ...] = ()
    dns: bool = False


class Certificate(Struct, frozen=True, array_like=True):
    """Chain and sealed key of a TLS Secret; named ``namespace/name`` as the Secret. Fields as in ``TLSMaterial``."""

    chain: tuple[bytes, ...]
    names: tuple[str, ...]
    not_before: int
    not_after: int
    fingerprint: str
    sealed_key: bytes


class Settings(Struct, frozen=True, omit_defaults=True):
    """What the ConfigMap and the flags say for every host. Times in seconds; defaults are those of ingress-nginx.

    ``default_upstream`` names the Upstream of the global default backend (empty: the built-in 404);
    ``default_certificate`` the Certificate for hosts without their own (empty: the edge's self-signed one).
    """

    ssl_redirect: bool = True
    force_ssl_redirect: bool = False
    http_redirect_code: int = 308
    no_tls_redirect_locations: tuple[str, ...] = ("/.well-known/acme-challenge",)
    hsts: bool = True
    hsts_max_age: int = 31536000
    hsts_include_subdomains: bool = True
    hsts_preload: bool = False
    proxy_connect_timeout: float = 5.0
    proxy_read_timeout: float = 60.0
    proxy_send_timeout: float = 60.0
    proxy_next_upstream: tuple[str, ...] = ("error", "timeout")
    proxy_next_upstream_tries: int = 3
    proxy_next_upstream_timeout: float = 0.0
    retry_non_idempotent: bool = False
    use_forwarded_headers: bool = False
    compute_full_forwarded_for: bool = False
    forwarded_for_header: str = "X-Forwarded-For"
    proxy_real_ip_cidr: tuple[str, ...] = ("0.0.0.0/0",)
    use_http2: bool = True
    http2_max_concurrent_streams: int = 128
    keep_alive: float = 75.0
    keep_alive_requests: int = 1000
    upstream_keepalive_connections: int = 320
    upstream_keepalive_timeout: float = 60.0
    upstream_keepalive_time: float = 3600.0
    upstream_keepalive_requests: int = 10000
    server_tokens: bool = False
    default_upstream: str = ""
    default_certificate: str = ""


Resource = VirtualHost | RouteGroup | Upstream | Certificate | Settings


class ResourceKey(Struct, frozen=True, array_like=True, order=True, gc=False):
    """Identity of a resource within a snapshot."""

    kind: ResourceKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name or '(catch-all)'}"


class ResourceRecord(Struct, frozen=True, array_like=True, gc=False):
    """A resource as it travels and as it is hashed: its identity and its MessagePack."""

    kind: ResourceKind
    name: str
    body: bytes

    @property
    def key(self) -> ResourceKey:
        """The record's identity."""
        return ResourceKey(self.kind, self.name)
