"""Further names of hosts: ``server-alias`` and the redirects from and to ``www.``; who gets a name that several want.

Owns the Alias resources of the table. A host that an Ingress declares is never another one's alias; of two hosts that
want a name a redirect wins, then the first by name, as nginx takes the server that comes first (contract section 1.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from proto.codec import record_of
from proto.diagnostics import Diagnostic
from proto.objects import ObjectKey
from proto.resources import Alias, ResourceKey
from services.compiler.core.certificates import HostTLS, covers
from services.compiler.core.claims import Claim
from services.compiler.core.findings import Findings
from services.compiler.core.index import CATCH_ALL_HOST, parent_of
from services.compiler.core.store import ObjectStore
from services.compiler.core.table import CompiledTable
from services.contract.annotations.entry import PREFIX
from services.contract.diagnostics import annotation_field, finding

_WWW = "www."
_MAX_HOST = 253


class Wish(Struct, frozen=True, gc=False):
    """A name that a host wants. ``redirects``: to be sent from there; ``ingress``: who says so."""

    name: str
    redirects: bool
    ingress: ObjectKey


def wishes_of(host: str, claims: Sequence[Claim]) -> tuple[Wish, ...]:
    """What the Ingresses that name ``host``, in order, want for it: the aliases of the first that has any, and the
    redirect that any of them asks for."""
    if host == CATCH_ALL_HOST:
        return ()
    wishes: list[Wish] = []
    aliased = next((claim for claim in claims if claim.settings.server_alias), None)
    if aliased is not None:
        wishes = [Wish(name, False, aliased.key) for name in aliased.settings.server_alias if name != host]
    redirected = next((claim for claim in claims if claim.settings.from_to_www_redirect), None)
    other = host.removeprefix(_WWW) if host.startswith(_WWW) else _WWW + host
    if redirected is not None and not host.startswith("*") and len(other) <= _MAX_HOST:
        wishes.append(Wish(other, True, redirected.key))
    return tuple(wishes)


class AliasSet:
    """See the module. Who wants what is said by ``wish``; ``compile`` settles what that touched."""

    def __init__(self, store: ObjectStore, table: CompiledTable, findings: Findings) -> None:
        self._store = store
        self._table = table
        self._findings = findings
        self._wishes: dict[str, tuple[Wish, ...]] = {}
        self._wanted: dict[str, set[str]] = {}
        self._dirty: set[str] = set()

    def wish(self, host: str, wishes: tuple[Wish, ...]) -> None:
        """What ``host``, which was compiled just now, wants; what it wanted before it does no more."""
        for name in {wish.name for wish in self._wishes.pop(host, ())}:  # a host may want one name for two reasons
            self._dirty.add(name)
            self._wanted[name].discard(host)
            if not self._wanted[name]:
                del self._wanted[name]
        if wishes:
            self._wishes[host] = wishes
        for wish in wishes:
            self._dirty.add(wish.name)
            self._wanted.setdefault(wish.name, set()).add(host)
        if host in self._wanted:
            self._dirty.add(host)
        if host.startswith("*"):  # names below it may show its certificate
            self._dirty.update(name for name in self._wanted if parent_of(name) == host)

    def touch(self, hosts: Iterable[str]) -> None:
        """The certificates of these hosts may be for other names than before."""
        self._dirty.update(wish.name for host in hosts for wish in self._wishes.get(host, ()))

    def compile(self, is_claimed: Callable[[str], bool], tls_of: Callable[[str], HostTLS | None]) -> None:
        """Settle who gets each name that was touched. ``tls_of``: of a host, as decided."""
        for name in sorted(self._dirty):
            self._settle(name, is_claimed(name), tls_of)
        self._dirty = set()

    def _settle(self, name: str, taken: bool, tls_of: Callable[[str], HostTLS | None]) -> None:
        wanted = [
            (host, wish) for host in self._wanted.get(name, ()) for wish in self._wishes[host] if wish.name == name
        ]
        wanted.sort(key=_rank)
        winner = "" if taken or not wanted else wanted[0][0]
        found: dict[str, list[Diagnostic]] = {}
        for host, wish in wanted[1 if winner else 0 :]:
            owner = f"{wish.ingress.namespace}/{wish.ingress.name}"
            found.setdefault(owner, []).append(_refused(host, wish, winner))
        self._findings.set_host(f"alias {name}", {owner: tuple(said) for owner, said in found.items()})
        if not winner:
            self._table.remove(ResourceKey("alias", name))
            return
        certificate = self._certificate(winner, name, tls_of)
        alias = Alias(winner, wanted[0][1].redirects, certificate is not None, certificate or "")
        self._table.put(record_of(name, alias))

    def _certificate(self, host: str, name: str, tls_of: Callable[[str], HostTLS | None]) -> str | None:
        """The certificate that is for ``name``: that of ``host``, or of a wildcard above the name; None: no TLS."""
        for tls in (tls_of(host), None if name.startswith("~") else tls_of(name)):
            if tls is not None and tls.certificate:
                secret = self._store.secrets.get(tls.certificate)
                if secret is not None and secret.tls is not None and covers(secret.tls, name):
                    return tls.certificate
        return None


def _rank(entry: tuple[str, Wish]) -> tuple[bool, str]:
    host, wish = entry
    return not wish.redirects, host


def _refused(host: str, wish: Wish, winner: str) -> Diagnostic:
    annotation = PREFIX + ("from-to-www-redirect" if wish.redirects else "server-alias")
    whose = f"belongs to {winner} already" if winner else "is a host that an Ingress declares"
    return finding(
        wish.ingress,
        "alias-conflict",
        annotation_field(annotation),
        wish.name,
        f"{wish.name} {whose}. It is no other name of {host}.",
        "Remove it here, or there.",
    )
