"""Object -> hosts: who claims which host, names which Secret, leans on which Upstream.

Owns the claims in force and the maps that answer "what does this change touch". Must not compile anything.
"""

from __future__ import annotations

from collections.abc import Iterable

from services.compiler.core.balancing import balancing_of
from services.compiler.core.claims import Claim, in_order
from services.compiler.core.host_objects import configmaps_named
from services.compiler.core.passwords import passwords_of

CATCH_ALL_HOST = ""


class ClaimIndex:
    """Claims by Ingress (``namespace/name``), and their reverse maps. Canaries are kept, but claim no host."""

    def __init__(self) -> None:
        self.claims: dict[str, Claim] = {}
        self._hosts: dict[str, set[str]] = {}
        self._canaries: dict[str, set[str]] = {}
        self._catch_alls: set[str] = set()
        self._secrets: dict[str, set[str]] = {}
        self._credentials: dict[str, set[str]] = {}
        self._configmaps: dict[str, set[str]] = {}
        self._upstreams: dict[str, set[str]] = {}
        self._children: dict[str, set[str]] = {}
        self._naming: dict[str, set[str]] = {}
        self._speaking: set[str] = set()
        self._called: set[str] = set()

    def put(self, name: str, claim: Claim | None) -> set[str]:
        """Replace the claim of an Ingress (None: it has none). Returns the hosts that may differ now."""
        old = self.claims.pop(name, None)
        touched = self._take_out(old) if old is not None else set()
        if claim is not None:
            self.claims[name] = claim
            touched |= self._put_in(claim)
        return touched

    def claims_of(self, host: str) -> list[Claim]:
        """The claims that name ``host``, in order."""
        return in_order([self.claims[name] for name in self._hosts.get(host, ())])

    def naming(self, host: str) -> list[Claim]:
        """The claims that name ``host``, in order, canaries too."""
        return in_order([self.claims[name] for name in self._naming.get(host, ())])

    def canaries_of(self, host: str) -> list[Claim]:
        """The canaries that name ``host``, in order."""
        names = self._canaries.get(host)
        return in_order([self.claims[name] for name in names]) if names else []

    def catch_alls(self) -> list[Claim]:
        """The claims without rules, in order."""
        return in_order([self.claims[name] for name in self._catch_alls])

    def is_claimed(self, host: str) -> bool:
        """Whether ``host`` has a VirtualHost."""
        return host in self._hosts or (host == CATCH_ALL_HOST and bool(self._catch_alls))

    def hosts(self) -> set[str]:
        """Every host that has a VirtualHost."""
        return {*self._hosts, CATCH_ALL_HOST} if self._catch_alls else set(self._hosts)

    def children(self, wildcard: str) -> Iterable[str]:
        """The claimed hosts one label below ``*.parent``."""
        return self._children.get(wildcard, ())

    def hosts_of_secret(self, secret: str) -> set[str]:
        """The hosts whose certificate may come from ``secret`` (``namespace/name``)."""
        return {host for name in self._secrets.get(secret, ()) for host in self.claims[name].hosts}

    def hosts_of_credentials(self, secret: str) -> set[str]:
        """The hosts whose routes may depend on what ``secret`` is good for."""
        claims = [self.claims[name] for name in self._credentials.get(secret, ())]
        return {host for claim in claims for host in claim.hosts or (CATCH_ALL_HOST,)}

    def hosts_of_configmap(self, configmap: str) -> set[str]:
        """The hosts whose routes depend on what ``configmap`` (``namespace/name``) holds."""
        claims = [self.claims[name] for name in self._configmaps.get(configmap, ())]
        return {host for claim in claims for host in claim.hosts or (CATCH_ALL_HOST,)}

    def users_of(self, upstream: str) -> Iterable[str]:
        """The Ingresses that name an Upstream."""
        return self._upstreams.get(upstream, ())

    def first_user(self, upstream: str) -> Claim | None:
        """The Ingress whose word holds for an Upstream: the oldest that names it (contract section 1.6); None also
        where no Ingress says anything of Upstreams."""
        if not self._speaking:
            return None
        return next(iter(in_order([self.claims[name] for name in self._upstreams.get(upstream, ())])), None)

    @property
    def are_called(self) -> bool:
        """Whether endpoints of an Ingress are called by gRPC."""
        return bool(self._called)

    def _put_in(self, claim: Claim) -> set[str]:
        if claim.settings.backend_protocol in ("GRPC", "GRPCS"):
            self._called.add(claim.name)
        if claim.settings.service_upstream is not None or balancing_of(claim.settings) is not None:
            self._speaking.add(claim.name)
        for secret in _secrets(claim):
            self._secrets.setdefault(secret, set()).add(claim.name)
        for secret in _credentials(claim):
            self._credentials.setdefault(secret, set()).add(claim.name)
        for configmap in configmaps_named(claim):
            self._configmaps.setdefault(configmap, set()).add(claim.name)
        for upstream in claim.upstreams():
            self._upstreams.setdefault(upstream, set()).add(claim.name)
        for host in claim.hosts:
            self._naming.setdefault(host, set()).add(claim.name)
        if claim.settings.canary:
            for host in claim.hosts:
                self._canaries.setdefault(host, set()).add(claim.name)
            return set(claim.hosts)
        for host in claim.hosts:
            self._hosts.setdefault(host, set()).add(claim.name)
            parent = parent_of(host)
            if parent:
                self._children.setdefault(parent, set()).add(host)
        if claim.is_catch_all:
            self._catch_alls.add(claim.name)
            return {CATCH_ALL_HOST}
        return set(claim.hosts)

    def _take_out(self, claim: Claim) -> set[str]:
        self._speaking.discard(claim.name)
        self._called.discard(claim.name)
        for secret in _secrets(claim):
            _discard(self._secrets, secret, claim.name)
        for secret in _credentials(claim):
            _discard(self._credentials, secret, claim.name)
        for configmap in configmaps_named(claim):
            _discard(self._configmaps, configmap, claim.name)
        for upstream in claim.upstreams():
            _discard(self._upstreams, upstream, claim.name)
        for host in claim.hosts:
            _discard(self._naming, host, claim.name)
        if claim.settings.canary:
            for host in claim.hosts:
                _discard(self._canaries, host, claim.name)
            return set(claim.hosts)
        for host in claim.hosts:
            _discard(self._hosts, host, claim.name)
            parent = parent_of(host)
            if parent and host not in self._hosts:
                _discard(self._children, parent, host)
        if claim.is_catch_all:
            self._catch_alls.discard(claim.name)
            return {CATCH_ALL_HOST}
        return set(claim.hosts)


def parent_of(host: str) -> str:
    """The wildcard one label above ``host``, empty for wildcards and names without a dot."""
    if host.startswith("*"):
        return ""
    _, dot, rest = host.partition(".")
    return f"*.{rest}" if dot else ""


def _secrets(claim: Claim) -> set[str]:
    return {f"{claim.key.namespace}/{entry.secret}" for entry in claim.tls if entry.secret}


def _credentials(claim: Claim) -> set[str]:
    """The Secrets that tell who is at the other end."""
    clients = claim.settings.auth_tls_secret
    endpoints = "" if claim.endpoint_tls is None else claim.endpoint_tls.credentials
    passwords = passwords_of(claim)
    users = "" if passwords is None else passwords.credentials
    return {secret for secret in (clients, endpoints, users) if secret}


def _discard(index: dict[str, set[str]], key: str, value: str) -> None:
    values = index[key]
    values.discard(value)
    if not values:
        del index[key]
