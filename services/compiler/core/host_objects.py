"""What the Secrets and ConfigMaps that a host's Ingresses name come to on its routes: policies, or 503.

Pure. Owns which headers ``custom-headers`` gives (contract section 1.2): all of a ConfigMap or none, each allowed by
``global-allowed-response-headers``. TLS to endpoints is ``endpoint_tls``'s, passwords are ``passwords``'.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import attrgetter
from typing import Final

from msgspec import Struct

from proto.diagnostics import Diagnostic
from proto.policies import BasicAuth, CustomHeaders, Decorations, DigestAuth, ExternalAuth, FastCGI, Policy
from services.compiler.core.claims import Claim
from services.compiler.core.endpoint_tls import HostEndpointTLS, StateOf, judge_endpoint_tls
from services.compiler.core.external_auth import auth_headers_map, judge_external_auth
from services.compiler.core.fastcgi import judge_fastcgi, parameters_map
from services.compiler.core.named_maps import ConfigMapOf, Named, entries_named, map_named
from services.compiler.core.passwords import judge_passwords
from services.contract.configmap.read import Controller
from services.contract.decorations import NOTHING, together
from services.contract.header_values import header_problem

_HEADERS: Final = Named(
    "custom-headers",
    attrgetter("custom_headers"),
    "custom-headers-unusable",
    "Create or correct the ConfigMap, or add its headers to global-allowed-response-headers.",
)


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
        allowed = frozenset(header.lower() for header in controller.allowed_response_headers)
        entries = entries_named(claim, _HEADERS, partial(_problem, allowed), configmap_of, controller, findings)
        if entries is None:
            denied.add(claim.name)
        else:
            headers[claim.name] = CustomHeaders(entries)
    passwords, without = judge_passwords(claims, state_of, findings)
    external, unasked = judge_external_auth(claims, configmap_of, controller, findings)
    fastcgi, wordless = judge_fastcgi(claims, configmap_of, controller, findings)
    spoken = (claim.settings.server_snippet for claim in claims if claim.settings.server_snippet != NOTHING)
    denied |= tls.denied | without | unasked | wordless
    return HostObjects(tls, headers, frozenset(denied), passwords, external, next(spoken, NOTHING), fastcgi)


def configmaps_named(claim: Claim) -> set[str]:
    """The ConfigMaps (``namespace/name``) whose headers the Ingress names."""
    return {name for name in (map_named(claim, _HEADERS), auth_headers_map(claim), parameters_map(claim)) if name}


def _problem(allowed: frozenset[str], header: str, value: str) -> str:
    """Why a header cannot be, as a sentence without its stop; empty: it can."""
    problem = header_problem(header, value)
    if not problem and header.lower() not in allowed:
        problem = f"The header {header} is not in global-allowed-response-headers"
    return problem
