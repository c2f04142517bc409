"""What the Secrets and ConfigMaps that a host's Ingresses name come to on its routes: policies, or 503.

Pure. Owns which headers ``custom-headers`` gives (contract section 1.2): all of a ConfigMap or none, each allowed by
``global-allowed-response-headers``. TLS to endpoints is ``endpoint_tls``'s, passwords are ``passwords``'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from proto.diagnostics import Diagnostic
from proto.objects import ConfigMap
from proto.policies import BasicAuth, CustomHeaders, Decorations, DigestAuth, ExternalAuth, FastCGI, Policy
from services.compiler.core.claims import Claim
from services.compiler.core.endpoint_tls import HostEndpointTLS, StateOf, judge_endpoint_tls
from services.compiler.core.external_auth import auth_headers_map, judge_external_auth
from services.compiler.core.fastcgi import judge_fastcgi, parameters_map
from services.compiler.core.named_headers import configmap_name, map_problem
from services.compiler.core.passwords import judge_passwords
from services.contract.annotations.entry import PREFIX
from services.contract.configmap.read import Controller
from services.contract.decorations import NOTHING, together
from services.contract.diagnostics import annotation_field, finding
from services.contract.header_values import header_problem

ConfigMapOf = Callable[[str], ConfigMap | None]


class HostObjects(Struct, frozen=True, gc=False):
    """What holds on one host. ``headers``, ``passwords``, ``external``, ``fastcgi``: by Ingress; ``denied``: Ingresses
    whose objects are not usable; ``decorations``: what the ``server-snippet`` that speaks for the host says."""

    tls: HostEndpointTLS
    headers: dict[str, CustomHeaders]
    denied: frozenset[str]
    passwords: dict[str, BasicAuth | DigestAuth] = {}
    external: dict[str, ExternalAuth] = {}
    decorations: Decorations = NOTHING
    fastcgi: dict[str, FastCGI] = {}

    def policies(self, claim: Claim) -> tuple[Policy, ...]:
        """What the routes of ``claim`` carry for the objects that it names."""
        of_all = (self.headers, self.passwords, self.external, self.fastcgi)
        named: list[Policy | None] = [policies.get(claim.name) for policies in of_all]
        inner = claim.settings.configuration_snippet
        decorations = inner if self.decorations == NOTHING else together(self.decorations, inner)
        return (
            *self.tls.policies(claim),
            *(policy for policy in named if policy is not None),
            *(() if decorations == NOTHING else (decorations,)),
        )


def judge_objects(
    claims: Sequence[Claim],
    state_of: StateOf,
    configmap_of: ConfigMapOf,
    controller: Controller,
    findings: list[Diagnostic],
) -> HostObjects:
    """What holds on the host that ``claims`` (in order) name. ``state_of``: what a Secret is good for."""
    tls = judge_endpoint_tls(claims, state_of, controller, findings)
    headers: dict[str, CustomHeaders] = {}
    denied: set[str] = set()
    for claim in claims:
        if not claim.settings.custom_headers:
            continue
        name = custom_headers_map(claim)
        configmap = configmap_of(name)
        problem = _problem(claim, name, configmap, controller)
        if problem or configmap is None:
            denied.add(claim.name)
            findings.append(_unusable(claim, problem))
        else:
            headers[claim.name] = CustomHeaders(tuple(sorted(configmap.data.items())))
    passwords, without = judge_passwords(claims, state_of, findings)
    external, unasked = judge_external_auth(claims, configmap_of, controller, findings)
    fastcgi, wordless = judge_fastcgi(claims, configmap_of, controller, findings)
    spoken = (claim.settings.server_snippet for claim in claims if claim.settings.server_snippet != NOTHING)
    denied |= tls.denied | without | unasked | wordless
    return HostObjects(tls, headers, frozenset(denied), passwords, external, next(spoken, NOTHING), fastcgi)


def configmaps_named(claim: Claim) -> set[str]:
    """The ConfigMaps (``namespace/name``) whose headers the Ingress names."""
    return {name for name in (custom_headers_map(claim), auth_headers_map(claim), parameters_map(claim)) if name}


def custom_headers_map(claim: Claim) -> str:
    """The ConfigMap (``namespace/name``) that ``custom-headers`` names; empty: none."""
    text = claim.settings.custom_headers
    return configmap_name(text, claim.key.namespace) if text else ""


def _problem(claim: Claim, name: str, configmap: ConfigMap | None, controller: Controller) -> str:
    """Why the ConfigMap cannot be used, as a sentence without its stop; empty: it can."""
    problem = map_problem(name, configmap, claim.key.namespace, controller)
    if problem or configmap is None:
        return problem
    allowed = {header.lower() for header in controller.allowed_response_headers}
    for header, value in sorted(configmap.data.items()):
        problem = header_problem(header, value)
        if not problem and header.lower() not in allowed:
            problem = f"The header {header} is not in global-allowed-response-headers"
        if problem:
            return problem
    return ""


def _unusable(claim: Claim, problem: str) -> Diagnostic:
    return finding(
        claim.key,
        "custom-headers-unusable",
        annotation_field(f"{PREFIX}custom-headers"),
        claim.settings.custom_headers,
        f"{problem}. The routes of this Ingress answer 503.",
        "Create or correct the ConfigMap, or add its headers to global-allowed-response-headers.",
    )
