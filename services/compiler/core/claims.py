"""One Ingress, read by itself: what it claims of which host, or why it is not taken over.

Pure: (Ingress, what the ConfigMap says) -> Claim. Owns everything that can be judged without looking at other objects.
Must not know which claims win (``hosts``) nor whether Services and Secrets exist.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from proto.diagnostics import Diagnostic
from proto.objects import Ingress, IngressBackend, IngressPath, IngressTLS, ObjectKey
from proto.policies import EndpointTLS, Policy, SSLRedirect
from services.compiler.core.answers import moved_of
from services.compiler.core.policies import endpoint_tls_of, policies_of
from services.compiler.core.responses import remarks_on_responses
from services.contract.annotations.entry import PREFIX
from services.contract.annotations.read import read_annotations
from services.contract.annotations.settings import NOTHING_SET, AnnotationSettings
from services.contract.configmap.read import Controller
from services.contract.diagnostics import annotation_field, finding, rejects

_DIRECTIVE: Final = re.compile(r"alias|root")
_UNSAFE: Final = re.compile(r"/etc/(?:passwd|shadow|group|nginx|ingress-controller)|/var/run/secrets|_by_lua")
_HOST: Final = re.compile(r"(?:\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
STRICT_PATH: Final = re.compile(r"/[A-Za-z0-9._\-/]*")
"""The paths that types Exact and Prefix may have in ingress-nginx (contract P10)."""
_MAX_HOST: Final = 253


class ClaimedPath(Struct, frozen=True, array_like=True, gc=False):
    """A path with its Upstream's name. ``exact``: pathType Exact; everything else is a prefix. ``field``: where the
    Ingress says so. ``kind``: the pathType as written, by which canaries find their path."""

    path: str
    exact: bool
    upstream: str
    field: str
    kind: str = "Prefix"


class HostClaim(Struct, frozen=True, array_like=True, gc=False):
    """What one Ingress says of one host. ``field``: the rule that names it first."""

    paths: tuple[ClaimedPath, ...]
    field: str


class Claim(Struct, frozen=True, gc=False):
    """What one Ingress asks for.

    ``name``: ``namespace/name``. ``hosts``: by lower-case host, empty text for rules without one, in the order of the
    rules. ``default_upstream``: of ``spec.defaultBackend``. ``redirects``: its word on redirects, to https too;
    ``policies``: on everything else of its routes. ``tls``: with lower-case hosts. ``fallback``: the Upstream of the
    annotation ``default-backend``.
    """

    key: ObjectKey
    name: str
    created: int
    hosts: dict[str, HostClaim]
    default_upstream: str = ""
    tls: tuple[IngressTLS, ...] = ()
    settings: AnnotationSettings = NOTHING_SET
    redirects: tuple[Policy, ...] = ()
    policies: tuple[Policy, ...] = ()
    endpoint_tls: EndpointTLS | None = None
    fallback: str = ""

    @property
    def is_catch_all(self) -> bool:
        """It has a default backend and no rules, so it answers for hosts that nobody declared."""
        return not self.hosts and self.default_upstream != ""

    def upstreams(self) -> set[str]:
        """The Upstreams that it names."""
        names = {path.upstream for host in self.hosts.values() for path in host.paths}
        names.update(name for name in (self.default_upstream, self.fallback) if name)
        return names


class Judged(Struct, frozen=True, gc=False):
    """``claim`` is None when the Ingress is not taken over as written; ``diagnostics`` say why, or what else."""

    claim: Claim | None
    diagnostics: tuple[Diagnostic, ...]


def in_order(claims: list[Claim]) -> list[Claim]:
    """Oldest first; of the same age, the greater ``namespace/name`` first (contract section 1.6)."""
    if len(claims) < 2:
        return claims
    return sorted(sorted(claims, key=_by_name, reverse=True), key=_by_age)


def _by_name(claim: Claim) -> str:
    return claim.name


def _by_age(claim: Claim) -> int:
    return claim.created


def upstream_name(namespace: str, backend: IngressBackend) -> str:
    """The name of the Upstream of ``backend``: ``namespace/service:port`` with the port as written."""
    return f"{namespace}/{backend.service}:{backend.port_name or backend.port_number}"


def first_port_upstream(namespace: str, service: str) -> str:
    """The name of the Upstream that is a Service by its first port."""
    return f"{namespace}/{service}:"


def judge(ingress: Ingress, controller: Controller) -> Judged:
    """Read one Ingress. Never raises for what a manifest can say."""
    reader = _Reader(ingress, controller)
    settings, findings = read_annotations(ingress, controller.annotations)
    reader.findings.extend(findings)
    reader.findings.extend(remarks_on_responses(reader.key, settings))
    if settings.enable_opentelemetry and not controller.collector:
        reader.miss_collector()
    hosts = reader.hosts()
    default = reader.default_upstream()
    if controller.deep_inspection:
        reader.inspect()
    diagnostics = tuple(reader.findings)
    if diagnostics and rejects(diagnostics):
        return Judged(None, diagnostics)
    ssl: tuple[SSLRedirect, ...] = ()
    if settings.ssl_redirect is not None or settings.force_ssl_redirect is not None:
        ssl = (SSLRedirect(settings.ssl_redirect, settings.force_ssl_redirect),)
    fallback = first_port_upstream(ingress.namespace, settings.default_backend) if settings.default_backend else ""
    claim = Claim(
        key=reader.key,
        name=f"{ingress.namespace}/{ingress.name}",
        created=ingress.created,
        hosts=hosts,
        default_upstream=default,
        tls=ingress.tls,
        settings=settings,
        redirects=(*ssl, *moved_of(settings)),
        policies=policies_of(settings, fallback),
        endpoint_tls=endpoint_tls_of(settings),
        fallback=fallback,
    )
    return Judged(claim, diagnostics)


class _Reader:
    """One pass over one Ingress."""

    def __init__(self, ingress: Ingress, controller: Controller) -> None:
        self._ingress = ingress
        self._strict = controller.strict_path_types
        self.key = ObjectKey("ingress", ingress.namespace, ingress.name)
        self.findings: list[Diagnostic] = []

    def hosts(self) -> dict[str, HostClaim]:
        """The claims of all rules; rules of the same host are one claim."""
        claims: dict[str, HostClaim] = {}
        for number, rule in enumerate(self._ingress.rules):
            field = f"spec.rules[{number}]"
            host = rule.host.lower()
            if host and (len(host) > _MAX_HOST or _HOST.fullmatch(host) is None):
                self._say(
                    "host-invalid",
                    f"{field}.host",
                    rule.host,
                    "The host is not a DNS name.",
                    "Write a name such as example.com or *.example.com.",
                )
                continue
            paths = []
            for index, path in enumerate(rule.paths):
                claimed = self._path(path, f"{field}.http.paths[{index}]")
                if claimed is not None:
                    paths.append(claimed)
            known = claims.get(host)
            if known is None:
                claims[host] = HostClaim(tuple(paths), field)
            else:
                claims[host] = HostClaim((*known.paths, *paths), known.field)
        return claims

    def _path(self, path: IngressPath, field: str) -> ClaimedPath | None:
        text = path.path or "/"
        kind = path.path_type
        if kind not in ("Prefix", "Exact", "ImplementationSpecific", ""):
            self._say(
                "path-type-unknown",
                f"{field}.pathType",
                kind,
                f"The pathType {kind} is unknown.",
                "Write Exact, Prefix or ImplementationSpecific.",
            )
            return None
        if text[0] != "/" or "\0" in text:
            self._say(
                "path-invalid",
                f"{field}.path",
                text,
                "The path does not begin with /.",
                "Write a path that begins with /.",
            )
            return None
        if self._strict and kind in ("Prefix", "Exact") and STRICT_PATH.fullmatch(text) is None:
            self._say(
                "path-type-strict",
                f"{field}.path",
                text,
                f"ingress-nginx's admission refuses this path with pathType {kind}.",
                "Write pathType: ImplementationSpecific.",
            )
        upstream = self._backend(path.backend, f"{field}.backend")
        if upstream is None:
            return None
        return ClaimedPath(text, kind == "Exact", upstream, field, kind or "ImplementationSpecific")

    def _backend(self, backend: IngressBackend | None, field: str) -> str | None:
        """The Upstream's name, or None for a backend that is none."""
        if backend is not None and backend.service:
            if backend.port_number or backend.port_name:
                return upstream_name(self._ingress.namespace, backend)
            self._say(
                "backend-missing",
                f"{field}.service.port",
                backend.service,
                "The backend names no port of its Service.",
                "Name the port by number or name.",
            )
            return None
        if backend is not None and backend.resource:
            self._say(
                "backend-resource",
                f"{field}.resource",
                backend.resource,
                "The backend is not a Service. The path is passed over.",
                "Name a Service.",
            )
            return None
        self._say("backend-missing", field, "", "The backend names no Service.", "Name a Service and its port.")
        return None

    def default_upstream(self) -> str:
        """The Upstream of ``spec.defaultBackend``, empty if there is none."""
        if self._ingress.default_backend is None:
            return ""
        return self._backend(self._ingress.default_backend, "spec.defaultBackend") or ""

    def miss_collector(self) -> None:
        """Requests are traced, and nobody is told."""
        self._say(
            "collector-missing",
            annotation_field(PREFIX + "enable-opentelemetry"),
            "true",
            "Requests are traced, and the ConfigMap's otlp-collector-host does not say where spans go. They are made, "
            "told to endpoints, and sent nowhere.",
            "Have the collector named in otlp-collector-host.",
        )

    def inspect(self) -> None:
        """Refuse what looks like configuration in hosts, paths and Secret names (contract P9)."""
        for number, rule in enumerate(self._ingress.rules):
            self._inspect(f"spec.rules[{number}].host", rule.host)
            for index, path in enumerate(rule.paths):
                self._inspect(f"spec.rules[{number}].http.paths[{index}].path", path.path)
        for number, entry in enumerate(self._ingress.tls):
            self._inspect(f"spec.tls[{number}].secretName", entry.secret)
            for index, host in enumerate(entry.hosts):
                self._inspect(f"spec.tls[{number}].hosts[{index}]", host)

    def _inspect(self, field: str, text: str) -> None:
        if _is_unsafe(text):
            self._say("spec-unsafe", field, text, "The value looks like configuration.", "Write a plain value.")

    def _say(self, code: str, field: str, value: str, message: str, remedy: str) -> None:
        self.findings.append(finding(self.key, code, field, value, message, remedy))


def _is_unsafe(text: str) -> bool:
    """What ingress-nginx's deep inspection refuses (contract P9).

    ``alias`` and ``root`` up to a ``;`` are looked for in two steps: one pattern for both takes time with the square of
    the length, and a path may have a megabyte."""
    directive = _DIRECTIVE.search(text)
    return (directive is not None and ";" in text[directive.end() :]) or _UNSAFE.search(text) is not None
