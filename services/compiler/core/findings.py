"""All diagnostics that hold, by object, put together from where they arise.

Owns the sum: an Ingress' own, those of its hosts, those about the Services that it names; and those of ConfigMap and
flags. Must not judge anything but Services' problems, whose words are here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from proto.diagnostics import Diagnostic
from proto.objects import ObjectKey
from services.compiler.core.claims import Claim
from services.compiler.core.index import ClaimIndex
from services.compiler.core.upstreams import parse_name
from services.contract.diagnostics import annotation_field, finding

ByIngress = dict[str, tuple[Diagnostic, ...]]

_WORDS: Final = {
    "service-not-found": ("Service {service} does not exist. The routes to it answer 503.", "Create it, or correct "
                          "its name."),
    "service-port-not-found": ("Service {service} has no port {port}. The routes to it answer 503.", "Name a port of "
                               "the Service by number or name."),
    "service-external-name-refused": ("The external name of Service {service} cannot be used. The routes to it answer "
                                      "503.", "Use a DNS name that is not this machine itself, unless "
                                      "--disable-svc-external-name forbids all; for a server on this machine write an "
                                      "EndpointSlice."),
    "service-internal-error": ("The compiler failed on Service {service}. The routes to it answer 503.", "Report this "
                               "as a defect, with the Service and its EndpointSlices."),
}  # fmt: skip
_FALLBACK_FIELD: Final = annotation_field("nginx.ingress.kubernetes.io/default-backend")


class Findings:
    """``by_object``: everything that holds as of the last ``settle``; for reading only."""

    def __init__(self, index: ClaimIndex, problem: Callable[[str], str]) -> None:
        self.by_object: dict[ObjectKey, tuple[Diagnostic, ...]] = {}
        self._index = index
        self._problem = problem
        self._own: ByIngress = {}
        self._by_host: dict[str, ByIngress] = {}
        self._hosts_of: dict[str, set[str]] = {}
        self._flags: dict[ObjectKey, tuple[Diagnostic, ...]] = {}
        self._flags_by_source: dict[str, tuple[Diagnostic, ...]] = {}
        self._dirty: set[str] = set()
        self._dirty_flags: set[ObjectKey] = set()

    def set_own(self, name: str, diagnostics: tuple[Diagnostic, ...]) -> None:
        """What an Ingress (``namespace/name``) gives cause to by itself."""
        if diagnostics:
            self._own[name] = diagnostics
        else:
            self._own.pop(name, None)
        self._dirty.add(name)

    def set_host(self, host: str, diagnostics: ByIngress) -> None:
        """What was found when ``host`` was compiled."""
        before = self._by_host.get(host, {})
        if before == diagnostics:
            return
        for name in before.keys() - diagnostics.keys():
            self._hosts_of[name].discard(host)
        for name in diagnostics:
            self._hosts_of.setdefault(name, set()).add(host)
        self._dirty |= before.keys() | diagnostics.keys()
        if diagnostics:
            self._by_host[host] = diagnostics
        else:
            del self._by_host[host]

    def touch_services(self, upstreams: Iterable[str]) -> None:
        """The problems of these Upstreams' Services changed."""
        for upstream in upstreams:
            self._dirty.update(self._index.users_of(upstream))

    def set_flags(self, source: str, diagnostics: tuple[Diagnostic, ...]) -> None:
        """What ConfigMaps and flags give cause to; ``source``: which part of them is meant."""
        if self._flags_by_source.get(source, ()) == diagnostics:
            return
        self._flags_by_source[source] = diagnostics
        flags: dict[ObjectKey, tuple[Diagnostic, ...]] = {}
        for diagnostic in (found for _, some in sorted(self._flags_by_source.items()) for found in some):
            flags[diagnostic.object] = (*flags.get(diagnostic.object, ()), diagnostic)
        self._dirty_flags |= self._flags.keys() | flags.keys()
        self._flags = flags

    def settle(self) -> tuple[tuple[ObjectKey, tuple[Diagnostic, ...]], ...]:
        """The objects whose findings differ since the last time, with all that hold now; ordered by object."""
        changed = []
        for key, found in [*self._of_ingresses(), *((key, self._flags.get(key, ())) for key in self._dirty_flags)]:
            if self.by_object.get(key, ()) == found:
                continue
            if found:
                self.by_object[key] = found
            else:
                del self.by_object[key]
            changed.append((key, found))
        self._dirty, self._dirty_flags = set(), set()
        changed.sort(key=lambda entry: (entry[0].kind, entry[0].namespace, entry[0].name))
        return tuple(changed)

    def _of_ingresses(self) -> Iterable[tuple[ObjectKey, tuple[Diagnostic, ...]]]:
        for name in self._dirty:
            namespace, _, bare = name.partition("/")
            yield ObjectKey("ingress", namespace, bare), self._sum(name)

    def _sum(self, name: str) -> tuple[Diagnostic, ...]:
        found = list(self._own.get(name, ()))
        hosts = self._hosts_of.get(name)
        if hosts is not None:
            for host in sorted(hosts):
                found.extend(self._by_host[host][name])
            if not hosts:
                del self._hosts_of[name]
        claim = self._index.claims.get(name)
        if claim is not None:
            found.extend(self._of_services(claim))
        return tuple(found)

    def _of_services(self, claim: Claim) -> Iterable[Diagnostic]:
        for host in claim.hosts.values():
            for path in host.paths:
                yield from self._about(claim, path.upstream, f"{path.field}.backend.service")
        if claim.default_upstream:
            yield from self._about(claim, claim.default_upstream, "spec.defaultBackend.service")
        if claim.fallback:
            yield from self._about(claim, claim.fallback, _FALLBACK_FIELD)

    def _about(self, claim: Claim, upstream: str, field: str) -> Iterable[Diagnostic]:
        code = self._problem(upstream)
        if code:
            namespace, service, port = parse_name(upstream)
            message, remedy = _WORDS[code]
            message = message.format(service=f"{namespace}/{service}", port=port or "at all")
            yield finding(claim.key, code, field, upstream, message, remedy)
