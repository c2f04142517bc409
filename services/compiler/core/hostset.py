"""All hosts: which are dirty, what each became, which certificates they show.

Owns the compiled hosts, the decisions about TLS (a host may take part in its wildcard parent's) and the Certificates
in the table. An Ingress that makes a host fail is left out of that host, or stands there with its last good version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from proto.codec import record_of
from proto.diagnostics import Diagnostic
from proto.resources import ResourceKey, ResourceRecord, VirtualHost
from services.compiler.core.admit import internal_error
from services.compiler.core.aliases import AliasSet
from services.compiler.core.canaries import alone
from services.compiler.core.certificates import HostTLS, certificate_of, choose_tls
from services.compiler.core.claims import Claim, in_order
from services.compiler.core.credentials import CredentialsSet
from services.compiler.core.findings import Findings
from services.compiler.core.hosts import CompiledHost, compile_host
from services.compiler.core.index import CATCH_ALL_HOST, ClaimIndex, parent_of
from services.compiler.core.store import ObjectStore
from services.compiler.core.table import CompiledTable
from services.compiler.core.upstreamset import UpstreamSet
from services.contract.configmap.read import Controller

PREVIEWED_AT_MOST = 200
"""Claims of a host that is compiled to see what one more would do: somebody waits for it."""
LastGood = Callable[[str], Claim | None]
"""The claim of an Ingress' last accepted version, if that is not the current one."""


class HostSet:
    """Hosts by name. ``route_count``: declared routes, as of the last compile."""

    def __init__(
        self,
        store: ObjectStore,
        index: ClaimIndex,
        table: CompiledTable,
        upstreams: UpstreamSet,
        credentials: CredentialsSet,
        findings: Findings,
        last_good: LastGood,
    ) -> None:
        self._store = store
        self._index = index
        self._table = table
        self._upstreams = upstreams
        self._credentials = credentials
        self._findings = findings
        self._last_good = last_good
        self._aliases = AliasSet(store, table, findings)
        self._compiled: dict[str, CompiledHost] = {}
        self._tls: dict[str, HostTLS] = {}
        self._shown_by: dict[str, int] = {}
        self._default_certificate = ""
        self._dirty: set[str] = set()
        self._dirty_tls: set[str] = set()
        self._dirty_secrets: set[str] = set()
        self._poisoned: dict[str, frozenset[str]] = {}
        self._left_out: dict[str, frozenset[str]] = {}
        self.route_count = 0

    @property
    def count(self) -> int:
        """How many hosts there are."""
        return len(self._compiled)

    @property
    def certificate_count(self) -> int:
        """How many Certificates are shown."""
        return len(self._shown_by)

    def touch(self, hosts: Iterable[str]) -> None:
        """These hosts may differ."""
        self._dirty.update(hosts)

    def touch_all(self) -> None:
        """Every host may differ."""
        self._dirty |= self._index.hosts() | self._compiled.keys()

    def touch_secret(self, secret: str) -> bool:
        """A Secret changed. Returns whether a host may show it, or depends on it."""
        hosts = self._index.hosts_of_secret(secret)
        self._dirty_tls |= hosts  # a renewed certificate is the same decision, and may be shown by thousands of hosts
        self._dirty_secrets.add(secret)
        dependent = self._index.hosts_of_credentials(secret)
        if dependent and self._credentials.touch(secret):
            self._dirty |= dependent
        return bool(hosts or dependent)

    def touch_configmap(self, name: str) -> bool:
        """A ConfigMap changed. Returns whether routes of a host depend on it."""
        hosts = self._index.hosts_of_configmap(name)
        self._dirty |= hosts
        return bool(hosts)

    def poisoned(self) -> set[str]:
        """The Ingresses that make a host fail."""
        return {name for names in self._poisoned.values() for name in names}

    def left_out(self) -> set[str]:
        """Those of them that have no last good version which does not."""
        return {name for names in self._left_out.values() for name in names}

    def compiled(self, host: str) -> CompiledHost | None:
        """What became of a host."""
        return self._compiled.get(host)

    def compile(self, controller: Controller) -> None:
        """Compile what is dirty."""
        self._decide_tls()
        for host in sorted(self._dirty):
            if self._index.is_claimed(host):
                compiled = self._safely(host, controller)
                self._replace(host, compiled)
            else:
                self._replace(host, None)
                self._findings.set_host(host, alone(host, self._index.canaries_of(host)))
        self._dirty = set()
        for secret in self._dirty_secrets:
            self._aliases.touch(self._index.hosts_of_secret(secret))
            if secret in self._shown_by:
                self._put_certificate(secret)
        self._dirty_secrets = set()
        self._aliases.compile(self._index.is_claimed, self._tls_of)

    def preview(self, claim: Claim, controller: Controller) -> tuple[Diagnostic, ...]:
        """What its hosts would say of ``claim`` if it stood there; changes nothing. Raises what compiling them raises.
        Canaries claim no host, and hosts of very many claims are passed over."""
        found: list[Diagnostic] = []
        for host in claim.hosts if not claim.settings.canary else ():
            others = [other for other in self._index.claims_of(host) if other.name != claim.name]
            if len(others) < PREVIEWED_AT_MOST:
                claims, tls = in_order([*others, claim]), self._tls_of(host)
                canaries = self._index.canaries_of(host)
                compiled = compile_host(
                    host, claims, [], tls, controller, self._credentials.state, self._store.configmaps.get, canaries
                )
                found.extend(compiled.diagnostics.get(claim.name, ()))
        return tuple(found)

    def use_default_certificate(self, name: str) -> None:
        """Say which Certificate hosts without their own show; empty: none of ours."""
        before, self._default_certificate = self._default_certificate, name
        self._show(before, name)

    def references(self, records: Iterable[ResourceRecord]) -> Iterable[tuple[str, ResourceKey]]:
        """The hosts among ``records`` of the table (whole or in groups), each once, with what each refers to."""
        for host in {
            record.name.partition("#")[0] for record in records if record.kind in ("virtualhost", "routegroup")
        }:
            compiled = self._compiled[host]
            yield from ((host, record.key) for record in compiled.records)
            yield from ((host, ResourceKey("upstream", name)) for name in compiled.upstreams)
            yield from ((host, ResourceKey("credentials", name)) for name in compiled.credentials)
            if compiled.certificate:
                yield host, ResourceKey("certificate", compiled.certificate)

    def is_referenced(self, key: ResourceKey) -> bool:
        """Whether anything refers to a resource."""
        if key.kind == "upstream":
            return self._upstreams.is_used(key.name)
        if key.kind == "credentials":
            return self._credentials.is_used(key.name)
        return key.kind == "certificate" and key.name in self._shown_by

    def _decide_tls(self) -> None:
        """Decide for hosts that may show another certificate. Where the decision changed the host is dirty, and so are
        a wildcard's children."""
        undecided, self._dirty_tls = self._dirty | self._dirty_tls, set()
        for host in undecided:
            before = self._tls.get(host)
            after = None if host == CATCH_ALL_HOST else self._own_tls(host)
            if before == after:
                continue
            if after is None:
                del self._tls[host]
            else:
                self._tls[host] = after
            self._dirty.add(host)
            if host.startswith("*"):
                self._dirty.update(self._index.children(host))

    def _own_tls(self, host: str) -> HostTLS | None:
        return choose_tls(host, self._index.claims_of(host), self._store.secrets)

    def _tls_of(self, host: str) -> HostTLS | None:
        """The host's own decision, else the certificate of its wildcard parent (contract section 1.8)."""
        own = self._tls.get(host)
        if own is not None:
            return own
        parent = self._tls.get(parent_of(host))
        return None if parent is None else HostTLS(parent.certificate)

    def _safely(self, host: str, controller: Controller) -> CompiledHost:
        claims = self._index.claims_of(host)
        catch_alls = self._index.catch_alls() if host == CATCH_ALL_HOST else []
        try:
            compiled = self._compile_claims(host, claims, catch_alls, controller, self._index.canaries_of(host))
        except Exception:  # a defect: whoever brings it about is to be alone with it
            return self._without_poison(host, claims, catch_alls, controller)
        self._poisoned.pop(host, None)
        self._left_out.pop(host, None)
        return compiled

    def _compile_claims(
        self,
        host: str,
        claims: Sequence[Claim],
        catch_alls: Sequence[Claim],
        controller: Controller,
        canaries: Sequence[Claim] = (),
    ) -> CompiledHost:
        """Whatever it raises is a defect."""
        tls, state, configmap_of = self._tls_of(host), self._credentials.state, self._store.configmaps.get
        return compile_host(host, claims, catch_alls, tls, controller, state, configmap_of, canaries)

    def _without_poison(
        self, host: str, claims: Sequence[Claim], catch_alls: Sequence[Claim], controller: Controller
    ) -> CompiledHost:
        """Take the claims in one by one, leaving out (or replacing by its last good version) each that fails; canaries
        are left out."""
        good: list[Claim] = []
        good_catch_alls: list[Claim] = []
        compiled = None
        poisoned: dict[str, Exception] = {}
        left_out: set[str] = set()
        for claim, kept in [(claim, good) for claim in claims] + [(claim, good_catch_alls) for claim in catch_alls]:
            for candidate in (claim, self._last_good(claim.name)):
                if candidate is None or (kept is good and host not in candidate.hosts):
                    continue
                kept.append(candidate)
                try:
                    compiled = self._compile_claims(host, good, good_catch_alls, controller)
                    break
                except Exception as error:
                    kept.pop()
                    poisoned.setdefault(claim.name, error)
            else:
                left_out.add(claim.name)
        self._poisoned[host] = frozenset(poisoned)
        self._left_out[host] = frozenset(left_out)
        findings: dict[str, tuple[Diagnostic, ...]] = {
            claim.name: (internal_error(claim.key, poisoned[claim.name]),)
            for claim in (*claims, *catch_alls)
            if claim.name in poisoned
        }
        # what is published of them stays, so the endpoints that it leads to are to stay right
        upstreams = {
            name: 0 for claim in (*claims, *catch_alls) if claim.name in left_out for name in claim.upstreams()
        }
        if compiled is None:  # nothing is left of the host: it stays taken, so that no wildcard answers for it
            closed = record_of(host, VirtualHost(host, denied=True))
            return CompiledHost((closed,), upstreams, "", 0, diagnostics=findings)
        return replace(compiled, upstreams=upstreams | compiled.upstreams, diagnostics=compiled.diagnostics | findings)

    def _replace(self, host: str, compiled: CompiledHost | None) -> None:
        before = self._compiled.pop(host, None)
        keys = set() if compiled is None else {record.key for record in compiled.records}
        if before is not None:
            self.route_count -= before.routes
            for record in before.records:
                if record.key not in keys:
                    self._table.remove(record.key)
        if compiled is not None:
            self._compiled[host] = compiled
            self.route_count += compiled.routes
            for record in compiled.records:
                self._table.put(record)
        else:
            self._poisoned.pop(host, None)
            self._left_out.pop(host, None)
        self._aliases.wish(host, () if compiled is None else compiled.aliases)
        self._upstreams.lean(f"host {host}", {} if compiled is None else compiled.upstreams)
        self._credentials.lean(host, () if compiled is None else compiled.credentials)
        self._show("" if before is None else before.certificate, "" if compiled is None else compiled.certificate)
        self._findings.set_host(host, {} if compiled is None else compiled.diagnostics)

    def _show(self, before: str, after: str) -> None:
        """Count that one more or less shows a Certificate, and keep the table in step."""
        if before == after:
            return
        if after:
            count = self._shown_by.get(after, 0)
            self._shown_by[after] = count + 1
            if count == 0:
                self._put_certificate(after)
        if before:
            self._shown_by[before] -= 1
            if self._shown_by[before] == 0:
                del self._shown_by[before]
                self._table.remove(ResourceKey("certificate", before))

    def _put_certificate(self, name: str) -> None:
        secret = self._store.secrets.get(name)
        if secret is not None and secret.tls is not None:
            self._table.put(record_of(name, certificate_of(secret.tls)))
