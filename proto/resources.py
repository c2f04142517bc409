"""Resources: what a snapshot holds and an edge serves.

Owns VirtualHost, RouteGroup, Alias, Upstream, Certificate, Credentials and Stream as they stand in a snapshot, and the
list of all kinds, with Settings among them. Must not know how they are compiled, nor how an edge indexes them. Names
are the vocabulary of docs/architecture.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from proto.handshakes import Handshake
from proto.policies import Balancing, Policy
from proto.settings import Settings as Settings

if TYPE_CHECKING:
    ResourceKind = Literal[
        "virtualhost", "routegroup", "alias", "upstream", "certificate", "credentials", "settings", "stream"
    ]
else:
    ResourceKind = str
    """What comes may be of a kind that only a newer writer knows: a reader keeps it and makes nothing of it."""

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
    ``handshake``: what it has of its own about TLS with clients.
    """

    host: str
    mode: Literal["plain", "regex"] = "plain"
    routes: tuple[Route, ...] = ()
    groups: tuple[str, ...] = ()
    tls: bool = False
    certificate: str = ""
    app_root: str = ""
    denied: bool = False
    handshake: Handshake | None = None


class RouteGroup(Struct, frozen=True, array_like=True):
    """A run of consecutive routes of a large VirtualHost, so that a change of one path stays a small delta."""

    routes: tuple[Route, ...]


class Alias(Struct, frozen=True, array_like=True):
    """Another name of the VirtualHost ``host``: served alike, or (``redirects``) sent there.

    Its own name is a host, or as nginx's ``server_name`` has them: ``*.example.com`` (any depth), ``example.*``, or a
    regular expression behind ``~``. ``tls`` and ``certificate`` as in VirtualHost, for this name.
    """

    host: str
    redirects: bool = False
    tls: bool = False
    certificate: str = ""


class Endpoint(Struct, frozen=True, array_like=True, order=True, gc=False):
    """An address (IPv4, IPv6 without brackets, or the DNS name of an ExternalName Service) and a port."""

    address: str
    port: int


class Upstream(Struct, frozen=True, array_like=True):
    """A named pool of endpoints, sorted, without duplicates.

    Its name is ``namespace/service:port`` with the port as the Ingress wrote it; that of a port's Stream ends in
    ``/tcp`` or ``/udp``. ``dns``: the endpoints' addresses are
    names that the edge resolves (ExternalName). ``balancing``: how they take turns; None: as everywhere. ``zones``: for
    each endpoint, the zones whose edges it is meant for; empty: all are meant for all.
    """

    endpoints: tuple[Endpoint, ...] = ()
    dns: bool = False
    balancing: Balancing | None = None
    zones: tuple[tuple[str, ...], ...] = ()


class Certificate(Struct, frozen=True, array_like=True):
    """Chain and sealed key of a TLS Secret; named ``namespace/name`` as the Secret. Fields as in ``TLSMaterial``."""

    chain: tuple[bytes, ...]
    names: tuple[str, ...]
    not_before: int
    not_after: int
    fingerprint: str
    sealed_key: bytes


class Credentials(Struct, frozen=True, array_like=True):
    """What a Secret holds for telling who is at the other end: a pair to show, authorities to believe; named
    ``namespace/name`` as the Secret.

    ``chain`` (DER, leaf first) and ``sealed_key`` as in ``TLSMaterial``; both empty: no pair. ``sealed_authority``:
    ``ca.crt`` (PEM), sealed for ``secret/<namespace>/<name>/ca.crt``; ``sealed_revoked``: ``ca.crl``, sealed for its
    place; empty: none. ``sealed_entries``: all others, each sealed for its place (names and hashes of passwords).
    """

    chain: tuple[bytes, ...] = ()
    sealed_key: bytes = b""
    sealed_authority: bytes = b""
    sealed_revoked: bytes = b""
    sealed_entries: dict[str, bytes] = {}


class Stream(Struct, frozen=True, array_like=True, gc=False):
    """Connections that are handed on to an Upstream without being read: what comes to a port by TCP or UDP (named
    ``tcp:9000``, ``udp:53``), or asks by TLS for a host (named ``tls:example.com``, whose ``port`` is 0).

    ``reads_proxy``: connections begin with a PROXY header; ``writes_proxy``: the endpoint is sent one.
    """

    protocol: Literal["tcp", "udp", "tls"]
    upstream: str
    port: int = 0
    reads_proxy: bool = False
    writes_proxy: bool = False


Resource = VirtualHost | RouteGroup | Alias | Upstream | Certificate | Credentials | Settings | Stream


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
